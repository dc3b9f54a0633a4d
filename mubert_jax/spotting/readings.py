"""What a method makes of the frames of a stretch: a score over time, and what it finds by it."""

import dataclasses
from abc import ABC, abstractmethod
from typing import Any, Protocol

import numpy as np

from mubert_jax.spotting.bumps import bump_scores, bumps, noise
from mubert_jax.spotting.comparing import Comparison
from mubert_jax.spotting.energies import Energies, Lags, Meter
from mubert_jax.spotting.found import Found, found_in


@dataclasses.dataclass(frozen=True, eq=False)
class Curve:
    """The score over a stretch: seconds (n,) and the highest score of all lags (n,), from 0 up."""

    seconds: np.ndarray
    score: np.ndarray


class Gauge(Protocol):
    """Takes the frames of a stretch one by one."""

    def add(self, number: int, seconds: float, face: np.ndarray) -> None:
        """The next frame, (S, S, 3) uint8."""

    def finish(self) -> Any:
        """What was measured, when the stretch is over."""


class Method(ABC):
    """A way of spotting.

    Attributes:
      comparison: what its pictures show, and the size of its frames.
    """

    comparison: Comparison

    @abstractmethod
    def gauge(self, lags: Lags, workers: int | None = None) -> Gauge:
        """One for a stretch; `workers` as for `Meter`."""

    @abstractmethod
    def curve(self, measured: Any) -> Curve:
        """The score over a stretch, of what its gauge has measured; empty where it is too short."""

    @abstractmethod
    def found(self, measured: Any, least: float) -> list[Found]:
        """What has a score of `least` or more, by its onset."""


class ByBumps(Method):
    """`bumps` of the energies of a comparison; `floor` is its noise where nothing moves."""

    def __init__(self, comparison: Comparison, floor: float):
        self.comparison, self._floor = comparison, floor

    def gauge(self, lags: Lags, workers: int | None = None) -> Meter:
        return Meter(self.comparison, lags, workers=workers)

    def curve(self, measured: Energies) -> Curve:
        lags, places, best = measured.lags, np.zeros(0, int), np.zeros(0)
        for lag in lags.scales:
            at, height = bump_scores(measured, lag)
            if not len(at):
                break
            score = np.maximum(height / noise(measured, lag, self._floor), 0)
            if not len(places):
                places, best = at, score
            else:
                inside = (places >= at[0]) & (places <= at[-1])
                best[inside] = np.maximum(best, np.interp(places, at, score))[inside]
        return Curve(measured.seconds[places], best)

    def found(self, measured: Energies, least: float) -> list[Found]:
        return found_in(measured, bumps(measured, self._floor, least))
