"""A small μ-BERT that a laptop pretrains in minutes, on one clip.

Command:  bash launch/demo.sh            (or: bash launch/demo.sh my.mp4)
Cost:     about 5 minutes on 2 CPU cores
Expected: see README.md
"""

from mubert_jax.config import default_config


def get_config():
    config = default_config()
    config.model.image_size = 96
    config.model.dim = 128
    config.model.depth = 3
    config.model.decoder.dim = 128
    config.model.decoder.depth = 2
    config.model.dma.projection = "shared"
    config.swapping.min_block = 4
    config.loss.agreement = "dino"
    config.loss.crop.local_size = 48
    config.loss.crop.local_crops = 2
    config.loss.dino.hidden_dim = 256
    config.loss.dino.bottleneck_dim = 64
    config.loss.dino.output_dim = 64
    config.training.batch_size = 16
    config.training.steps = 600
    config.optimizer.learning_rate = 1e-3
    config.optimizer.warmup_steps = 50
    config.runtime.log_every = 5
    config.runtime.checkpoint_every = 200
    return config
