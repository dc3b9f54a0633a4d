"""The interface of a pretraining method: one object, whose parts `step` puts together."""

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from mubert_jax.config import Config
from mubert_jax.config_values import from_values

Params = dict[str, Any]
Metrics = dict[str, jax.Array]


@dataclass(frozen=True)
class NoOptions:
    """The options of an objective, a network or an evaluator that has none."""


class Objective(abc.ABC):
    """A pretraining method; each file of `mubert_jax.objectives` defines one subclass.

    `init`, `extra`, `views`, `loss` and `after_update` are pure and are compiled by `jax.jit`.

    Attributes:
      config: the config of the run.
      Options: a frozen dataclass: what `config.objective.options` may hold, and its defaults.
      options: the `Options` of this run.
      panels: the panels of `training.png` for it: title -> metric -> label.
      frozen: the parameters that keep their first values, as beginnings of slash-joined paths.
      layout: whose names and shapes `to_take_away` gives, such as "timm".
    """

    Options: type = NoOptions
    panels: Mapping[str, Mapping[str, str]] = {}
    frozen: Sequence[str] = ()
    layout: str = "mubert_jax"

    def __init__(self, config: Config):
        """Reads the options of the config.

        Raises:
          UserError: they are not those of `Options`.
        """
        self.config = config
        given = config.objective.options
        self.options: Any = from_values(self.Options, given, "config.objective.options")

    @abc.abstractmethod
    def init(self, key: jax.Array) -> Params:
        """The first parameters."""

    def extra(self, params: Params) -> dict:
        """The initial state beside `params` that has no gradient: a teacher, a centre, ..."""
        return {}

    def from_disk(self) -> dict:
        """Further parts of the first `extra`, on the host: those that are read from files.

        It is called when a run is set up, and never within a compiled function.

        Raises:
          UserError: a file is missing, or does not fit.
        """
        return {}

    @abc.abstractmethod
    def views(self, key: jax.Array, batch: dict[str, jax.Array]) -> Any:
        """The inputs of the loss: arrays with the batch's leading axis, and all that is random.

        Each device draws the views of its own examples, so a view must depend on its example alone:
        derive its key from `key` and the example's `index`.

        Args:
          key: The run's key.
          batch: uint8 `current` and `reference` (B, H, W, 3) and uint32 `index` (B,).
        """

    @abc.abstractmethod
    def loss(
        self, params: Params, extra: dict, views: Any, progress: jax.Array
    ) -> tuple[jax.Array, tuple[Metrics, dict]]:
        """The loss, scalar metrics, and statistics of the batch for `after_update`.

        With micro-batches, metrics and statistics are averaged over them.

        Args:
          progress: The share of the training that is done, from 0 to 1.
        """

    def after_update(
        self, params: Params, extra: dict, statistics: dict, progress: jax.Array
    ) -> dict:
        """The new `extra`, given the new `params`."""
        return extra

    def encode(self, params: Params, extra: dict, images: jax.Array) -> jax.Array:
        """Tokens (B, N, D), in row-major order, of normalised images (B, H, W, 3).

        They are what probes and recognizers read.
        """
        raise NotImplementedError(f"{type(self).__name__} has nothing to probe")

    def to_take_away(self, params: Params, extra: dict) -> dict[str, np.ndarray]:
        """What `mubert export` writes of a run: tensors in PyTorch's layout, by name.

        Raises:
          NotImplementedError: there is nothing that other programs could use.
        """
        raise NotImplementedError(f"{type(self).__name__} has no tensors to take away")

    def flops_per_pair(self) -> float:
        """Model FLOPs per pair and step, for the utilisation; 0 where they are not known."""
        return 0.0
