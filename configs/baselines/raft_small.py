"""RAFT (Teed and Deng, 2020), small, on known movements of one's own frames: a row of Figure 7.

Command:  mubert pretrain --config=configs/baselines/raft_small.py --workdir=runs/raft_small \
              --config.data.path=DATA
          mubert export --checkpoint=runs/raft_small --format=safetensors --output=raft.safetensors
          MUBERT_RAFT=raft.safetensors mubert figure7 ...
Cost:     on 2 CPU cores, frames of 112 pixels: docs/benchmark.md, Optical flow
Expected: the same place

Where torchvision's weights can be had, they have seen more than faces: docs/benchmark.md.
"""

from mubert_jax.config import default_config


def get_config():
    config = default_config()
    config.objective.name = "raft"
    # Small parts and few updates, for a CPU; at 368 pixels and 12 updates it was published.
    config.objective.options = {"size": "small", "crop": 32, "updates": 4}
    config.model.image_size = 112
    # The rate, the decay and the clipping of Teed and Deng; their batches are nearly as small.
    config.optimizer.learning_rate = 4e-4
    config.optimizer.weight_decay = 1e-4
    config.optimizer.warmup_steps = 100
    config.optimizer.clip_norm = 1.0
    config.training.batch_size = 4
    config.training.steps = 2000
    return config
