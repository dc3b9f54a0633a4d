"""The paper's size with what sees best on the controlled benchmark: the library's defaults.

Command:  mubert pretrain --config=configs/beyond.py --workdir=runs/beyond --config.data.path=DATA
Cost:     as configs/pretrain.py
Expected: at a small size, README, "The controlled benchmark"; not run at this one

DMA reads windows of pixels and learns from movements that are put on unlabelled frames; POI learns
to expect where pairs move. On one device take a batch that fits: --config.training.batch_size=64.
"""

from mubert_jax.config import default_config


def get_config():
    config = default_config()
    config.model.image_size = 224
    config.model.dim = 512
    config.model.depth = 4
    config.data.delta = (5, 11)
    config.training.batch_size = 64 * 32
    config.training.epochs = 100.0
    config.optimizer.learning_rate = 1e-4
    return config
