"""S enters W = diag(Â) × S as eq. (12) has it, about 1/N.

Command:  mubert pretrain --config=configs/ablations/literal_scale.py --workdir=runs/literal_scale \
              --config.data.path=DATA
Cost:     as configs/beyond.py, or less
Expected: the maps stay what they are: they do not read W
"""

from mubert_jax.config import default_config


def get_config():
    config = default_config()
    config.model.poi.scale = "literal"
    return config
