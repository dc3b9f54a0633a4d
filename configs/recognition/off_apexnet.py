"""OFF-ApexNet (Gan et al., 2019) on the two components of flow, each subject left out once.

Command:  mubert finetune --config=configs/recognition/off_apexnet.py --workdir=runs/off_apexnet \
              --config.data.path=data/casme2
Cost:     2 CPU-minutes per fold of 256 training clips
Expected: docs/recognition.md

3,000 iterations, as published, are 214 epochs of 14 batches of 32 for the 442 clips of MEGC2019;
the size of a batch is a choice.
"""

from mubert_jax.config import default_config


def get_config():
    config = default_config()
    config.model.image_size = 112
    config.recognition.network = "off_apexnet"
    config.recognition.epochs = 214
    config.recognition.batch_size = 32
    config.recognition.learning_rate = 1e-4
    config.recognition.weight_decay = (0.0,)
    config.recognition.balance = "none"
    return config
