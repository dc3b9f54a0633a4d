"""UF1 and UAR: every count is summed over all folds before any ratio is taken."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Scores:
    """How well the clips of all folds together were named; ratios are from 0 to 1.

    Attributes:
      classes: C names, in label order.
      confusion: clips, (C, C): rows are the truth, columns the prediction.
      f1, recall: of each class, (C,); NaN for a class that no clip has.
      uf1, uar: their means over the classes that some clip has.
      accuracy: share of clips named rightly.
      absent: the classes that no clip has, left out of both means.
    """

    classes: tuple[str, ...]
    confusion: np.ndarray
    f1: np.ndarray
    recall: np.ndarray
    uf1: float
    uar: float
    accuracy: float
    absent: tuple[str, ...]

    @property
    def clips(self) -> int:
        return int(self.confusion.sum())


def score(truth: np.ndarray, prediction: np.ndarray, classes: Sequence[str]) -> Scores:
    """Scores N clips, of all folds at once.

    With TP_c, FP_c and FN_c over all clips and n_c = TP_c + FN_c,

        UF1 = mean over c of 2·TP_c / (2·TP_c + FP_c + FN_c),   UAR = mean over c of TP_c / n_c

    over the classes with n_c > 0. A class that no clip has is left out of both means, as in the
    published evaluations of the composite (it has no recall); that it was predicted counts as FN of
    the true classes. Section 5.3 of the paper lacks the 2 of the denominator, which no published
    number does. A mean of the folds' own scores is another, lower number.

    Args:
      truth, prediction: places in `classes`, integers (N,).
      classes: C names.

    Raises:
      ValueError: there is no clip, the lengths differ, or a label is not a place in `classes`.
    """
    confusion = _confusion(truth, prediction, len(classes))
    f1, recall, accuracy = ratios(confusion)
    there = confusion.sum(1) > 0
    return Scores(
        classes=tuple(classes),
        confusion=confusion,
        f1=f1,
        recall=recall,
        uf1=float(f1[there].mean()),
        uar=float(recall[there].mean()),
        accuracy=float(accuracy),
        absent=tuple(name for name, some in zip(classes, there, strict=True) if not some),
    )


def uf1(truth: np.ndarray, prediction: np.ndarray) -> float:
    """UF1 of N clips by the names of their classes, as `score` takes it."""
    names, codes = np.unique(np.concatenate([truth, prediction]), return_inverse=True)
    return score(*codes.reshape(2, -1), names.tolist()).uf1


def ratios(confusion: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """F1 and recall of each class, (..., C), NaN where it has no clip, and accuracy, (...).

    Args:
      confusion: clips, (..., C, C): rows are the truth, columns the prediction.
    """
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    counts, named = confusion.sum(-1), confusion.sum(-2)
    there = np.where(counts > 0, 1.0, np.nan)
    f1 = there * 2 * hits / np.maximum(counts + named, 1)
    return f1, there * hits / np.maximum(counts, 1), hits.sum(-1) / counts.sum(-1)


def _confusion(truth, prediction, classes: int) -> np.ndarray:
    truth, prediction = np.asarray(truth), np.asarray(prediction)
    if truth.shape != prediction.shape or truth.ndim != 1 or not truth.size:
        raise ValueError(f"no labels of N clips: shapes {truth.shape} and {prediction.shape}")
    for labels in (truth, prediction):
        if labels.min() < 0 or labels.max() >= classes:
            raise ValueError(f"labels {labels.min()} to {labels.max()}, but {classes} classes")
    places = truth * classes + prediction
    return np.bincount(places, minlength=classes**2).reshape(classes, classes)
