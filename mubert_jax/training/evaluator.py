"""Measurements that are taken during a training, every so many steps."""

import abc
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from mubert_jax.config import Config
from mubert_jax.training.objective import NoOptions, Objective


class Evaluator(abc.ABC):
    """A measurement of the weights; each file of `mubert_jax.evaluators` defines one subclass.

    It is a function of the weights alone: measuring again gives the same values.

    Attributes:
      Options: a frozen dataclass: what `config.evaluation.NAME` may hold beside `every`.
      headline: the metric that decides which step is best.
      higher_is_better: whether the best value of it is the highest.
    """

    Options: type = NoOptions
    headline: str
    higher_is_better: bool = True

    @abc.abstractmethod
    def __init__(self, options: Any, config: Config, objective: Objective):
        """Prepares for a run; `options` is an `Options`.

        Raises:
          UserError: it cannot measure such a run.
        """

    @abc.abstractmethod
    def __call__(self, params: dict, extra: dict) -> dict[str, float]:
        """The metrics of the weights, given as in `TrainState`."""


@dataclass(frozen=True)
class Evaluation:
    """An evaluator of a run, its name, and the number of steps between two measurements."""

    name: str
    every: int
    evaluator: Evaluator

    @property
    def headline(self) -> str:
        """The name of its headline among all metrics."""
        return f"{self.name}/{self.evaluator.headline}"

    def due(self, step: int, last: bool) -> bool:
        return last or step % self.every == 0

    def __call__(self, params: dict, extra: dict) -> dict[str, float]:
        """The metrics under the names that they have among all metrics, "NAME/METRIC"."""
        found = self.evaluator(params, extra)
        return {f"{self.name}/{metric}": float(value) for metric, value in found.items()}

    def best(self, rows: Iterable[dict[str, float]]) -> dict[str, float] | None:
        """The row of metrics with the best headline; None where no row has one."""
        measured = [row for row in rows if math.isfinite(row.get(self.headline, math.nan))]
        if not measured:
            return None
        choose = max if self.evaluator.higher_is_better else min
        return choose(measured, key=lambda row: row[self.headline])
