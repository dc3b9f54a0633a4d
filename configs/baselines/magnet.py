"""MagNet (Oh et al., 2018), which Figure 7 shows, on the frames of a data set.

Command:  mubert prepare video --input=VIDEOS --output=DATA --size=384
          mubert pretrain --config=configs/baselines/magnet.py --workdir=runs/magnet \
              --config.data.path=DATA
          mubert export --checkpoint=runs/magnet --format=safetensors --output=magnet.safetensors
Cost:     not run at this size; 3 steps per second with crops of 32 pixels on 2 CPU cores
Expected: docs/magnify.md, of a small run
"""

from mubert_jax.config import default_config


def get_config():
    config = default_config()
    config.objective.name = "magnet"
    config.model.image_size = 384
    # Adam, the rate and the batch of Oh et al.
    config.optimizer.learning_rate = 1e-4
    config.optimizer.weight_decay = 0.0
    config.training.batch_size = 4
    config.training.steps = 100_000
    return config
