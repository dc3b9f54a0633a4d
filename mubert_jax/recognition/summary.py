"""Predictions in numbers: each subset under every seed, each subject, the hardest clips."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from mubert_jax.recognition.intervals import over_subjects
from mubert_jax.recognition.metrics import Scores, score
from mubert_jax.recognition.predictions import Predictions
from mubert_jax.recognition.protocols import subject_ids

FULL = "Full"


@dataclass(frozen=True, eq=False)
class Summary:
    """The same clips under S seeds.

    Attributes:
      name: Full, a data set or a subject.
      subjects: how many people the clips are of.
      scores: one a seed.
      intervals: (low, high) of fields of `Scores`, as `over_subjects` gives them; None where
        nobody asked.
    """

    name: str
    subjects: int
    scores: tuple[Scores, ...]
    intervals: dict[str, np.ndarray] | None = None

    @property
    def clips(self) -> int:
        return self.scores[0].clips

    @property
    def absent(self) -> tuple[str, ...]:
        return self.scores[0].absent

    @property
    def confusion(self) -> np.ndarray:
        """Clips, (C, C), the mean over seeds."""
        return np.mean([scores.confusion for scores in self.scores], axis=0)

    def values(self, name: str) -> np.ndarray:
        """A field of `Scores` under every seed: (S,), or (S, C) for one of the classes'."""
        return np.array([getattr(scores, name) for scores in self.scores])


def summarise(predictions: Predictions, name: str = FULL) -> Summary:
    """All rows as one set of clips: nothing is scored a fold at a time."""
    runs = [predictions.of_seed(seed) for seed in predictions.seeds]
    return Summary(
        name,
        len(set(predictions.subject_ids)),
        tuple(score(run.truth, run.prediction, run.classes) for run in runs),
    )


def subsets(predictions: Predictions) -> list[Summary]:
    """Full, then each data set where there are several: subsets of the same runs."""
    parts = {FULL: predictions}
    if len(predictions.datasets) > 1:
        for dataset in predictions.datasets:
            rows = (predictions.table["dataset"] == dataset).to_numpy()
            parts[dataset] = predictions.where(rows)
    return [
        replace(summarise(part, name), intervals=over_subjects(part))
        for name, part in parts.items()
    ]


def by_subject(predictions: Predictions) -> list[Summary]:
    """One a subject, named DATASET/SUBJECT, in the file's order."""
    ids = predictions.subject_ids
    return [summarise(predictions.where(ids == name), name) for name in dict.fromkeys(ids)]


def commonest(predictions: Predictions) -> tuple[str, Scores]:
    """The class most clips have, and the scores of naming it always."""
    run = predictions.of_seed(predictions.seeds[0])
    truth = run.truth
    label = int(np.bincount(truth).argmax())
    return run.classes[label], score(truth, np.full_like(truth, label), run.classes)


def deviation(values: np.ndarray) -> np.ndarray:
    """Standard deviation over the seeds, the first axis, with S - 1 below; NaN for one seed."""
    if len(values) < 2:
        return np.full(values.shape[1:], np.nan)
    return np.std(values, axis=0, ddof=1)


@dataclass(frozen=True)
class HardClip:
    """A clip that some seed got wrong.

    Attributes:
      taken_for: the wrong class it was taken for by most seeds.
      wrong, seeds: how many seeds got it wrong, of how many.
      confidence: mean over seeds of the probability given to the prediction where that is wrong,
        0 where it is right; the share of wrong seeds where there are no probabilities.
    """

    dataset: str
    subject: str
    clip: str
    truth: str
    taken_for: str
    wrong: int
    seeds: int
    confidence: float

    @property
    def subject_id(self) -> str:
        return str(subject_ids([self.dataset], [self.subject])[0])


def hardest(predictions: Predictions, limit: int = 12) -> list[HardClip]:
    """The clips that were wrong with most confidence, first; ties in the file's order."""
    clips = sorted(_hard_clips(predictions), key=lambda clip: -clip.confidence)
    return clips[:limit]


def _hard_clips(predictions: Predictions) -> Iterator[HardClip]:
    table, probabilities = predictions.table, predictions.probabilities
    sure = np.ones(len(table))
    if probabilities is not None:
        sure = probabilities[np.arange(len(table)), predictions.prediction]
    table = table.assign(sure=sure, wrong=table["truth"] != table["prediction"])
    groups = table.groupby(["dataset", "subject", "clip"], sort=False)
    for (dataset, subject, clip), rows in groups:
        wrong = rows[rows["wrong"]]
        if len(wrong):
            yield HardClip(
                dataset,
                subject,
                clip,
                truth=rows["truth"].iloc[0],
                taken_for=wrong["prediction"].mode()[0],
                wrong=len(wrong),
                seeds=len(rows),
                confidence=float(wrong["sure"].sum() / len(rows)),
            )
