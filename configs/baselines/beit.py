"""BEiT (Bao et al., 2022) with the paper's encoder: the row "BEIT" of Table 6.

Command:  mubert pretrain --config=configs/baselines/vq_tokenizer.py --workdir=runs/tokenizer \
              --config.data.path=DATA
          mubert pretrain --config=configs/baselines/beit.py --workdir=runs/beit \
              --config.data.path=DATA --config.objective.options.tokenizer=runs/tokenizer
          or, in place of the first, with DALL-E's tokens as Bao et al. have them:
          mubert import --input=encoder.pkl --workdir=runs/tokenizer
Cost:     half of configs/pretrain.py's without agreement: one image per pair; DALL-E's tokens take
          2.2 times as many FLOPs beside
Expected: not run at this size
"""

from mubert_jax.config import paper_config


def get_config():
    config = paper_config()
    config.objective.name = "beit"
    # Blocks from 16 patches of 16 pixels, as in Bao et al., are 64 patches here.
    config.objective.options = {"tokenizer": "", "min_block": 64}
    # The rate, the decay and the clipping of Bao et al., for batches of 2,048.
    config.optimizer.learning_rate = 1.5e-3
    config.optimizer.weight_decay = 0.05
    config.optimizer.clip_norm = 3.0
    return config
