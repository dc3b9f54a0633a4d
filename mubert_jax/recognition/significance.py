"""Whether two recognizers differ on the same clips, and how large a difference could be shown."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

# Of a two-sided test, and the chance with which a true difference is to be found.
LEVEL, POWER = 0.05, 0.8


def interval(draws_R: np.ndarray) -> tuple[float, float]:
    """95 % of the values of R resamplings: the percentile interval, (low, high)."""
    low, high = np.percentile(draws_R, (2.5, 97.5))
    return float(low), float(high)


def bootstrap_p(differences_R: np.ndarray) -> float:
    """The two-sided p-value of no difference, by R resampled differences.

    It inverts the percentile interval: twice the smaller share of draws on either side of 0, the
    observed one counted among them, (1 + count) / (R + 1) (Davison and Hinkley, 1997, section 4.4).
    NaN where the draws are NaN, as for one person alone.
    """
    if not np.isfinite(differences_R).all():
        return float("nan")
    count = min(np.sum(differences_R <= 0), np.sum(differences_R >= 0))
    return float(min(1.0, 2 * (1 + count) / (1 + len(differences_R))))


def mcnemar(right_first_N: np.ndarray, right_second_N: np.ndarray) -> tuple[int, int, float]:
    """McNemar's exact test on N clips (McNemar, 1947): do two recognizers err equally often?

    Clips on which both are right, or both wrong, say nothing; of the others, each recognizer would
    be right on half, a binomial of chance 1/2. Clips are taken as independent.

    Args:
      right_first_N, right_second_N: Whether each clip is named right, boolean (N,).

    Returns:
      The clips that only the first and that only the second names right, and the two-sided p-value,
      1 where there are none.
    """
    first = int(np.sum(right_first_N & ~right_second_N))
    second = int(np.sum(right_second_N & ~right_first_N))
    if not first + second:
        return 0, 0, 1.0
    return first, second, float(stats.binomtest(first, first + second).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values corrected for their number M, as to the chance of any false finding (Holm, 1979).

    The k-th smallest, from k = 0, is multiplied by M - k; none is smaller than one before it. A NaN
    is no test, and stays NaN.
    """
    given = np.asarray(p_values, float)
    order = np.argsort(given)[: np.isfinite(given).sum()]
    corrected = np.full(len(given), np.nan)
    factors = len(order) - np.arange(len(order))
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(given[order] * factors))
    return corrected.tolist()


def smallest_detectable(error: float, power: float = POWER, level: float = LEVEL) -> float:
    """The smallest true difference that a two-sided test finds with the chance `power`.

    (z(1 - level/2) + z(power)) · error, with z the quantiles of the normal distribution, which is
    2.80 · error for 80 % at 5 %: the minimum detectable effect of Bloom (1995).

    Args:
      error: The standard error of the difference; over people, it falls as 1/√people.
    """
    return float((stats.norm.ppf(1 - level / 2) + stats.norm.ppf(power)) * error)


@dataclass(frozen=True)
class Difference:
    """How the first of two recognizers differs from the second.

    Attributes:
      first, second: their places.
      value: UF1 of the first less that of the second, the mean over seeds of each.
      interval: 95 % over people, both of the same people in every resampling.
      error: the standard error over people, the deviation of the resampled differences.
      p: as `bootstrap_p`, then corrected by `holm` over all pairs.
      only_first, only_second: clips that one alone names right.
      mcnemar: the p-value of `mcnemar`, then corrected.
    """

    first: int
    second: int
    value: float
    interval: tuple[float, float]
    error: float
    p: float
    corrected: float
    only_first: int
    only_second: int
    mcnemar: float
    mcnemar_corrected: float

    @property
    def significant(self) -> bool:
        """Whether people differ more than chance allows, at `LEVEL`, after the correction."""
        return self.corrected < LEVEL


def differences(
    uf1_M: np.ndarray, draws_MxR: np.ndarray, right_MxN: np.ndarray
) -> list[Difference]:
    """Every pair of M recognizers, the earlier one first.

    Args:
      uf1_M: UF1, the mean over seeds.
      draws_MxR: The same in R resamplings of the people, the same people for all recognizers.
      right_MxN: Whether each of N clips is named right, boolean.
    """
    pairs = [(i, j) for i in range(len(uf1_M)) for j in range(i + 1, len(uf1_M))]
    draws = [draws_MxR[i] - draws_MxR[j] for i, j in pairs]
    p = [bootstrap_p(drawn_R) for drawn_R in draws]
    tests = [mcnemar(right_MxN[i], right_MxN[j]) for i, j in pairs]
    corrected = holm(p), holm([test[2] for test in tests])
    return [
        Difference(
            *(i, j, float(uf1_M[i] - uf1_M[j]), interval(drawn_R), float(np.std(drawn_R, ddof=1))),
            *(p[k], corrected[0][k], *tests[k], corrected[1][k]),
        )
        for k, ((i, j), drawn_R) in enumerate(zip(pairs, draws, strict=True))
    ]
