"""The agreement of the official code beside POI's expectation.

Command:  mubert pretrain --config=configs/ablations/dino.py --workdir=runs/dino \
              --config.data.path=DATA
Cost:     twice that of configs/beyond.py, or more
Expected: the maps stay what they are, at twice the cost or more
"""

from mubert_jax.config import default_config


def get_config():
    config = default_config()
    config.loss.agreement = "dino"
    return config
