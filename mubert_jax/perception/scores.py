"""How well a map finds a known movement; every score of a pair, and of many with its interval."""

import dataclasses
import warnings
from collections.abc import Callable, Sequence

import numpy as np
from scipy.stats import rankdata, spearmanr

from mubert_jax.data.controlled.clip import Truth

# A patch has moved if its movement is at least this share of the largest, and shows: its grey
# levels change by `SHOWS`. It has not if its movement is at most `STILL` of the largest.
MOVED, SHOWS, STILL = 0.25, 1.0, 0.02
# The map's strength: this percentile of its patches.
STRENGTH = 99
RESAMPLINGS = 1000


@dataclasses.dataclass(frozen=True)
class PairScore:
    """One map of one pair.

    Attributes:
      auc, auc_in_face: of moved against still patches, over the frame and inside the face; NaN
        where there is none of either.
      pointing: whether the strongest patch has moved; NaN where none has.
      energy: mean of the map; strength: its strongest hundredth.
    """

    auc: float
    auc_in_face: float
    pointing: float
    energy: float
    strength: float


def score(map_gxg: np.ndarray, truth: Truth) -> PairScore:
    """Scores a map, (g, g), larger where it sees more movement."""
    moved, still = moved_patches(truth)
    face = truth.face > 0.5
    return PairScore(
        auc=auc(map_gxg, moved, still),
        auc_in_face=auc(map_gxg, moved & face, still & face),
        pointing=float(moved.flat[np.argmax(map_gxg)]) if moved.any() else float("nan"),
        energy=float(map_gxg.mean()),
        strength=float(np.percentile(map_gxg, STRENGTH)),
    )


def moved_patches(truth: Truth) -> tuple[np.ndarray, np.ndarray]:
    """(moved, still), two boolean (g, g); what is in between counts as neither."""
    largest = truth.displacement.max()
    moved = (truth.displacement >= MOVED * largest) & (truth.visible >= SHOWS) & (largest > 0)
    return moved, truth.displacement <= STILL * largest


def auc(values: np.ndarray, positive: np.ndarray, negative: np.ndarray) -> float:
    """Probability that a positive's value is larger than a negative's; ties count half."""
    count, others = int(positive.sum()), int(negative.sum())
    if not count or not others:
        return float("nan")
    ranks = rankdata(np.concatenate([values[positive], values[negative]]))
    return float((ranks[:count].sum() - count * (count + 1) / 2) / (count * others))


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A mean and its 95 % interval, from resampling subjects."""

    value: float
    low: float
    high: float

    def __str__(self):
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


def summarise(
    moving: Sequence[PairScore],
    still: Sequence[PairScore],
    amplitudes: np.ndarray,
    subjects: np.ndarray,
) -> dict[str, Estimate]:
    """All scores of one method under one condition.

    Args:
      moving: of P pairs that move; amplitudes (P,) and subjects (P,) are theirs.
      still: of one pair without movement for each of them, under the same condition.

    Returns:
      `auc`, `auc_in_face`, `pointing`, `null` (energy of still over energy of moving pairs),
      `correlation` (Spearman, of strength and amplitude).
    """
    columns = {
        field.name: np.array([getattr(pair, field.name) for pair in moving])
        for field in dataclasses.fields(PairScore)
    }
    still_energy = np.array([pair.energy for pair in still])

    def at(rows):
        return {
            "auc": np.nanmean(columns["auc"][rows]),
            "auc_in_face": np.nanmean(columns["auc_in_face"][rows]),
            "pointing": np.nanmean(columns["pointing"][rows]),
            "null": still_energy[rows].mean() / max(columns["energy"][rows].mean(), 1e-30),
            "correlation": spearmanr(columns["strength"][rows], amplitudes[rows]).statistic,
        }

    with warnings.catch_warnings():  # there may be nothing that moved, or nothing that differs
        warnings.simplefilter("ignore")
        return _resampled(at, subjects)


def resampled(statistic: Callable[[np.ndarray], float], subjects: np.ndarray) -> Estimate:
    """`statistic` of all rows, and its interval; it takes the numbers of the rows, (R,)."""
    return _resampled(lambda rows: {"value": statistic(rows)}, subjects)["value"]


def _resampled(statistics, subjects) -> dict[str, Estimate]:
    everyone = np.unique(subjects)
    members = {subject: np.flatnonzero(subjects == subject) for subject in everyone}
    random = np.random.default_rng(0)
    whole = statistics(np.arange(len(subjects)))
    drawn = [
        statistics(np.concatenate([members[s] for s in random.choice(everyone, len(everyone))]))
        for _ in range(RESAMPLINGS)
    ]
    intervals = {
        name: np.nanpercentile([values[name] for values in drawn], (2.5, 97.5)) for name in whole
    }
    return {
        name: Estimate(float(value), *(float(bound) for bound in intervals[name]))
        for name, value in whole.items()
    }
