"""MAE (He et al., 2022) with the paper's encoder and decoder: the row "MAE" of Table 6.

Command:  mubert pretrain --config=configs/baselines/mae.py --workdir=runs/mae \
              --config.data.path=DATA
Cost:     half of configs/pretrain.py's without agreement: the encoder reads a quarter of one image
Expected: not run at this size
"""

from mubert_jax.config import paper_config


def get_config():
    config = paper_config()
    config.objective.name = "mae"
    # The rate and the decays of He et al., for batches of 2,048.
    config.optimizer.learning_rate = 1.5e-4 * 2048 / 256
    config.optimizer.beta2 = 0.95
    config.optimizer.weight_decay = 0.05
    return config
