"""Dual-Inception (Zhou et al., 2019) on the two components of flow, each subject left out once.

Command:  mubert finetune --config=configs/recognition/dual_inception.py \
              --workdir=runs/dual_inception --config.data.path=data/casme2
Cost:     minutes per fold on a CPU; meant for a GPU
Expected: docs/recognition.md
"""

from mubert_jax.config import default_config


def get_config():
    config = default_config()
    config.model.image_size = 112
    config.recognition.network = "dual_inception"
    config.recognition.epochs = 40
    config.recognition.batch_size = 3
    config.recognition.learning_rate = 1e-4
    config.recognition.weight_decay = (0.0,)
    config.recognition.balance = "loss"
    return config
