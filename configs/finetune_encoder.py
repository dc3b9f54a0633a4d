"""The encoder of any objective learns to recognize emotions, each subject left out once.

Command:  mubert finetune --config=configs/finetune_encoder.py --workdir=runs/casme2_mae \
              --config.data.path=data/casme2 --config.training.init_from=runs/mae
          a linear layer on the frozen encoder: --config.recognition.network=linear_probe
          --config.recognition.features=encoder
Cost:     a copy of the encoder per fold, which is work for a GPU
Expected: not run at the paper's size; no licensed data set was at hand
"""

from mubert_jax.config import default_config


def get_config():
    config = default_config()
    config.recognition.network = "encoder"
    # As in configs/finetune_full.py.
    config.recognition.epochs = 40
    config.recognition.learning_rate = 1e-4
    config.recognition.weight_decay = (0.05,)
    return config
