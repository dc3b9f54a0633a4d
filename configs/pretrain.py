"""The paper's pretraining: 224×224, patch 8, d 512, 4 + 4 blocks, batch 64 × 32, 100 epochs.

Command:  mubert pretrain --config=configs/pretrain.py --workdir=runs/paper --config.data.path=DATA
Cost:     8 M frames × 100 epochs; the paper took three days on 32 A100
Expected: not reproduced by anyone yet; no figure is claimed here

Where the paper leaves a point open, or cannot work as written, the defaults of
`mubert_jax/config.py` decide; docs/method.md lists the switches. configs/beyond.py scores better on
the synthetic benchmark. On one device take a batch that fits: --config.training.batch_size=64.
"""

from mubert_jax.config import paper_config


def get_config():
    # Section 5.2, which does not give the number of heads.
    config = paper_config()
    config.model.image_size = 224
    config.model.patch_size = 8
    config.model.dim = 512
    config.model.depth = 4
    config.model.heads = 4
    config.model.decoder.dim = 512
    config.model.decoder.depth = 4
    config.model.decoder.heads = 4
    config.swapping.ratio = 0.5
    config.data.delta = (5, 11)
    config.training.batch_size = 64 * 32
    config.training.epochs = 100.0
    config.optimizer.learning_rate = 1e-4
    return config
