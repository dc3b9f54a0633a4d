"""RCN-A (Xia et al., 2020) on flow and strain, each subject left out once.

Command:  mubert finetune --config=configs/recognition/rcn.py --workdir=runs/rcn \
              --config.data.path=data/casme2
          56 k parameters: --config.recognition.options.channels=64
          --config.recognition.options.cells=7
Cost:     1 CPU-minute per fold of 256 training clips
Expected: docs/recognition.md
"""

from mubert_jax.config import default_config


def get_config():
    config = default_config()
    config.model.image_size = 112
    config.recognition.network = "rcn"
    config.recognition.epochs = 100
    config.recognition.batch_size = 64
    config.recognition.learning_rate = 5e-4
    config.recognition.weight_decay = (0.0,)
    config.recognition.balance = "none"
    return config
