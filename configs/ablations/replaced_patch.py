"""MB2 and the loss that the paper advises against: finding the swapped patches by diag(Â).

Command:  mubert pretrain --config=configs/ablations/replaced_patch.py --workdir=runs/replaced \
              --config.data.path=DATA
Cost:     as configs/pretrain.py, or less
Expected: diag(Â) tells swapped from kept patches early; whether maps gain is open. Light and noise
          are drawn anew, or it would spot the sensor's noise
"""

from mubert_jax.config import paper_config


def get_config():
    config = paper_config()
    config.model.poi.enabled = False
    config.loss.agreement = "none"
    config.loss.replaced_patch_weight = 1.0
    # About what `loss.warp` puts on frames.
    config.augmentation.gain = 0.1
    config.augmentation.gradient = 0.1
    config.augmentation.noise = 4.0
    return config
