"""What a pretraining method is to the training: one object, whose parts `step` puts together."""

import abc
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax

from mubert_jax.config import Config
from mubert_jax.config_values import from_values

Params = dict[str, Any]
Metrics = dict[str, jax.Array]


@dataclass(frozen=True)
class NoOptions:
    """Of an objective, a network or an evaluator that has none."""


class Objective(abc.ABC):
    """A pretraining method; a subclass of it in a file of `mubert_jax.objectives` is found there.

    `init`, `extra`, `views`, `loss` and `after_update` are pure and are compiled by `jax.jit`.

    Attributes:
      config: of the run.
      Options: a frozen dataclass: what `config.objective.options` may hold, and its defaults.
      options: one of them.
      panels: what `training.png` shows of it: title -> metric -> its label.
    """

    Options: type = NoOptions
    panels: Mapping[str, Mapping[str, str]] = {}

    def __init__(self, config: Config):
        """Raises UserError where the options are not those of `Options`."""
        self.config = config
        given = config.objective.options
        self.options = from_values(self.Options, given, "config.objective.options")

    @abc.abstractmethod
    def init(self, key: jax.Array) -> Params:
        """The first parameters."""

    def extra(self, params: Params) -> dict:
        """What is kept beside the first `params` and has no gradient: a teacher, a centre, ..."""
        return {}

    @abc.abstractmethod
    def views(self, key: jax.Array, batch: dict[str, jax.Array]) -> Any:
        """What is learnt from, as arrays whose leading axis is the batch's; all that is random.

        Each device draws the views of its own examples, so a view depends on its example alone: its
        key is to come from `key` and the example's `index`.

        Args:
          key: of the run.
          batch: uint8 `current` and `reference` (B, H, W, 3) and uint32 `index` (B,).
        """

    @abc.abstractmethod
    def loss(
        self, params: Params, extra: dict, views: Any, progress: jax.Array
    ) -> tuple[jax.Array, tuple[Metrics, dict]]:
        """The loss, metrics as scalars, and statistics of the batch for `after_update`.

        Of a batch that is taken in micro-batches, metrics and statistics are averaged over them.

        Args:
          progress: from 0 to 1 in the course of the training.
        """

    def after_update(
        self, params: Params, extra: dict, statistics: dict, progress: jax.Array
    ) -> dict:
        """The new `extra`, given the new `params`."""
        return extra

    def encode(self, params: Params, images: jax.Array) -> jax.Array:
        """What a probe reads of normalised images (B, H, W, 3): tokens (B, N, D), rows first."""
        raise NotImplementedError(f"{type(self).__name__} has nothing to probe")

    def flops_per_pair(self) -> float:
        """Model FLOPs of one pair in one step, for the utilisation; 0 where it is not known."""
        return 0.0
