"""Protocols as data: who is trained on and who is tested in each fold.

A protocol is a word: `loso`, `composite` (`loso` over several data sets at once), `5-fold` (or any
number) or `cross:samm` (trained on every other data set, tested on samm). `split` turns it into
folds of row numbers. Subjects always stay whole.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mubert_jax.data.people import data_set, merged, merged_people
from mubert_jax.errors import UserError

KNOWN = "loso, composite, K-fold (such as 5-fold) or cross:DATASET"


@dataclass(frozen=True, eq=False)
class Clips:
    """The properties of N labelled clips that a protocol needs.

    Attributes:
      dataset, subject: strings, (N,).
      label: indices into `classes`, integers (N,).
      classes: names, in label order.
    """

    dataset: np.ndarray
    subject: np.ndarray
    label: np.ndarray
    classes: tuple[str, ...]

    @cached_property
    def subject_ids(self) -> np.ndarray:
        """The id of each clip's person, (N,), as `subject_ids` returns it."""
        return subject_ids(self.dataset, self.subject)


@dataclass(frozen=True, eq=False)
class Fold:
    """One training: the rows to learn from and the rows to test on, integers, ascending."""

    name: str
    train: np.ndarray
    test: np.ndarray


@dataclass(frozen=True, eq=False)
class Split:
    """All folds of a protocol, and warnings for a reader of its numbers."""

    protocol: str
    folds: tuple[Fold, ...]
    warnings: tuple[str, ...]


def subject_ids(datasets: Iterable[str], subjects: Iterable[str]) -> np.ndarray:
    """`DATASET/SUBJECT` for each clip, (N,): subject 01 of two data sets is two people.

    All clips of one person have one id, however the person or the data set is spelt. A subject that
    already includes its data set is left unchanged.
    """
    found = merged_people(list(datasets), list(subjects))
    return np.array(
        [
            subject if subject.startswith(f"{dataset}/") else f"{dataset}/{subject}"
            for dataset, subject in zip(found.datasets, found.subjects, strict=True)
        ],
        dtype=object,
    )


def split(protocol: str, clips: Clips, seed: int = 0) -> Split:
    """The folds of `protocol` over `clips`.

    Args:
      seed: The seed by which subjects are drawn for K folds; `loso` and `cross:` draw nothing.

    Raises:
      UserError: an unknown protocol or data set, fewer subjects than folds, one class only, or
        a subject on both sides of a fold.
    """
    present = np.unique(clips.label)
    if len(present) < 2:
        held = f"only {clips.classes[present[0]]!r}" if len(present) else "no clip"
        raise UserError(f"protocol {protocol}: the clips hold {held}; two classes are needed")
    folds = tuple(_folds(protocol, clips, seed))
    check(folds, clips)
    return Split(protocol, folds, tuple(_warnings(folds, clips)))


def _folds(protocol: str, clips: Clips, seed: int) -> list[Fold]:
    if protocol in ("loso", "composite"):
        datasets = sorted(set(merged(list(clips.dataset), data_set).names))
        if protocol == "composite" and len(datasets) < 2:
            raise UserError(f"protocol composite: all clips are of {datasets[0]}; use loso")
        return _leave_one_subject_out(clips)
    if found := re.fullmatch(r"(\d+)-fold", protocol):
        return _k_folds(clips, int(found[1]), seed)
    if protocol.startswith("cross:"):
        return _cross_data_set(clips, protocol.removeprefix("cross:"))
    raise UserError(f"unknown protocol {protocol!r}; choose from {KNOWN}")


def _leave_one_subject_out(clips: Clips) -> list[Fold]:
    ids = clips.subject_ids
    subjects = list(dict.fromkeys(ids))
    if len(subjects) < 2:
        raise UserError(f"protocol loso: {subjects[0]} is the only subject; two are needed")
    return [_fold(subject, ids == subject) for subject in subjects]


def _k_folds(clips: Clips, k: int, seed: int) -> list[Fold]:
    """Gives each subject to the smallest fold: those with most clips first, ties in drawn order."""
    subjects, of_row, counts = np.unique(
        clips.subject_ids.astype(str), return_inverse=True, return_counts=True
    )
    if k < 2 or len(subjects) < k:
        limit = f"2 to {len(subjects)} folds" if len(subjects) > 1 else "two subjects at least"
        raise UserError(f"protocol {k}-fold: {len(subjects)} subjects; needs {limit}")
    order = np.random.default_rng(seed).permutation(len(subjects))
    order = order[np.argsort(-counts[order], kind="stable")]
    clips_of_fold, fold_of = np.zeros(k), np.zeros(len(subjects), int)
    for subject in order:
        fold_of[subject] = np.argmin(clips_of_fold)
        clips_of_fold[fold_of[subject]] += counts[subject]
    return [_fold(f"fold{i}", fold_of[of_row] == i) for i in range(k)]


def _cross_data_set(clips: Clips, tested: str) -> list[Fold]:
    datasets = merged(list(clips.dataset), data_set).names
    of_tested = np.array([data_set(name) == data_set(tested) for name in datasets])
    if not of_tested.any() or of_tested.all():
        raise UserError(
            f"protocol cross:{tested}: the clips are of {', '.join(sorted(set(datasets)))}; "
            f"{tested} and one other data set at least are needed"
        )
    return [_fold(datasets[of_tested.argmax()], of_tested)]


def _fold(name: str, tested: np.ndarray) -> Fold:
    return Fold(name, np.flatnonzero(~tested), np.flatnonzero(tested))


def check(folds: Sequence[Fold], clips: Clips) -> None:
    """Refuses folds that leak: a subject trained on and tested, or a subject tested twice.

    Raises:
      UserError: names the subject and the folds.
    """
    ids, tested_in = clips.subject_ids, {}
    for fold in folds:
        tested = set(ids[fold.test])
        if both := sorted(tested & set(ids[fold.train])):
            raise UserError(f"fold {fold.name} trains and tests on {both[0]}; keep subjects whole")
        for subject in sorted(tested):
            if subject in tested_in:
                raise UserError(
                    f"{subject} is tested in the folds {tested_in[subject]} and {fold.name}; "
                    "keep subjects whole"
                )
            tested_in[subject] = fold.name


def _warnings(folds: Sequence[Fold], clips: Clips) -> Iterator[str]:
    present = np.unique(clips.label)
    for fold in folds:
        missing = np.setdiff1d(present, clips.label[fold.train])
        if len(missing):
            names = ", ".join(clips.classes[label] for label in missing)
            yield f"fold {fold.name}: no training clip of {names}, so it cannot be learnt there"


def inner_split(
    fold: Fold, clips: Clips, share: float = 0.2, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """A fold's training rows, split in two by subject, for choosing hyperparameters.

    The fold's test rows are not used. Subjects are drawn until `share` of the rows is held out; a
    subject without whom a class would have no training row is skipped as long as there are others.

    Args:
      share: The share of the rows to hold out; a fifth, as in 5-fold cross-validation, is a choice
        between rows to train on and a steady validation loss.

    Returns:
      (train, validation), row numbers; neither is empty.

    Raises:
      UserError: the fold trains on one subject only.
    """
    ids, labels = clips.subject_ids[fold.train], clips.label[fold.train]
    subjects = list(dict.fromkeys(ids))
    if len(subjects) < 2:
        raise UserError(
            f"fold {fold.name} trains on {len(subjects)} subject; an inner split needs two, to "
            "choose among several weight decays, learning rates or epochs; give one of each, "
            "such as --config.recognition.weight_decay=0.01"
        )
    drawn = [subjects[i] for i in np.random.default_rng(seed).permutation(len(subjects))]
    held = np.zeros(len(ids), bool)
    for subject in drawn:
        more = held | (ids == subject)
        if held.sum() < share * len(ids) and set(labels[~more]) == set(labels):
            held = more
    if not held.any():
        held = ids == drawn[0]
    return fold.train[~held], fold.train[held]
