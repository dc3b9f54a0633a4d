"""The usual recipe of spotting: a score per frame, its highest peaks, and k frames around each.

That of MEAN (Gan et al., 2019), SoftNet (Liong et al., 2021) and of many after them, and of MDMD,
the baseline of MEGC 2020. Micro- and macro-expressions are spotted apart, each at a lag of its own.
"""

from array import array
from collections import deque
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.ndimage import uniform_filter1d
from scipy.signal import find_peaks

from mubert_jax.spotting.comparing import ByMotionMap
from mubert_jax.spotting.energies import Lags
from mubert_jax.spotting.flow_scores import Score, mdmd, regional
from mubert_jax.spotting.found import Found
from mubert_jax.spotting.intervals import MACRO, MICRO
from mubert_jax.spotting.readings import Curve, Method

# k in seconds, by kind: half of the mean length of the drawn expressions.
HALF = {MICRO: 0.17, MACRO: 1.1}


@dataclass(frozen=True)
class Recipe:
    """A score per frame, and what is made of it.

    Attributes:
      score: of frames that are k apart.
      steps: how many k lie between the first of these frames and the last.
      relative: whether the mean of the scores k before and k after is taken off (MDMD), and nothing
        smoothed; else scores are smoothed over k frames on each side.
      share: p of the threshold, mean + p · (highest - mean) of the stretch.
    """

    score: Score
    steps: int
    relative: bool
    share: float


# Of both, p is that of the best F1 on drawn people of seed 1.
RECIPES = {
    "regions": Recipe(regional, 1, False, 0.8),
    "mdmd": Recipe(mdmd, 2, True, 0.1),
}


@dataclass(frozen=True, eq=False)
class Measured:
    """The scores of a stretch.

    Attributes:
      rate: frames per second.
      numbers, seconds: of all its frames (T,).
      scores: k in frames -> the score of the frames from `first` on.
      first: k in frames -> the position of the first scored frame.
    """

    rate: float
    numbers: np.ndarray
    seconds: np.ndarray
    scores: dict[int, np.ndarray]
    first: dict[int, int]


class PeakGauge:
    """Scores the frames of a stretch; it keeps as many as the longest lag has.

    Args:
      rate: frames per second.
    """

    def __init__(self, recipe: Recipe, rate: float):
        self._recipe, self._rate = recipe, rate
        self._numbers, self._seconds = array("q"), array("d")
        self._scores = {lag_of(kind, rate): array("d") for kind in HALF}
        self._frames: deque[np.ndarray] = deque(maxlen=recipe.steps * max(self._scores) + 1)

    def add(self, number: int, seconds: float, face: np.ndarray) -> None:
        """The next frame, (S, S, 3) uint8."""
        self._numbers.append(number)
        self._seconds.append(seconds)
        self._frames.append(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY))
        steps = self._recipe.steps
        for lag, scores in self._scores.items():
            if len(self._frames) > steps * lag:
                apart = [self._frames[-1 - lag * back] for back in range(steps, -1, -1)]
                scores.append(self._recipe.score(apart))

    def finish(self) -> Measured:
        """What was measured, when the stretch is over."""
        # A score is that of the middle of the frames that it reads.
        first = {lag: self._recipe.steps * lag // 2 for lag in self._scores}
        scores = {lag: np.array(values) for lag, values in self._scores.items()}
        numbers, seconds = np.array(self._numbers), np.array(self._seconds)
        return Measured(self._rate, numbers, seconds, scores, first)


def lag_of(kind: str, rate: float) -> int:
    """k in frames."""
    return max(1, round(HALF[kind] * rate))


class ByPeaks(Method):
    """The peaks of a recipe. Their score is p, which goes up to 1 in every stretch."""

    def __init__(self, recipe: Recipe):
        # Of what it finds, pictures show flow.
        self._recipe, self.comparison = recipe, ByMotionMap("farneback")

    def gauge(self, lags: Lags, workers: int | None = None) -> PeakGauge:
        return PeakGauge(self._recipe, lags.rate)

    def curve(self, measured: Measured) -> Curve:
        shortest, best = min(measured.scores), None
        places = np.arange(len(measured.scores[shortest])) + measured.first[shortest]
        for lag in measured.scores:
            score = self._shares(measured, lag)
            at = np.arange(len(score)) + measured.first[lag]
            if len(score):
                there = np.interp(places, at, score, left=0, right=0)
                best = there if best is None else np.maximum(best, there)
        return Curve(measured.seconds[places], np.zeros(0) if best is None else np.maximum(best, 0))

    def found(self, measured: Measured, least: float) -> list[Found]:
        found = []
        for kind in HALF:
            lag = lag_of(kind, measured.rate)
            shares = self._shares(measured, lag)
            # The ends of a stretch may be peaks, too.
            peaks, _ = find_peaks(np.pad(shares, 1, constant_values=-np.inf), least, distance=lag)
            found += [
                self._around(measured, kind, lag, int(peak) - 1, float(shares[peak - 1]))
                for peak in peaks
            ]
        return sorted(found, key=lambda one: one.onset)

    def _around(self, measured: Measured, kind: str, lag: int, peak: int, share: float) -> Found:
        apex, last = peak + measured.first[lag], len(measured.numbers) - 1
        places = [max(apex - lag, 0), apex, min(apex + lag, last)]
        onset, middle, offset = (int(measured.numbers[at]) for at in places)
        start, seen, end = (float(measured.seconds[at]) for at in places)
        seconds = lag / measured.rate
        return Found(kind, onset, middle, offset, start, seen, end, share, seconds)

    def _shares(self, measured: Measured, lag: int) -> np.ndarray:
        """p for every scored frame: 1 is the highest of the stretch, 0 the mean."""
        score = measured.scores[lag]
        if not len(score):
            return score
        if self._recipe.relative:
            padded = np.pad(score, lag, mode="edge")
            score = np.maximum(score - (padded[: -2 * lag] + padded[2 * lag :]) / 2, 0)
        else:
            score = uniform_filter1d(score, 2 * lag + 1, mode="nearest")
        return (score - score.mean()) / max(float(score.max() - score.mean()), 1e-9)
