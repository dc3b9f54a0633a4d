"""Encoder, DMA and recognizer learn, each subject left out once; the paper's reading of P_dma.

Command:  mubert finetune --config=configs/finetune_full.py --workdir=runs/casme2_full \
              --config.data.path=data/casme2 --config.training.init_from=RUN
          --config.model.recognizer.reads=displacement reads which way patches moved instead
Cost:     a copy of the backbone per fold, which is work for a GPU
Expected: docs/recognition.md
"""

from mubert_jax.config import default_config


def get_config():
    config = default_config()
    config.training.init_from = "shipped"
    config.recognition.network = "micron_bert"
    # The rate and the decay of the pretraining; more epochs fit better and cost more.
    config.recognition.epochs = 40
    config.recognition.learning_rate = 1e-4
    config.recognition.weight_decay = (0.05,)
    return config
