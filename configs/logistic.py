"""Logistic regression on Farnebäck flow, at places of the face; each subject left out once.

Command:  mubert finetune --config=configs/logistic.py --workdir=runs/logistic \
              --config.data.path=data/casme2
          other maps: --config.recognition.features=tvl1
Cost:     a minute for 320 clips and 40 folds, on 2 CPU cores
Expected: docs/recognition.md

The face is where the package's POI sees it, as for configs/finetune.py;
--config.model.recognizer.places=frame reads the patches of the frame.
"""

from mubert_jax.config import default_config


def get_config():
    config = default_config()
    config.training.init_from = "shipped"
    config.model.recognizer.places = "face"
    config.recognition.features = "farneback"
    return config
