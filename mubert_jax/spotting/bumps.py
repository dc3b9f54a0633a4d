"""Where a stretch is for a moment unlike what is before and after it, which are alike."""

import dataclasses
from collections.abc import Iterator

import numpy as np
from scipy.ndimage import percentile_filter

from mubert_jax.spotting.energies import Energies

# Seconds over which the lower quartile of the movement is what counts as noise: longer than
# expressions last, shorter than light and posture take to change. In a lively face the median is
# an expression.
WINDOW, QUARTILE = 20.0, 25
# An expression lasts as long as its bump is above this share of its peak.
SHARE = 0.2
# A face moves where the shortest lag sees this share of what the bump is.
MOVING = 0.1
# Frames beside a bump in which it may already be seen.
BESIDE = 2
# Bumps at several lags are one if they are as high, or as long, as these shares of the most.
AS_HIGH, AS_LONG = 0.6, 0.6


@dataclasses.dataclass(frozen=True)
class Bump:
    """A moment that differs.

    Attributes:
      onset, apex, offset: positions in the stretch, in frames; `apex` is that of the peak.
      height: how much more it differs from before and after than these from each other.
      score: its height over the noise there.
      lag: at which it was seen, in frames.
      certain: how long it lasts at least, in frames: what lies between looks is not seen.
      share: the share of its movement in each of `comparing.PARTS`, from before to its apex.
    """

    onset: float
    apex: int
    offset: float
    height: float
    score: float
    lag: int
    certain: int
    share: tuple[float, ...]


def bump_scores(energies: Energies, lag: int) -> tuple[np.ndarray, np.ndarray]:
    """B(t) = min(E(t - k → t), E(t → t + k)) - E(t - k → t + k), k = `lag`.

    A frame that differs from both sides has it, if the sides are alike: an expression that comes
    and goes. What changes and stays, such as light, a turned head, or an expression that is held
    for longer than k, has not.

    Returns:
      The positions t in the stretch (n,) and B there (n,).
    """
    lags, at = energies.lags, _looks(energies, lag)
    before = energies.energy[lag][(at - lag) // lags.step(lag)]
    after = energies.energy[lag][at // lags.step(lag)]
    across = energies.energy[2 * lag][(at - lag) // lags.step(2 * lag)]
    return at, np.minimum(before, after) - across


def _looks(energies: Energies, lag: int) -> np.ndarray:
    """Positions with everything that the bump score reads."""
    look, length = energies.lags.look(lag), len(energies)
    at = np.arange(0, length, look)
    return at[(at >= lag) & (at + lag < length)]


def noise(energies: Energies, lag: int, floor: float) -> np.ndarray:
    """What counts as noise at each look at a lag (n,): the running quartile of E, and a floor.

    The floor grows with the root of the lag, as what drifts at random goes.
    """
    lags, at = energies.lags, _looks(energies, lag)
    energy = energies.energy[lag]
    window = max(1, round(WINDOW * lags.rate / lags.step(lag))) | 1
    window = min(window, 2 * len(energy) - 1)
    quiet = percentile_filter(energy, QUARTILE, size=window, mode="nearest")
    return quiet[at // lags.step(lag)] + floor * np.sqrt(lag / lags.shortest)


def bumps(energies: Energies, floor: float, least: float) -> list[Bump]:
    """All bumps of a stretch with a score of `least` or more, by their onset; none overlap.

    Of bumps that overlap, at one lag or at several, the highest is kept.

    Args:
      floor: the noise of a recording in which nothing moves, at the shortest lag.
    """
    found: list[Bump] = []
    for lag in energies.lags.scales:
        shorter = [_with_edges(energies, one) for one in found]
        found += _at_lag(energies, lag, floor, least, shorter)
    kept: list[Bump] = []
    while found:
        highest = max(found, key=lambda one: one.score)
        chosen = _as_long_as_it_is(highest, found)
        placed = _with_edges(energies, chosen)
        kept.append(placed)
        taken = (highest, chosen, placed)
        found = [one for one in found if not any(_overlap(one, other) for other in taken)]
    return sorted(kept, key=lambda one: one.onset)


def _as_long_as_it_is(highest: Bump, found: list[Bump]) -> Bump:
    """The same bump at the lag that tells best how long it lasts.

    Short lags see a part of what lasts long, long ones place what is short badly: of the bumps that
    are nearly as high at the same moment, the finest is taken that is nearly as long as any is for
    certain.
    """
    same = [
        one
        for one in found
        if one.onset <= highest.apex <= one.offset and one.score >= AS_HIGH * highest.score
    ]
    certain = max(one.certain for one in same)
    return min(
        (one for one in same if one.offset - one.onset >= AS_LONG * certain),
        key=lambda one: one.lag,
    )


def _with_edges(energies: Energies, bump: Bump) -> Bump:
    """The bump from where its movement begins to where it ends, by the shortest lag.

    An expression that is held lies between two movements, and a longer lag than its own tells no
    more than that; so each end goes outwards, at most a lag from the apex, over the movement that
    it is in or comes to.
    """
    lags = energies.lags
    step, lag = lags.step(lags.shortest), lags.shortest
    moving = energies.energy[lag] > MOVING * bump.height

    def end(at: float, way: int) -> float:
        # A comparison lies in the middle of its lag.
        start = round((at - lag / 2) / step)
        limit = round((bump.apex + way * bump.lag - lag / 2) / step)
        inside = range(max(0, min(start, limit)), min(len(moving), max(start, limit) + 1))
        i, come = start, False
        while i in inside and (moving[i] or not come):
            come = come or bool(moving[i])
            i += way
        if not come:
            return at
        # The last comparison that moves still reaches half a lag too far.
        edge = (i - way) * step + lag / 2 - way * (lag / 2)
        return float(edge)

    onset, offset = end(bump.onset, -1), end(bump.offset, 1)
    if bump.lag == lag:
        # It is not placed worse by itself; of faint movements the ends are not seen to move.
        onset, offset = min(onset, bump.onset), max(offset, bump.offset)
    return dataclasses.replace(bump, onset=min(onset, bump.apex), offset=max(offset, bump.apex))


def _overlap(one: Bump, other: Bump) -> bool:
    return one.onset <= other.offset and other.onset <= one.offset


def _at_lag(
    energies: Energies, lag: int, floor: float, least: float, shorter: list[Bump]
) -> Iterator[Bump]:
    """The bumps at one lag, but for those between two shorter ones.

    What lies between two blinks differs from both, and they are alike.
    """
    at, height = bump_scores(energies, lag)
    if not len(at):
        return
    for one in shorter:
        ends = _within(one, at - lag) | _within(one, at + lag)
        height = np.where(ends & ~_within(one, at), 0.0, height)
    score = height / noise(energies, lag, floor)
    outer = np.concatenate([[-np.inf], score, [-np.inf]])
    peaks = np.flatnonzero((score >= outer[:-2]) & (score > outer[2:]) & (score >= least))
    taken = np.zeros(len(at), bool)
    for peak in sorted(map(int, peaks), key=lambda i: -score[i]):
        if taken[peak]:
            continue
        low, onset = _edge(at, height, peak, -1)
        high, offset = _edge(at, height, peak, 1)
        taken[low : high + 1] = True
        before = energies.share[lag][(at[peak] - lag) // energies.lags.step(lag)]
        yield Bump(
            onset,
            int(at[peak]),
            offset,
            float(height[peak]),
            float(score[peak]),
            lag,
            int(at[high] - at[low]),
            tuple(map(float, before)),
        )


def _within(bump: Bump, at: np.ndarray) -> np.ndarray:
    return (at >= bump.onset - BESIDE) & (at <= bump.offset + BESIDE)


def _edge(at: np.ndarray, height: np.ndarray, peak: int, way: int) -> tuple[int, float]:
    """The last look on one side that belongs to a peak, and the position where its bump ends."""
    level, i = SHARE * height[peak], peak
    while 0 <= i + way < len(at) and height[i + way] > level:
        i += way
    if not 0 <= i + way < len(at):
        return i, float(at[i])
    part = (height[i] - level) / (height[i] - height[i + way])
    return i, float(at[i] + part * (at[i + way] - at[i]))
