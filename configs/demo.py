"""Goes on from the package's weights with one clip, in a minute on two CPU cores.

Command:  bash launch/demo.sh            (or: bash launch/demo.sh my.mp4)
Cost:     3 minutes on 2 CPU cores, all of it
Expected: the maps in docs/tutorial.md
"""

from mubert_jax.config import default_config


def get_config():
    config = default_config()
    # The model of configs/motion.py, which made the package's weights.
    config.model.image_size = 112
    config.model.dim = 128
    config.model.depth = 4
    config.model.decoder.dim = 128
    config.model.decoder.depth = 2
    config.model.dma.reads = "motion"
    config.model.dma.motion_dim = 96
    config.training.init_from = "shipped"
    # DMA learns how the frames of this clip look when something moves in them. POI keeps what it
    # knows of faces: from one clip, reconstruction and expectation both draw it to the window.
    config.loss.reconstruction_weight = 0.0
    config.loss.expectation_weight = 0.0
    config.loss.warp.surroundings = 0.4
    config.loss.warp.amplitude = (0.2, 3.0)
    config.swapping.min_block = 8
    config.data.delta = (2, 6)
    config.training.batch_size = 8
    config.training.steps = 80
    config.optimizer.learning_rate = 2e-4
    config.optimizer.warmup_steps = 10
    config.runtime.log_every = 5
    config.runtime.checkpoint_every = 40
    return config
