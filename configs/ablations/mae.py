"""Masked images in the manner of SimMIM, in place of the MAE of Table 6.

Half of the patches are blanked instead of swapped and the encoder sees the blanks, as in SimMIM;
all patches are scored, not only the blanked ones. Same encoder and decoder, no DMA. MAE itself
hides three quarters of the patches from its encoder and scores only these.

Command:  mubert pretrain --config=configs/ablations/mae.py --workdir=runs/mae \
              --config.data.path=DATA
Cost:     as configs/pretrain.py, or less
Expected: not the MAE row of Table 6, so it is not to be compared with any figure of the paper
"""

from mubert_jax.config import paper_config


def get_config():
    config = paper_config()
    config.model.dma.kind = "none"
    config.model.poi.enabled = False
    config.loss.agreement = "none"
    config.swapping.kind = "mask"
    return config
