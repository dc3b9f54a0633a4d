"""What is measured in the course of a training, every so many steps."""

import abc
import math
from collections.abc import Iterable
from dataclasses import dataclass

from mubert_jax.config import Config
from mubert_jax.training.objective import NoOptions, Objective


class Evaluator(abc.ABC):
    """A measurement; a subclass of it in a file of `mubert_jax.evaluators` is found there.

    It is a function of the weights: measured again, it is the same.

    Attributes:
      Options: a frozen dataclass: what `config.evaluation.NAME` may hold beside `every`.
      headline: the metric by which the best step is named.
      higher_is_better: whether the best is the highest.
    """

    Options: type = NoOptions
    headline: str
    higher_is_better: bool = True

    @abc.abstractmethod
    def __init__(self, options, config: Config, objective: Objective):
        """Makes ready; UserError where it cannot measure such a run."""

    @abc.abstractmethod
    def __call__(self, params: dict, extra: dict) -> dict[str, float]:
        """The metrics of the weights, as `TrainState` has them."""


@dataclass(frozen=True)
class Evaluation:
    """An evaluator of a run: its `name`, and after how many steps it is due."""

    name: str
    every: int
    evaluator: Evaluator

    @property
    def headline(self) -> str:
        """Its best step's metric, as it is called among all metrics."""
        return f"{self.name}/{self.evaluator.headline}"

    def due(self, step: int, last: bool) -> bool:
        return last or step % self.every == 0

    def __call__(self, params: dict, extra: dict) -> dict[str, float]:
        """Metrics by their names among all metrics, "NAME/METRIC"."""
        found = self.evaluator(params, extra)
        return {f"{self.name}/{metric}": float(value) for metric, value in found.items()}

    def best(self, rows: Iterable[dict[str, float]]) -> dict[str, float] | None:
        """The best of the rows of metrics that have the headline; None where none has it."""
        measured = [row for row in rows if math.isfinite(row.get(self.headline, math.nan))]
        if not measured:
            return None
        choose = max if self.evaluator.higher_is_better else min
        return choose(measured, key=lambda row: row[self.headline])
