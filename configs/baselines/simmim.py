"""SimMIM (Xie et al., 2022) with the paper's encoder and decoder; beyond Table 6.

Command:  mubert pretrain --config=configs/baselines/simmim.py --workdir=runs/simmim \
              --config.data.path=DATA
Cost:     half of configs/pretrain.py's without agreement: one image per pair
Expected: not run at this size
"""

from mubert_jax.config import paper_config


def get_config():
    config = paper_config()
    config.objective.name = "simmim"
    # The rate and the decays of Xie et al., for batches of 2,048.
    config.optimizer.learning_rate = 8e-4
    config.optimizer.weight_decay = 0.05
    return config
