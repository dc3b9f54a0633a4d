"""Q and K of DMA are two projections, as in the paper.

Command:  mubert pretrain --config=configs/ablations/separate.py --workdir=runs/separate \
              --config.data.path=DATA
Cost:     as configs/beyond.py, or less
Expected: the two start alike and drift apart: the map is no distance any more
"""

from mubert_jax.config import default_config


def get_config():
    config = default_config()
    config.model.dma.projection = "separate"
    return config
