"""Blocks of 4 patches or more are swapped instead of 16.

Command:  mubert pretrain --config=configs/ablations/small_blocks.py --workdir=runs/small_blocks \
              --config.data.path=DATA
Cost:     as configs/beyond.py, or less
Expected: the maps stay what they are
"""

from mubert_jax.config import default_config


def get_config():
    config = default_config()
    config.swapping.min_block = 4
    return config
