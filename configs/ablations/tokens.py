"""DMA compares the encoder's tokens, as in the paper, and learns from known movements.

Command:  mubert pretrain --config=configs/ablations/tokens.py --workdir=runs/tokens \
              --config.data.path=DATA
Cost:     as configs/beyond.py, or less
Expected: the map drowns in noise: deep tokens lose what a linear window keeps
"""

from mubert_jax.config import default_config


def get_config():
    config = default_config()
    config.model.dma.reads = "tokens"
    return config
