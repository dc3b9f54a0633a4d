"""STSTNet (Liong et al., 2019) on flow and strain, each subject left out once.

Command:  mubert finetune --config=configs/recognition/ststnet.py --workdir=runs/ststnet \
              --config.data.path=data/casme2
          u and v in pixels, not stretched: --config.recognition.options.normalise=pixels
Cost:     8 minutes for 442 clips and 68 folds, on 2 CPU cores
Expected: UF1 0.735, UAR 0.719 on MEGC2019, by its own log, whose "UAR" of 0.761 is macro
          precision; docs/recognition.md
"""

from mubert_jax.config import default_config


def get_config():
    config = default_config()
    config.model.image_size = 112
    config.recognition.network = "ststnet"
    config.recognition.epochs = 500
    config.recognition.learning_rate = 5e-5
    config.recognition.weight_decay = (0.0,)
    config.recognition.balance = "none"
    return config
