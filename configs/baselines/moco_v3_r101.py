"""MoCo v3 (Chen et al., 2021) with ResNet-101: the row "MoCo V3 - R101" of Table 6.

Command:  mubert pretrain --config=configs/baselines/moco_v3_r101.py --workdir=runs/moco_v3_r101 \
              --config.data.path=DATA
Cost:     the network on two views, forward and backward, and on two more forward alone
Expected: not run at this size
"""

from mubert_jax.config import paper_config


def get_config():
    config = paper_config()
    config.objective.name = "moco_v3"
    config.objective.options = {
        "backbone": "resnet101",
        "temperature": 1.0,
        "crop_scale": (0.2, 1.0),
    }
    # The rate and the decay of Chen et al. for ResNet-50 and 300 epochs, for batches of 2,048.
    config.optimizer.name = "lars"
    config.optimizer.learning_rate = 0.3 * 2048 / 256
    config.optimizer.weight_decay = 1e-6
    return config
