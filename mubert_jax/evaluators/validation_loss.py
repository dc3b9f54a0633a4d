"""The objective's own loss and metrics on held-out videos."""

import itertools
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from mubert_jax.config import Config
from mubert_jax.config_values import path_or
from mubert_jax.data.frames import FramePairs
from mubert_jax.data.pipeline import pretraining_batches
from mubert_jax.errors import UserError
from mubert_jax.training.evaluator import Evaluator
from mubert_jax.training.objective import Metrics, Objective, Params

# Seed of the order, of δ and of the objective's random choices. Any fixed number will do: it makes
# every measurement see the same views.
SEED = 0


@dataclass(frozen=True)
class Options:
    """The videos, a folder made by `mubert prepare`, and the number of pairs to take from them.

    64 is a choice: more pairs are less noisy and take longer.
    """

    path: str = path_or()
    pairs: int = 64


class ValidationLoss(Evaluator):
    """Means over fixed pairs and views, with the loss as it is at the end of the training."""

    Options = Options
    headline = "loss"
    higher_is_better = False

    def __init__(self, options: Options, config: Config, objective: Objective):
        if not options.path:
            raise UserError(
                "config.evaluation.validation_loss.path is empty; give a folder of videos that "
                "are not trained on, as mubert prepare makes one"
            )
        if options.pairs < 1:
            raise UserError("config.evaluation.validation_loss.pairs: choose 1 or more")
        size = min(options.pairs, config.training.batch_size)
        pairs = FramePairs(
            options.path, delta=config.data.delta, image_size=config.model.image_size
        )
        batches = pretraining_batches(pairs, batch_size=size, seed=SEED)
        self._batches = list(itertools.islice(batches, max(1, options.pairs // size)))
        batches.close()

        @jax.jit
        def metrics_of(params: Params, extra: dict, batch: dict[str, jax.Array]) -> Metrics:
            views = objective.views(jax.random.key(SEED), batch)
            loss, (metrics, _) = objective.loss(params, extra, views, jnp.asarray(1.0))
            return metrics | {"loss": loss}

        self._metrics_of = metrics_of

    def __call__(self, params: Params, extra: dict) -> dict[str, float]:
        found = [jax.device_get(self._metrics_of(params, extra, b)) for b in self._batches]
        return {name: np.mean([metrics[name] for metrics in found]) for name in found[0]}
