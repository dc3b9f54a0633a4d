"""Thresholds on the score that are chosen on other people: leave one subject out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mubert_jax.errors import UserError
from mubert_jax.spotting.intervals import Interval
from mubert_jax.spotting.scores import Counts, counts_by_subject

# Thresholds that are tried: more of them would fit the training people, not the one left out.
_TRIED = 200


@dataclass(frozen=True)
class LeftOut:
    """Spotted intervals that have the score which other people ask for.

    Attributes:
      kept: those of every subject, in their order.
      thresholds: subject -> the lowest score of its intervals, by all other subjects.
    """

    kept: Sequence[Interval]
    thresholds: Mapping[str, float]

    def line(self) -> str:
        """What a reader has to know."""
        values = sorted(self.thresholds.values())
        return (
            f"LOSO: the threshold of each of {len(values)} subjects is that of the best F1 of the "
            f"others, {values[0]:.4g} to {values[-1]:.4g} (median {float(np.median(values)):.4g})"
        )


def leave_one_subject_out(truths: Sequence[Interval], spotted: Sequence[Interval]) -> LeftOut:
    """Of each subject, the spotted intervals above the threshold of the best F1 of all others.

    F1 is that of micro- and macro-expressions together, as `scores.spotting_scores` counts them. Of
    thresholds that are as good, the highest is taken: it gives the fewest false alarms.

    Args:
      spotted: with scores, down to one that is low: what is not in the table cannot be chosen.

    Raises:
      UserError: there are fewer than two subjects, an interval has no score, or subjects are not
        named.
    """
    subjects = sorted({one.subject for one in (*truths, *spotted)})
    if len(subjects) < 2 or not all(subjects):
        raise UserError(
            "--loso takes tables with a column subject, of two people or more: the threshold of "
            "each is chosen on the others"
        )
    scores = np.array([one.score for one in spotted])
    if not len(scores) or not np.isfinite(scores).all():
        raise UserError("--loso takes spotted intervals with a score each; nothing to choose from")
    tried = np.unique(np.quantile(scores, np.linspace(0, 1, _TRIED), method="nearest"))
    # One row per threshold, one column per subject.
    counts = [
        counts_by_subject(truths, [one for one in spotted if one.score >= at]) for at in tried
    ]
    thresholds = {}
    for subject in subjects:
        f1 = [_without(subject, row).f1 for row in counts]
        best = len(f1) - 1 - int(np.argmax(f1[::-1]))
        thresholds[subject] = float(tried[best])
    kept = [one for one in spotted if one.score >= thresholds[one.subject]]
    return LeftOut(kept, thresholds)


def _without(subject: str, counts: Mapping[str, Counts]) -> Counts:
    others = (one for name, one in counts.items() if name != subject)
    return sum(others, Counts(0, 0, 0))
