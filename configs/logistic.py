"""Logistic regression on Farnebäck flow, the mean of each patch; each subject left out once.

Command:  mubert finetune --config=configs/logistic.py --workdir=runs/logistic \
              --config.data.path=data/casme2
          other maps: --config.recognition.features=tvl1
Cost:     a minute for 320 clips and 40 folds, on 2 CPU cores
Expected: docs/recognition.md
"""

from mubert_jax.config import default_config


def get_config():
    config = default_config()
    config.model.image_size = 112
    config.recognition.features = "farneback"
    return config
