"""UF1 and UAR of all clips, of subsets and of subjects, with intervals over subjects.

Every count is summed over all folds before any ratio is taken.
"""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from mubert_jax.recognition.predictions import Predictions
from mubert_jax.recognition.protocols import subject_ids

FULL = "Full"
# Bootstrap draws of the subjects, for the intervals: more are steadier and take longer.
RESAMPLINGS = 1000


@dataclass(frozen=True, eq=False)
class Scores:
    """The scores of the clips of all folds together; ratios are from 0 to 1.

    Attributes:
      classes: C names, in label order.
      confusion: numbers of clips, (C, C): rows are the truth, columns the prediction.
      f1, recall, precision: one per class, (C,); NaN for a class that no clip has.
      uf1, uar, mean_precision: their means over the classes that some clip has.
      accuracy: the share of clips named correctly.
      absent: the classes that no clip has, which are left out of both means.
    """

    classes: tuple[str, ...]
    confusion: np.ndarray
    f1: np.ndarray
    recall: np.ndarray
    precision: np.ndarray
    uf1: float
    uar: float
    mean_precision: float
    accuracy: float
    absent: tuple[str, ...]

    @property
    def clips(self) -> int:
        return round(float(self.confusion.sum()))


def score(truth: np.ndarray, prediction: np.ndarray, classes: Sequence[str]) -> Scores:
    """Scores N clips, of all folds at once.

    With TP_c, FP_c and FN_c over all clips and n_c = TP_c + FN_c,

        UF1 = mean over c of 2·TP_c / (2·TP_c + FP_c + FN_c),   UAR = mean over c of TP_c / n_c

    over the classes with n_c > 0. A class that no clip has is left out of both means, as in the
    published evaluations of the composite (it has no recall); its predictions count as FN of the
    true classes. Section 5.3 of the paper omits the 2 in the denominator, which all published
    numbers have. The mean of the folds' own scores is another, lower number.

    Args:
      truth, prediction: Indices into `classes`, integers (N,).
      classes: C names.

    Raises:
      ValueError: there is no clip, the lengths differ, or a label is not an index into `classes`.
    """
    return _scores(_confusion(truth, prediction, len(classes)), classes)


def _scores(confusion: np.ndarray, classes: Sequence[str]) -> Scores:
    f1, recall, accuracy = ratios(confusion)
    precision = precisions(confusion)
    there = confusion.sum(1) > 0
    return Scores(
        classes=tuple(classes),
        confusion=confusion,
        f1=f1,
        recall=recall,
        precision=precision,
        uf1=float(f1[there].mean()),
        uar=float(recall[there].mean()),
        mean_precision=float(precision[there].mean()),
        accuracy=float(accuracy),
        absent=tuple(name for name, some in zip(classes, there, strict=True) if not some),
    )


def uf1(truth: np.ndarray, prediction: np.ndarray) -> float:
    """UF1 of N clips, given the names of their classes, as `score` defines it."""
    names, codes = np.unique(np.concatenate([truth, prediction]), return_inverse=True)
    true, predicted = codes.reshape(2, -1)
    return score(true, predicted, names.tolist()).uf1


def ratios(confusion: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """F1 and recall of each class, (..., C), NaN where it has no clip, and accuracy, (...).

    Args:
      confusion: Numbers of clips, (..., C, C): rows are the truth, columns the prediction.
    """
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    counts, named = confusion.sum(-1), confusion.sum(-2)
    there = np.where(counts > 0, 1.0, np.nan)
    f1 = there * 2 * hits / np.maximum(counts + named, 1)
    return f1, there * hits / np.maximum(counts, 1), hits.sum(-1) / counts.sum(-1)


def precisions(confusion: np.ndarray) -> np.ndarray:
    """Precision of each class, (..., C), NaN where it has no clip; see `ratios`."""
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    there = np.where(confusion.sum(-1) > 0, 1.0, np.nan)
    return there * hits / np.maximum(confusion.sum(-2), 1)


def _confusion(truth: np.ndarray, prediction: np.ndarray, classes: int) -> np.ndarray:
    truth, prediction = np.asarray(truth), np.asarray(prediction)
    if truth.shape != prediction.shape or truth.ndim != 1 or not truth.size:
        raise ValueError(f"no labels of N clips: shapes {truth.shape} and {prediction.shape}")
    for labels in (truth, prediction):
        if labels.min() < 0 or labels.max() >= classes:
            raise ValueError(f"labels {labels.min()} to {labels.max()}, but {classes} classes")
    places = truth * classes + prediction
    return np.bincount(places, minlength=classes**2).reshape(classes, classes)


@dataclass(frozen=True, eq=False)
class Summary:
    """The scores of the same clips under S seeds.

    Attributes:
      name: Full, a data set or a subject.
      subjects: the number of people in the clips.
      scores: one per seed.
      intervals: (low, high) by field of `Scores`, as `over_subjects` returns them; {} if they were
        not computed.
    """

    name: str
    subjects: int
    scores: tuple[Scores, ...]
    intervals: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def clips(self) -> int:
        return self.scores[0].clips

    @property
    def absent(self) -> tuple[str, ...]:
        return self.scores[0].absent

    @property
    def confusion(self) -> np.ndarray:
        """Numbers of clips, (C, C), the mean over seeds."""
        return np.mean([scores.confusion for scores in self.scores], axis=0)

    def values(self, name: str) -> np.ndarray:
        """A field of `Scores` under every seed: (S,), or (S, C) for one with a value per class."""
        return np.array([getattr(scores, name) for scores in self.scores])


def summarise(predictions: Predictions, name: str = FULL) -> Summary:
    """The scores of all rows as one set of clips; folds are not scored separately."""
    runs = [predictions.of_seed(seed) for seed in predictions.seeds]
    return Summary(
        name,
        len(set(predictions.subject_ids)),
        tuple(score(run.truth, run.prediction, run.classes) for run in runs),
    )


def subsets(predictions: Predictions) -> list[Summary]:
    """The summary Full, then one per data set if there are several; all from the same runs."""
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
    """One summary per subject, named DATASET/SUBJECT, in the file's order."""
    ids = predictions.subject_ids
    return [summarise(predictions.where(ids == name), name) for name in dict.fromkeys(ids)]


def commonest(predictions: Predictions) -> tuple[str, Scores]:
    """The most frequent class, and the scores of always predicting it."""
    run = predictions.of_seed(predictions.seeds[0])
    truth = run.truth
    label = int(np.bincount(truth).argmax())
    return run.classes[label], score(truth, np.full_like(truth, label), run.classes)


def chance(predictions: Predictions) -> Scores:
    """The scores of drawing among all classes alike, by the counts that are expected of it."""
    run = predictions.of_seed(predictions.seeds[0])
    counts = np.bincount(run.truth, minlength=len(run.classes))
    return _scores(np.outer(counts, np.full(len(counts), 1 / len(counts))), run.classes)


def deviation(values: np.ndarray) -> np.ndarray:
    """The sample standard deviation (S - 1) over the seeds, the first axis; NaN for one seed."""
    if len(values) < 2:
        return np.full(values.shape[1:], np.nan)
    return np.std(values, axis=0, ddof=1)


def over_subjects(predictions: Predictions) -> dict[str, np.ndarray]:
    """95 % intervals of the seeds' mean, (low, high) along the first axis.

    The percentile bootstrap over subjects: whole subjects are drawn with replacement, `RESAMPLINGS`
    times and always the same ones, and their counts are summed before any ratio is taken. The
    spread over seeds shows how much the training varies; this shows how much the choice of people
    matters, which is more if there are few subjects.

    Returns:
      `uf1`, `uar`, `mean_precision`, `accuracy`, (2,), `f1`, `recall` and `precision`, (2, C); NaN
      for one subject alone.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a class nobody has
        return {
            name: np.nanpercentile(np.mean(value, axis=0), (2.5, 97.5), axis=0)
            for name, value in resampled(predictions, RESAMPLINGS).items()
        }


def resampled(predictions: Predictions, resamplings: int = RESAMPLINGS) -> dict[str, np.ndarray]:
    """The scores of every seed in every one of R resamplings of the subjects.

    Predictions of the same people share their draws, so their scores can be compared draw by draw.

    Returns:
      `uf1`, `uar`, `mean_precision`, `accuracy`, (S, R), `f1`, `recall` and `precision`, (S, R, C);
      NaN for a class nobody has, and for one subject alone, of whom no resampling says anything.
    """
    confusions_SxPxCxC = _by_subject(predictions)
    people = confusions_SxPxCxC.shape[1]
    drawn = np.random.default_rng(0).integers(people, size=(resamplings, people))
    counts_RxP = np.stack([np.bincount(row, minlength=people) for row in drawn])
    drawn_SxRxCxC = np.einsum("rp,spij->srij", counts_RxP, confusions_SxPxCxC)
    known = 1.0 if people > 1 else np.nan
    scores = *ratios(drawn_SxRxCxC), precisions(drawn_SxRxCxC)
    f1, recall, accuracy, precision = (known * score for score in scores)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {
            "uf1": np.nanmean(f1, axis=-1),
            "uar": np.nanmean(recall, axis=-1),
            "mean_precision": np.nanmean(precision, axis=-1),
            "accuracy": accuracy,
            "f1": f1,
            "recall": recall,
            "precision": precision,
        }


def _by_subject(predictions: Predictions) -> np.ndarray:
    """Numbers of clips, (seeds, subjects, C, C)."""
    _, seed = np.unique(predictions.table["seed"], return_inverse=True)
    _, person = np.unique(predictions.subject_ids.astype(str), return_inverse=True)
    classes = len(predictions.classes)
    confusions = np.zeros((seed.max() + 1, person.max() + 1, classes, classes), int)
    np.add.at(confusions, (seed, person, predictions.truth, predictions.prediction), 1)
    return confusions


@dataclass(frozen=True)
class HardClip:
    """A clip that some seed got wrong.

    Attributes:
      taken_for: the wrong class that most seeds predicted.
      wrong, seeds: the number of seeds that got it wrong, and of all seeds.
      confidence: the mean over seeds of the probability of a wrong prediction, 0 where it is right;
        without probabilities, the share of wrong seeds.
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
    """The most confidently wrong clips, in this order; ties in the file's order.

    Args:
      limit: The largest number of clips; a choice for a table that is read as a whole.
    """
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
