"""MoCo v3 (Chen et al., 2021) with the paper's encoder: the row "MoCo V3" of Table 6.

Command:  mubert pretrain --config=configs/baselines/moco_v3.py --workdir=runs/moco_v3 \
              --config.data.path=DATA
Cost:     the encoder on two views, forward and backward, and on two more forward alone
Expected: not run at this size
"""

from mubert_jax.config import paper_config


def get_config():
    config = paper_config()
    config.objective.name = "moco_v3"
    # The rate and the decay of Chen et al. for transformers, for batches of 2,048.
    config.optimizer.learning_rate = 1.5e-4 * 2048 / 256
    config.optimizer.weight_decay = 0.1
    return config
