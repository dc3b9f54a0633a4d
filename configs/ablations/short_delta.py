"""Pairs are 1 to 4 frames apart instead of 5 to 11.

Command:  mubert pretrain --config=configs/ablations/short_delta.py --workdir=runs/short_delta \
              --config.data.path=DATA
Cost:     as configs/beyond.py, or less
Expected: the maps stay what they are
"""

from mubert_jax.config import default_config


def get_config():
    config = default_config()
    config.data.delta = (1, 4)
    return config
