"""How well spotted intervals fit annotated ones: the measures of the MEGC challenges.

A spotted interval finds an annotated one if their IoU is at least 0.5; F1 is over the whole set (Li
et al., MEGC 2020). STRS multiplies it by the F1 of the emotions of what was found (Liong et al.,
2023). Everything is one to one and counts every video and subject; the challenge's script does not,
`official_strs` gives its numbers.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.optimize import linear_sum_assignment

from mubert_jax.perception.scores import Estimate, paired_difference, resampled
from mubert_jax.spotting.intervals import MACRO, MICRO, Interval, Recording, iou

THRESHOLD = 0.5
ALL = "all"

Found = list[tuple[Interval, Interval]]
"""Annotated intervals, each with the spotted one that found it."""


def matched(
    truths: Sequence[Interval], spotted: Sequence[Interval], threshold: float = THRESHOLD
) -> Found:
    """As many pairs of an IoU of `threshold` or more as can be, no interval in two of them.

    Among the largest sets of pairs, it is that of the largest sum of IoUs. Their order is that of
    the truths.
    """
    of_video: dict[tuple[str, str], tuple[list[Interval], list[Interval]]] = {}
    for side, intervals in enumerate((truths, spotted)):
        for one in intervals:
            of_video.setdefault(one.recording, ([], []))[side].append(one)
    found = []
    for there, told in of_video.values():
        overlaps = np.array([[iou(one, other) for other in told] for one in there])
        if not overlaps.size:
            continue
        enough = overlaps >= threshold
        # One more pair outweighs any sum of overlaps.
        worth = np.where(enough, overlaps + len(there) + len(told), 0)
        rows, columns = linear_sum_assignment(worth, maximize=True)
        found += [(there[i], told[j]) for i, j in zip(rows, columns, strict=True) if enough[i, j]]
    return found


@dataclass(frozen=True)
class Counts:
    """Found, false and missed intervals, and what follows from them."""

    tp: int
    fp: int
    fn: int

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn)

    @property
    def precision(self) -> float:
        """0 where nothing was spotted."""
        return self.tp / (self.tp + self.fp) if self.tp + self.fp else 0.0

    @property
    def recall(self) -> float:
        """0 where nothing is annotated."""
        return self.tp / (self.tp + self.fn) if self.tp + self.fn else 0.0

    @property
    def f1(self) -> float:
        total = 2 * self.tp + self.fp + self.fn
        return 2 * self.tp / total if total else 0.0


@dataclass(frozen=True)
class Spotted:
    """The score of one kind of expression.

    Attributes:
      kind: "micro", "macro" or "all".
      by_subject: subject -> counts.
      found: what was found, and by what.
      false_alarms_per_minute: NaN where the lengths of the videos are not known.
    """

    kind: str
    by_subject: Mapping[str, Counts]
    found: Found
    false_alarms_per_minute: float

    @cached_property
    def counts(self) -> Counts:
        """Over the whole set."""
        return sum(self.by_subject.values(), Counts(0, 0, 0))

    @cached_property
    def interval(self) -> tuple[float, float]:
        """95 % of F1 over resampled subjects; NaN where there is one."""
        if len(self.by_subject) < 2:
            return float("nan"), float("nan")
        return _f1(self.by_subject, list(self.by_subject)).interval


def spotting_scores(
    truths: Sequence[Interval],
    spotted: Sequence[Interval],
    recordings: Mapping[tuple[str, str], Recording] | None = None,
) -> list[Spotted]:
    """Scores of micro- and macro-expressions and of all of them.

    Where both sides tell kinds, an interval finds one of its own kind alone, as in the challenges,
    and "all" adds both up; else there is "all" alone.
    """
    minutes = sum(one.minutes for one in (recordings or {}).values())
    scores, found = [], []
    for kind, there, said in _by_kind(truths, spotted):
        here = matched(there, said)
        found += here
        if kind != ALL:
            scores.append(_scored(kind, there, said, here, minutes))
    return [*scores, _scored(ALL, truths, spotted, found, minutes)]


def counts_by_subject(truths: Sequence[Interval], spotted: Sequence[Interval]) -> dict[str, Counts]:
    """Subject -> what `spotting_scores` counts of all kinds together."""
    found = [pair for _, there, said in _by_kind(truths, spotted) for pair in matched(there, said)]
    return _by_subject(truths, spotted, found)


def _by_kind(
    truths: Sequence[Interval], spotted: Sequence[Interval]
) -> list[tuple[str, Sequence[Interval], Sequence[Interval]]]:
    """(kind, truths, spotted) of what may find each other."""
    everything = [*truths, *spotted]
    if not everything or not all(one.kind for one in everything):
        return [(ALL, truths, spotted)]
    kinds = [kind for kind in (MICRO, MACRO) if any(one.kind == kind for one in everything)]
    sides: list[tuple[str, Sequence[Interval], Sequence[Interval]]] = []
    for kind in kinds:
        there, said = ([one for one in side if one.kind == kind] for side in (truths, spotted))
        sides.append((kind, there, said))
    return sides


def _scored(
    kind: str,
    truths: Sequence[Interval],
    spotted: Sequence[Interval],
    found: Found,
    minutes: float,
) -> Spotted:
    of_subject = _by_subject(truths, spotted, found)
    false = sum(one.fp for one in of_subject.values())
    return Spotted(kind, of_subject, found, false / minutes if minutes else float("nan"))


def _by_subject(
    truths: Iterable[Interval], spotted: Iterable[Interval], found: Found
) -> dict[str, Counts]:
    there, said, both = (
        Counter(one.subject for one in intervals)
        for intervals in (truths, spotted, [truth for truth, _ in found])
    )
    return {
        subject: Counts(
            both[subject], said[subject] - both[subject], there[subject] - both[subject]
        )
        for subject in sorted(there | said)
    }


def _f1(by_subject: Mapping[str, Counts], subjects: Sequence[str]) -> Estimate:
    """F1 over all subjects, and over each resampling of them."""
    nothing = Counts(0, 0, 0)
    found = [by_subject.get(subject, nothing) for subject in subjects]
    counts = np.array([(one.tp, one.fp, one.fn) for one in found])

    def f1(rows: np.ndarray) -> float:
        return Counts(*map(int, counts[rows].sum(axis=0))).f1

    return resampled(f1, np.arange(len(counts)))


def f1_differences(ours: Sequence[Spotted], theirs: Sequence[Spotted]) -> dict[str, Estimate]:
    """Kind -> the F1 of one method less that of another on the same videos, paired by subject.

    Both count the same subjects in every resampling. Kinds that one of them does not tell are left
    out; so is everything where there is one subject.
    """
    of_kind, found = {one.kind: one.by_subject for one in theirs}, {}
    for one in ours:
        other = of_kind.get(one.kind)
        subjects = sorted({*one.by_subject, *(other or ())})
        if other is not None and len(subjects) > 1:
            estimates = (_f1(counts, subjects) for counts in (one.by_subject, other))
            found[one.kind] = paired_difference(*estimates)
    return found


def over_thresholds(
    truths: Sequence[Interval], spotted: Sequence[Interval], points: int = 50
) -> list[tuple[float, Counts]]:
    """(threshold, counts of what has this score or more) at up to `points` scores, ascending.

    It is empty where a spotted interval has no score.
    """
    scores = np.array([one.score for one in spotted])
    if not len(scores) or not np.isfinite(scores).all():
        return []
    values = np.unique(np.quantile(scores, np.linspace(0, 1, points), method="nearest"))
    curve = []
    for value in values:
        kept = [one for one in spotted if one.score >= value]
        found = len(matched(truths, kept))
        curve.append((float(value), Counts(found, len(kept) - found, len(truths) - found)))
    return curve


@dataclass(frozen=True)
class STRS:
    """Spot-then-recognise: `spotting` times `analysis`.

    Attributes:
      spotting: the F1 of spotting.
      analysis: the F1 of the emotions of what was found.
      uf1, uar: mean F1 and mean recall of the emotions.
    """

    spotting: float
    analysis: float
    uf1: float
    uar: float

    @property
    def strs(self) -> float:
        return self.spotting * self.analysis


def strict_strs(truths: Sequence[Interval], spotted: Sequence[Interval]) -> STRS:
    """Every video, one to one; the F1 of analysis is the mean F1 of all annotated emotions."""
    found = matched(truths, spotted)
    spotting = Counts(len(found), len(spotted) - len(found), len(truths) - len(found)).f1
    emotions = sorted({one.emotion for one in truths})
    counts = [
        _emotion_counts(emotion, [(truth.emotion, one.emotion) for truth, one in found])
        for emotion in emotions
    ]
    uf1, uar = _mean("f1", counts), _mean("recall", counts)
    return STRS(spotting, uf1, uf1, uar)


def official_strs(truths: Sequence[Interval], spotted: Sequence[Interval]) -> STRS:
    """The numbers of the challenge's script (STRS-Metric, genbing99), faults included.

    - Subjects of whom nothing was spotted do not count as missed, and videos without a truth not as
      false alarms.
    - A spotted interval finds every annotated one with which its IoU is 0.5 or more.
    - The F1 of analysis is 2PR / (P + R) of the mean precision and the mean recall.
    - Its UAR is the mean precision.
    - An emotion that all found intervals have, and are said to have, has precision and recall 0.
    """
    of_video: dict[tuple[str, str], tuple[list[Interval], list[Interval]]] = defaultdict(
        lambda: ([], [])
    )
    subjects = {one.subject for one in spotted}
    for one in truths:
        if one.subject in subjects:
            of_video[one.recording][0].append(one)
    for one in spotted:
        if one.recording in of_video:
            of_video[one.recording][1].append(one)
    found: Found = []
    counts = Counts(0, 0, 0)
    for there, said in of_video.values():
        left = list(there)
        for one in said:
            hits = [truth for truth in left if iou(one, truth) >= THRESHOLD]
            found += [(truth, one) for truth in hits]
            left = [truth for truth in left if truth not in hits]
            counts += Counts(len(hits), 0 if hits else 1, 0)
        counts += Counts(0, 0, len(left))
    pairs = [(truth.emotion, one.emotion) for truth, one in found]
    of_emotion = []
    for emotion in sorted({one.emotion for one in truths}):
        alone = all(emotion == told == there for there, told in pairs)
        of_emotion.append(Counts(0, 0, 0) if alone else _emotion_counts(emotion, pairs))
    precision, recall, uf1 = (_mean(name, of_emotion) for name in ("precision", "recall", "f1"))
    total = precision + recall
    analysis = 2 * precision * recall / total if total else float("nan")
    return STRS(counts.f1, analysis, uf1, precision)


def _emotion_counts(emotion: str, pairs: Iterable[tuple[str, str]]) -> Counts:
    """Of (true, said) emotions."""
    both = Counter((there == emotion, said == emotion) for there, said in pairs)
    return Counts(both[True, True], both[False, True], both[True, False])


def _mean(name: str, counts: Sequence[Counts]) -> float:
    return float(np.mean([getattr(one, name) for one in counts]))
