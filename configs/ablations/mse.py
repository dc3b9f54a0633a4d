"""The agreement of eq. (15) beside POI's expectation.

Command:  mubert pretrain --config=configs/ablations/mse.py --workdir=runs/mse \
              --config.data.path=DATA
Cost:     as configs/beyond.py, or less
Expected: the maps stay what they are: POI learns from its expectation
"""

from mubert_jax.config import default_config


def get_config():
    config = default_config()
    config.loss.agreement = "mse"
    return config
