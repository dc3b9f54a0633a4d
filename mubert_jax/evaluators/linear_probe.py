"""A linear probe on the frozen encoder, tested on labelled pairs, leaving one subject out."""

import math
from dataclasses import dataclass

import numpy as np

from mubert_jax.config import Config
from mubert_jax.config_values import path_or
from mubert_jax.data.alignment import aligned
from mubert_jax.data.pairs import LabelledPairs
from mubert_jax.errors import UserError
from mubert_jax.perception.emotions import Labelled, recognition, token_changes
from mubert_jax.perception.registering import without_interest
from mubert_jax.recognition.metrics import uf1
from mubert_jax.training.evaluator import Evaluator
from mubert_jax.training.objective import Objective, Params


@dataclass(frozen=True)
class Options:
    """The labelled pairs: a folder made by `mubert prepare`."""

    path: str = path_or()


class LinearProbe(Evaluator):
    """UF1 of a logistic regression on the change of the tokens; every pair is tested once."""

    Options = Options
    headline = "uf1"

    def __init__(self, options: Options, config: Config, objective: Objective):
        if not options.path:
            raise UserError(
                "config.evaluation.linear_probe.path is empty; give a folder of labelled pairs, "
                "such as mubert prepare casme2 makes"
            )
        pairs = LabelledPairs(options.path, config.model.image_size)
        if len(set(pairs.subject)) < 2:
            raise UserError(f"{options.path}: one subject cannot be left out; give more")
        align = without_interest(config.perception.align)
        both = zip(pairs.onset, pairs.apex, strict=True)
        apex = [aligned(align, apex, onset) for onset, apex in both]
        self._pairs = Labelled(
            pairs.onset, np.stack(apex), np.array(pairs.label), np.array(pairs.subject)
        )
        self._encode = objective.encode

    def __call__(self, params: Params, extra: dict) -> dict[str, float]:
        features = token_changes(self._encode, params, extra)(self._pairs)
        if not np.isfinite(features).all():  # the training reports it at the next step
            return {"uf1": math.nan}
        return {"uf1": recognition(features, self._pairs, uf1).value}
