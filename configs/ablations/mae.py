"""Masked pictures in the manner of SimMIM, in the place of Table 6's MAE.

Half of the patches are blanked instead of swapped and the encoder sees the blanks, as SimMIM's
does; all patches are scored, not the blanked ones alone. Same encoder and decoder, no DMA. MAE
itself hides three quarters of the patches from its encoder and scores those alone.

Command:  mubert pretrain --config=configs/ablations/mae.py --workdir=runs/mae \
              --config.data.path=DATA
Cost:     as configs/pretrain.py, or less
Expected: not the MAE row of Table 6, so no figure of the paper is to be compared with it
"""

from mubert_jax.config import paper_config


def get_config():
    config = paper_config()
    config.model.dma.kind = "none"
    config.model.poi.enabled = False
    config.loss.agreement = "none"
    config.swapping.kind = "mask"
    return config
