"""CapsuleNet (Quang et al., 2019) on apex frames, each subject left out once.

Command:  mubert finetune --config=configs/recognition/capsulenet.py --workdir=runs/capsulenet \
              --config.data.path=data/casme2
          as published, from ImageNet: --config.recognition.options.weights=resnet18-f37072fd.pth
Cost:     a ResNet-18 at 224 px per fold, without its max-pool: work for a GPU
Expected: UF1 0.652, UAR 0.651 on MEGC2019, by its own log, for the best epoch on the test subject;
          not run at full size here
"""

from mubert_jax.config import default_config


def get_config():
    config = default_config()
    config.model.image_size = 112
    config.recognition.network = "capsulenet"
    config.recognition.epochs = 30
    config.recognition.batch_size = 32
    config.recognition.learning_rate = 1e-4
    config.recognition.weight_decay = (0.0,)
    config.recognition.balance = "none"
    return config
