"""HTNet (Wang et al., 2024) on flow and strain at eyes and mouth, each subject left out once.

Command:  mubert finetune --config=configs/recognition/htnet.py --workdir=runs/htnet \
              --config.data.path=data/casme2
          a small one: --config.recognition.options.dim=32
          --config.recognition.options.repeats="(1, 1, 2)"
Cost:     139.6 M parameters per fold and 800 epochs: work for a GPU
Expected: UF1 0.86 is published, for the best epoch on the test subject; 0.65 is what a user had at
          the last one, which is what this measures; docs/recognition.md
"""

from mubert_jax.config import default_config


def get_config():
    config = default_config()
    config.model.image_size = 112
    config.recognition.network = "htnet"
    config.recognition.epochs = 800
    config.recognition.batch_size = 256
    config.recognition.learning_rate = 5e-5
    config.recognition.weight_decay = (0.0,)
    config.recognition.balance = "none"
    return config
