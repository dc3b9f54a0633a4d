"""The decoder gives the residual to the swapped frame.

Command:  mubert pretrain --config=configs/ablations/residual.py --workdir=runs/residual \
              --config.data.path=DATA
Cost:     as configs/beyond.py, or less
Expected: the maps stay what they are
"""

from mubert_jax.config import default_config


def get_config():
    config = default_config()
    config.model.decoder.predict = "residual"
    return config
