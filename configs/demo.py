"""A small μ-BERT that two CPU cores pretrain in minutes, on one clip.

Command:  bash launch/demo.sh            (or: bash launch/demo.sh my.mp4)
Cost:     about 4 minutes on 2 CPU cores
Expected: reconstruction (normalised pixels) from 1.6 to 0.18; the maps in docs/tutorial.md
"""

from mubert_jax.config import default_config


def get_config():
    config = default_config()
    # Small and short, for two CPU cores, with a high learning rate for so few steps.
    config.model.image_size = 128
    config.model.dim = 96
    config.model.depth = 3
    config.model.decoder.dim = 96
    config.model.decoder.depth = 2
    config.swapping.min_block = 8
    config.data.delta = (2, 6)
    config.training.batch_size = 8
    config.training.steps = 350
    config.optimizer.learning_rate = 2e-3
    config.optimizer.warmup_steps = 40
    config.runtime.log_every = 5
    config.runtime.checkpoint_every = 100
    return config
