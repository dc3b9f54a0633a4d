"""MAE of Table 6: patches are blanked instead of swapped; same encoder and decoder, no DMA.

Command:  mubert pretrain --config=configs/ablations/mae.py --workdir=runs/mae \
              --config.data.path=DATA
Cost:     as configs/pretrain.py, or less
Expected: not reproduced yet; Table 6 of the paper gives its own figures
"""

from mubert_jax.config import paper_config


def get_config():
    config = paper_config()
    config.model.dma.kind = "none"
    config.model.poi.enabled = False
    config.loss.agreement = "none"
    config.swapping.kind = "mask"
    return config
