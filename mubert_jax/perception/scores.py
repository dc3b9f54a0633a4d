"""How well a map finds a known movement: the scores of a pair, and of many with intervals."""

import dataclasses
import functools
import warnings
from collections.abc import Callable, Sequence

import numpy as np
from scipy.stats import rankdata

from mubert_jax.synthetic.clip import Truth

# A patch has moved if its movement is at least `MOVED` of the largest and shows: its grey levels
# change by `SHOWS`, the step of an 8-bit frame. It is still if its movement is at most `STILL` of
# the largest. As in `training.warps`; a wider gap leaves out more patches that are hard to call.
MOVED, SHOWS, STILL = 0.25, 1.0, 0.02
# The percentile of its patches that is a map's strength: a higher one rests on fewer patches.
STRENGTH = 99
# More draws make the ends of an interval steadier, and take longer.
RESAMPLINGS = 1000
MEANS = ("auc", "auc_in_face", "pointing")


@dataclasses.dataclass(frozen=True)
class PairScore:
    """One map of one pair.

    Attributes:
      auc, auc_in_face: AUC of moved against still patches, over the frame and inside the face; NaN
        where there are none of either.
      pointing: Whether the strongest patch has moved; NaN where none has.
      energy: The mean of the map.
      strength: The lower end of its strongest hundredth.
    """

    auc: float
    auc_in_face: float
    pointing: float
    energy: float
    strength: float


def score(map_gxg: np.ndarray, truth: Truth) -> PairScore:
    """Scores a map (g, g) that is larger where it sees more movement."""
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
    """(moved, still), both (g, g) boolean; what is in between counts as neither."""
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


@dataclasses.dataclass(frozen=True, eq=False)
class Estimate:
    """A score over all people and its 95 % interval, from resampling them.

    Attributes:
      draws: (1 + R,), the score over everybody, then over each resampling. Scores over equally many
        people share their draws, so two estimates can be compared draw by draw.
    """

    draws: np.ndarray

    @property
    def value(self) -> float:
        return float(self.draws[0])

    @functools.cached_property
    def interval(self) -> tuple[float, float]:
        """The bounds that 2.5 % of the draws are below and 2.5 % above."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # all NaN
            low, high = np.nanpercentile(self.draws[1:], (2.5, 97.5))
        return float(low), float(high)

    @property
    def low(self) -> float:
        return self.interval[0]

    @property
    def high(self) -> float:
        return self.interval[1]

    def __str__(self):
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


def paired_difference(ours: Estimate, theirs: Estimate) -> Estimate:
    """Ours less theirs, over the same people in every draw.

    Its interval is narrower than that of either score where both find the same people hard.
    """
    return Estimate(ours.draws - theirs.draws)


def summarise(
    moving: Sequence[PairScore],
    still: Sequence[PairScore],
    amplitudes: np.ndarray,
    subjects: np.ndarray,
) -> dict[str, Estimate]:
    """All scores of one method under one condition.

    Args:
      moving: The scores of P pairs that move.
      still: The scores of a pair without movement for each of them, under the same condition.
      amplitudes, subjects: The amplitudes and subjects of the moving pairs, (P,).

    Returns:
      `auc`, `auc_in_face`, `pointing`, `null` (energy of still over energy of moving pairs) and
      `correlation` (Spearman's, of strength and amplitude).
    """
    columns = {
        field.name: np.array([getattr(pair, field.name) for pair in moving])
        for field in dataclasses.fields(PairScore)
    }
    still_energy = np.array([pair.energy for pair in still])
    counts_RxP = _draws(subjects)
    with np.errstate(invalid="ignore"):  # there may be nothing that moved, or nothing that differs
        energy = np.maximum(_means(columns["energy"], counts_RxP), 1e-30)
        drawn = {
            **{name: _means(columns[name], counts_RxP) for name in MEANS},
            "null": _means(still_energy, counts_RxP) / energy,
            "correlation": _rank_correlations(columns["strength"], amplitudes, counts_RxP),
        }
    return {name: Estimate(values) for name, values in drawn.items()}


def resampled(statistic: Callable[[np.ndarray], float], subjects: np.ndarray) -> Estimate:
    """`statistic` over all rows, and its interval; it takes the numbers of rows, (R,)."""
    rows = np.arange(len(subjects))
    return Estimate(np.array([statistic(np.repeat(rows, counts)) for counts in _draws(subjects)]))


def _draws(subjects_P: np.ndarray):
    """How often each pair counts, (1 + R, P): once, then in each of R draws of subjects."""
    everyone, of_subject = np.unique(subjects_P, return_inverse=True)
    random = np.random.default_rng(0)
    drawn = random.integers(len(everyone), size=(RESAMPLINGS, len(everyone)))
    counts = np.stack([np.bincount(row, minlength=len(everyone)) for row in drawn])
    return np.concatenate([np.ones_like(counts[:1]), counts])[:, of_subject]


def _means(values_P: np.ndarray, counts_RxP: np.ndarray):
    """The mean of what is not NaN, (R,)."""
    there = np.isfinite(values_P)
    return _weighted_mean(values_P[there], counts_RxP[:, there])


def _rank_correlations(a_P: np.ndarray, b_P: np.ndarray, counts_RxP: np.ndarray):
    """Spearman's correlation, (R,): Pearson's of the ranks, which ties share."""
    ranks = []
    for values in (a_P, b_P):
        below_PxP = np.sign(values[:, None] - values) / 2
        rank_RxP = counts_RxP @ below_PxP.T
        ranks.append(rank_RxP - _weighted_mean(rank_RxP, counts_RxP)[:, None])
    a_RxP, b_RxP = ranks
    covariance, *variances = (
        _weighted_mean(x, counts_RxP) for x in (a_RxP * b_RxP, a_RxP**2, b_RxP**2)
    )
    return covariance / np.sqrt(variances[0] * variances[1])


def _weighted_mean(values: np.ndarray, counts_RxP: np.ndarray):
    """The mean, (R,), of values (R, P), or (P,) that all draws share."""
    return (values * counts_RxP).sum(1) / counts_RxP.sum(1)
