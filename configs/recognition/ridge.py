"""Ridge regression on the means of flow and strain over 7 × 7 cells, each subject left out once.

Command:  mubert finetune --config=configs/recognition/ridge.py --workdir=runs/ridge \
              --config.data.path=data/casme2
Cost:     seconds, most of which are optical flow
Expected: UF1 0.69, UAR 0.75 on the published flow of MEGC2019; docs/recognition.md
"""

from mubert_jax.config import default_config


def get_config():
    config = default_config()
    config.model.image_size = 112
    config.recognition.network = "ridge"
    config.recognition.weight_decay = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
    return config
