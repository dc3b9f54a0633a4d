"""MB2 of Table 6: swapping + DMA.

Command:  mubert pretrain --config=configs/ablations/mb2.py --workdir=runs/mb2 \
              --config.data.path=DATA
Cost:     as configs/pretrain.py, or less
Expected: not reproduced yet; Table 6 of the paper gives its own figures
"""

from mubert_jax.config import paper_config


def get_config():
    config = paper_config()
    config.model.dma.kind = "diagonal"
    config.model.poi.enabled = False
    config.loss.agreement = "none"
    return config
