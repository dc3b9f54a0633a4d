"""How far the scores would move with other people: subjects drawn anew."""

import warnings

import numpy as np

from mubert_jax.recognition.metrics import ratios
from mubert_jax.recognition.predictions import Predictions

RESAMPLINGS = 1000


def over_subjects(predictions: Predictions) -> dict[str, np.ndarray]:
    """95 % intervals of the seeds' mean, (low, high) along the first axis.

    Whole subjects are drawn with replacement, `RESAMPLINGS` times and always the same ones, and
    their counts summed before any ratio is taken. The spread over seeds says how much the training
    varies, this how much the choice of people does; with few subjects it is the larger one.

    Returns:
      `uf1`, `uar`, `accuracy`, (2,), `f1` and `recall`, (2, C); NaN for one subject alone.
    """
    confusions_SxPxCxC = _by_subject(predictions)
    people = confusions_SxPxCxC.shape[1]
    drawn = np.random.default_rng(0).integers(people, size=(RESAMPLINGS, people))
    counts_RxP = np.stack([np.bincount(row, minlength=people) for row in drawn])
    f1, recall, accuracy = ratios(np.einsum("rp,spij->rsij", counts_RxP, confusions_SxPxCxC))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a class nobody has
        values = {
            "uf1": np.nanmean(f1, axis=-1),
            "uar": np.nanmean(recall, axis=-1),
            "accuracy": accuracy,
            "f1": f1,
            "recall": recall,
        }
        intervals = {
            name: np.nanpercentile(np.mean(value, axis=1), (2.5, 97.5), axis=0)
            for name, value in values.items()
        }
    if people < 2:
        return {name: np.full_like(interval, np.nan) for name, interval in intervals.items()}
    return intervals


def _by_subject(predictions) -> np.ndarray:
    """Clips, (seeds, subjects, C, C)."""
    _, seed = np.unique(predictions.table["seed"], return_inverse=True)
    _, person = np.unique(predictions.subject_ids.astype(str), return_inverse=True)
    classes = len(predictions.classes)
    confusions = np.zeros((seed.max() + 1, person.max() + 1, classes, classes), int)
    np.add.at(confusions, (seed, person, predictions.truth, predictions.prediction), 1)
    return confusions
