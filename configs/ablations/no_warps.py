"""DMA's projection learns from reconstruction alone; no movements are put on frames.

Command:  mubert pretrain --config=configs/ablations/no_warps.py --workdir=runs/no_warps \
              --config.data.path=DATA
Cost:     as configs/beyond.py, or less
Expected: near plain subtraction: nothing tells it what light and noise are
"""

from mubert_jax.config import default_config


def get_config():
    config = default_config()
    config.loss.warp_weight = 0.0
    return config
