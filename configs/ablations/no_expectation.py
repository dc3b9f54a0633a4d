"""Nothing trains POI.

Command:  mubert pretrain --config=configs/ablations/no_expectation.py \
              --workdir=runs/no_expectation --config.data.path=DATA
Cost:     as configs/beyond.py, or less
Expected: POI's mass on the face is the face's share of the frame
"""

from mubert_jax.config import default_config


def get_config():
    config = default_config()
    config.loss.expectation_weight = 0.0
    return config
