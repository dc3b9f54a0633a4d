"""The tokenizer of patches whose tokens configs/baselines/beit.py learns to tell.

Command:  mubert pretrain --config=configs/baselines/vq_tokenizer.py --workdir=runs/tokenizer \
              --config.data.path=DATA
Cost:     a thirtieth of configs/baselines/mae.py per image
Expected: at least half of the codes in use (`codebook_use` of the metrics)
"""

from mubert_jax.config import paper_config


def get_config():
    config = paper_config()
    config.objective.name = "vq_tokenizer"
    # As many codes as DALL-E's tokenizer, which BEiT uses, and a wider network than the default's.
    config.objective.options = {"codes": 8192, "width": 256}
    config.training.epochs = 10.0
    config.optimizer.learning_rate = 1e-3
    return config
