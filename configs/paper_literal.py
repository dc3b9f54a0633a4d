"""The paper to the letter, even where configs/pretrain.py departs from it.

Command:  mubert pretrain --config=configs/paper_literal.py --workdir=runs/literal \
              --config.data.path=DATA
Cost:     as configs/pretrain.py
Expected: worse than pretrain.py: W = diag(Â) × S is about 1e-6 at N = 784, so the decoder sees
          little but positions, and MSE agreement collapses the contextual token (watch
          `contextual_std`)
"""

from mubert_jax.config import paper_config


def get_config():
    config = paper_config()
    config.model.dma.initial = "xavier"
    config.model.poi.scale = "literal"
    config.loss.agreement = "mse"
    return config
