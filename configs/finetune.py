"""A linear recognizer on the frozen backbone, each subject left out once.

Command:  mubert prepare casme2 --input=CASME2 --output=data/casme2 --size=112 --align=robust
          mubert finetune --config=configs/finetune.py --workdir=runs/casme2 \
              --config.data.path=data/casme2 --config.recognition.published=casme2-5
Cost:     under a minute for 250 clips and 26 folds, on 2 CPU cores
Expected: docs/recognition.md; no licensed data set was at hand

The backbone is the package's own; --config.training.init_from=RUN takes yours, at its own size.
"""

from mubert_jax.config import default_config


def get_config():
    config = default_config()
    config.training.init_from = "shipped"
    config.model.recognizer.reads = "displacement"
    config.model.recognizer.places = "face"
    return config
