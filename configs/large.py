"""μ-BERT-L: 331 M parameters, the defaults otherwise; beyond the paper's size.

Command:  mubert pretrain --config=configs/large.py --workdir=runs/large --config.data.path=DATA
          on several machines: docs/scaling.md
Cost:     3,385 GFLOP per pair and step, fourteen times configs/beyond.py
Expected: not run yet; parameters and moments are split over 8 devices (config.runtime.mesh)
"""

from mubert_jax.config import SHARDED, default_config


def get_config():
    config = default_config()
    # ViT-L (Dosovitskiy et al., 2021), with a decoder as deep as that of MAE (He et al., 2022).
    config.model.dim = 1024
    config.model.depth = 24
    config.model.heads = 16
    config.model.decoder.depth = 8
    config.model.decoder.heads = 8
    config.model.remat = True
    config.runtime.mesh = (-1, 8, 1)
    config.runtime.sharding = SHARDED
    return config
