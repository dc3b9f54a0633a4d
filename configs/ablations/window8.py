"""DMA reads the patch alone, without its surroundings.

Command:  mubert pretrain --config=configs/ablations/window8.py --workdir=runs/window8 \
              --config.data.path=DATA
Cost:     as configs/beyond.py, or less
Expected: more exact beside a moving background, weaker in noise
"""

from mubert_jax.config import default_config


def get_config():
    config = default_config()
    config.model.dma.window = 8
    return config
