"""POI learns by telling frames apart by their crops, not by expecting movement.

Command:  mubert pretrain --config=configs/ablations/contrastive.py --workdir=runs/contrastive \
              --config.data.path=DATA
Cost:     as configs/beyond.py, or less
Expected: some mass on the face, far less than by expectation
"""

from mubert_jax.config import default_config


def get_config():
    config = default_config()
    config.loss.expectation_weight = 0.0
    config.loss.agreement = "contrastive"
    config.loss.agreement_weight = 2.0
    return config
