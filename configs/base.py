"""μ-BERT-B: 112 M parameters, the defaults otherwise; beyond the paper's size.

Command:  mubert pretrain --config=configs/base.py --workdir=runs/base --config.data.path=DATA
          on several machines: docs/scaling.md
Cost:     1,104 GFLOP per pair and step, five times configs/beyond.py
Expected: not run yet; parameters and moments are split over 4 devices (config.runtime.mesh)
"""

from mubert_jax.config import SHARDED, default_config


def get_config():
    config = default_config()
    # ViT-B (Dosovitskiy et al., 2021), with a decoder as deep as that of MAE (He et al., 2022).
    config.model.dim = 768
    config.model.depth = 12
    config.model.heads = 12
    config.model.decoder.depth = 8
    config.model.decoder.heads = 8
    config.runtime.mesh = (-1, 4, 1)
    config.runtime.sharding = SHARDED
    return config
