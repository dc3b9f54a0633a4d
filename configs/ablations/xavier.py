"""MB2 with the usual initialisation of Q and K.

Command:  mubert pretrain --config=configs/ablations/xavier.py --workdir=runs/xavier \
              --config.data.path=DATA
Cost:     as configs/pretrain.py, or less
Expected: worse maps than MB2's (in-face AUC 0.72 instead of 0.77): diag(Â) starts at 1/N everywhere
"""

from mubert_jax.config import paper_config


def get_config():
    config = paper_config()
    config.model.poi.enabled = False
    config.loss.agreement = "none"
    config.model.dma.initial = "xavier"
    return config
