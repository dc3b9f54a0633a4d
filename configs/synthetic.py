"""A small μ-BERT for the synthetic benchmark, on synthetic people.

Command:  mubert prepare synthetic --output=data/synthetic --size=112 --subjects=320 --clips=3 \
              --frames=16
          mubert pretrain --config=configs/synthetic.py --workdir=runs/synthetic \
              --config.data.path=data/synthetic
          mubert bench perception --checkpoint=runs/synthetic
Cost:     4 minutes for the data, 15 for the training, 7 for the benchmark, on 2 CPU cores
Expected: docs/benchmark.md
"""

from mubert_jax.config import default_config


def get_config():
    config = default_config()
    # Small and short, for two CPU cores: half the paper's side, so blocks are smaller, and δ fits
    # into clips of 16 frames.
    config.model.image_size = 112
    config.model.dim = 128
    config.model.depth = 4
    config.model.decoder.dim = 128
    config.model.decoder.depth = 2
    config.swapping.min_block = 8
    config.data.delta = (3, 8)
    config.training.batch_size = 16
    config.training.steps = 1000
    config.optimizer.learning_rate = 1e-3
    config.optimizer.warmup_steps = 60
    config.runtime.checkpoint_every = 200
    return config
