"""Motion tokens in DMA, taught by known movements, and a POI that knows faces: the shipped weights.

Command:  bash launch/shipped.sh
          mubert bench perception --checkpoint=demo/shipped/run
Cost:     7 minutes for the data, 22 for the training, 5 for the benchmark, on 2 CPU cores
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
    config.model.dma.reads = "motion"
    config.model.dma.motion_dim = 96
    # Weaker than what the benchmark draws, for emotions that are weaker still.
    config.loss.warp.amplitude = (0.2, 3.0)
    # A map that has never met a background that moves by itself loses the face before one. Other
    # shares were not tried.
    config.loss.warp.surroundings = 0.4
    # Drawn faces, whose place is known, teach POI. What changes most in a real video is a window or
    # a collar.
    config.loss.face_weight = 1.0
    config.loss.expectation_weight = 0.0
    config.swapping.min_block = 8
    config.data.delta = (3, 8)
    config.training.batch_size = 16
    config.training.steps = 1300
    config.optimizer.learning_rate = 1e-3
    config.optimizer.warmup_steps = 60
    # The likelihood of a displacement is steep where the trunk is sure and wrong.
    config.optimizer.clip_norm = 1.0
    config.runtime.checkpoint_every = 200
    return config
