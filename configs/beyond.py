"""The paper's size with what scores best on the synthetic benchmark: the library's defaults.

Command:  mubert pretrain --config=configs/beyond.py --workdir=runs/beyond --config.data.path=DATA
Cost:     as configs/pretrain.py
Expected: at a small size, docs/benchmark.md; not run at this one

DMA reads windows of pixels and learns from movements that are put on unlabelled frames; POI learns
where movement is to be expected. On one device take a batch that fits:
--config.training.batch_size=64.
"""

from mubert_jax.config import default_config


def get_config():
    return default_config()
