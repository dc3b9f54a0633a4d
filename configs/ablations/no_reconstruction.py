"""Nothing is reconstructed: known movements and expectation alone.

Command:  mubert pretrain --config=configs/ablations/no_reconstruction.py \
              --workdir=runs/no_reconstruction --config.data.path=DATA
Cost:     as configs/beyond.py, or less
Expected: the maps do not need L_r; the tokens might
"""

from mubert_jax.config import default_config


def get_config():
    config = default_config()
    config.loss.reconstruction_weight = 0.0
    return config
