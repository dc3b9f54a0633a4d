"""Q and K of DMA are two projections, as in the paper.

Command:  mubert pretrain --config=configs/ablations/separate.py --workdir=runs/separate \
              --config.data.path=DATA
Cost:     as configs/beyond.py, or less
Expected: the maps stay what they are: both start alike and hardly part
"""

from mubert_jax.config import default_config


def get_config():
    config = default_config()
    config.model.dma.projection = "separate"
    return config
