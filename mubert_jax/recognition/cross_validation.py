"""Cross-validation: each subject is tested by a recognizer that never saw it.

The recognizer is passed in as a `Learner`. Finished folds are kept (`kept_folds`), so that a run
goes on when it is killed and started again.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np
import pandas as pd
from rich.console import Console
from sklearn.utils.class_weight import compute_sample_weight

from mubert_jax.data.labelled_clips import LabelledClips
from mubert_jax.data.people import PROBABILITY
from mubert_jax.recognition.kept_folds import Fitted, KeptFolds
from mubert_jax.recognition.optimism import best_epoch
from mubert_jax.recognition.predictions import COLUMNS, Predictions
from mubert_jax.recognition.protocols import Clips, Fold, Split, inner_split, split


class Learned(NamedTuple):
    """What a learner made of K folds.

    Attributes:
      logits: of all pairs, (K, P, C), after the last epoch.
      losses: (K, E).
      params: the trained parameters, with a leading axis K.
      named: the class that each watched pair was taken for after each epoch, (K, E, T); None if
        none was watched.
    """

    logits: np.ndarray
    losses: np.ndarray
    params: Any
    named: np.ndarray | None = None


class Learner(Protocol):
    """Trains K folds; a fold gives the same result alone and among others, watched or not.

    Args:
      fold_K: The numbers of the folds.
      train_KxP: The pairs that each fold may learn from, boolean.
      weight_decay_K: The weight decay of each fold.
      watched_KxT: Row numbers of pairs that each fold names after every epoch.
    """

    def __call__(
        self,
        fold_K: np.ndarray,
        train_KxP: np.ndarray,
        weight_decay_K: np.ndarray,
        watched_KxT: np.ndarray | None = None,
        /,
    ) -> Learned: ...


# Seed -> the learner with this seed.
MakeLearner = Callable[[int], Learner]


@dataclass(frozen=True, eq=False)
class CrossValidated:
    """The result of a cross-validation.

    Attributes:
      predictions: of every clip under every seed, by a recognizer not trained on its subject.
      curves: columns `seed`, `fold`, `epoch`, `loss`.
      chosen: what each fold chose, columns `seed`, `fold`, `weight_decay`, `learner`, its number.
      picked: what the epochs that suit the test clips best would have predicted; None unless asked.
      warnings: what a reader has to know about the folds.
    """

    predictions: Predictions
    curves: pd.DataFrame
    chosen: pd.DataFrame
    warnings: tuple[str, ...]
    picked: Predictions | None = None


def cross_validate(
    make_learner: MakeLearner,
    pairs: LabelledClips,
    protocol: str,
    seeds: Sequence[int],
    weight_decays: Sequence[float],
    kept: KeptFolds,
    console: Console,
    folds_at_once: int = 0,
    optimism: bool = False,
    others: Sequence[MakeLearner] = (),
) -> CrossValidated:
    """Trains and tests every fold under every seed.

    Args:
      protocol: The protocol, as `protocols.split` accepts it.
      weight_decays: The candidates; each fold chooses by an inner split of its subjects.
      kept: The store of finished folds.
      folds_at_once: The number of folds that a learner is given at a time; 0 for all.
      optimism: Whether test clips are watched, for `CrossValidated.picked`. Folds that were kept
        without are trained again.
      others: Further learners, among which and `make_learner` each fold chooses alike.

    Raises:
      UserError: the protocol does not fit the pairs; a loss is not finite; the disk is full.
    """
    clips = clips_of(pairs)
    tables, curves, chosen, picked, warnings = [], [], [], [], []
    makers = make_learner, *others
    for seed in seeds:
        folds = split(protocol, clips, seed)
        warnings += [text for text in folds.warnings if text not in warnings]
        at_once = folds_at_once or len(folds.folds)
        fitted = _of_seed(
            makers, clips, folds, seed, weight_decays, kept, console, at_once, optimism
        )
        tables.append(_predictions(folds, fitted, pairs, clips, seed))
        curves.append(_curves(folds, fitted, seed))
        chosen += [
            (seed, fold.name, float(found.decay), int(found.learner))
            for fold, found in zip(folds.folds, fitted, strict=True)
        ]
        if optimism:
            picked.append(_picked(folds, fitted, clips, tables[-1]))
    predictions = Predictions(pd.concat(tables, ignore_index=True), clips.classes)
    best = None
    if optimism:
        best = Predictions(pd.concat(picked, ignore_index=True), clips.classes)
    choices = pd.DataFrame(chosen, columns=["seed", "fold", "weight_decay", "learner"])
    return CrossValidated(predictions, pd.concat(curves), choices, tuple(warnings), best)


def check_folds(
    pairs: LabelledClips,
    protocol: str,
    seeds: Sequence[int],
    weight_decays: Sequence[float],
    learners: int = 1,
) -> np.ndarray:
    """Marks the pairs that are tested, boolean (P,).

    Raises:
      UserError: the protocol does not fit the pairs, or a fold trains on too few people to choose
        among several weight decays or learners.
    """
    clips, tested = clips_of(pairs), np.zeros(len(pairs), bool)
    for seed in seeds:
        for fold in split(protocol, clips, seed).folds:
            tested[fold.test] = True
            if len(weight_decays) * learners > 1:
                inner_split(fold, clips, seed=seed)
    return tested


def fit_all(
    make_learner: MakeLearner,
    pairs: LabelledClips,
    seed: int,
    weight_decays: Sequence[float],
    others: Sequence[MakeLearner] = (),
) -> Any:
    """The parameters of the recognizer to keep: trained on every clip, tested on none.

    Its weight decay, and its learner if there are `others`, are chosen by an inner split of all
    subjects.
    """
    clips, learners = clips_of(pairs), [make(seed) for make in (make_learner, *others)]
    everyone = Fold("all", np.arange(len(pairs)), np.arange(0))
    learner, decay = _choices(learners, np.zeros(1, int), [everyone], clips, seed, weight_decays)
    learn = learners[learner[0]]
    learned = learn(np.zeros(1, int), np.ones((1, len(pairs)), bool), decay)
    return jax.tree.map(lambda x: np.asarray(x[0]), learned.params)


def clips_of(pairs: LabelledClips) -> Clips:
    """The part of the pairs that a protocol needs."""
    columns = np.array(pairs.dataset), np.array(pairs.subject)
    return Clips(*columns, pairs.label, tuple(pairs.classes))


def _of_seed(
    makers: Sequence[MakeLearner],
    clips: Clips,
    folds: Split,
    seed: int,
    weight_decays: Sequence[float],
    kept: KeptFolds,
    console: Console,
    at_once: int,
    watch: bool,
) -> list[Fitted]:
    """All folds under one seed: the finished ones are loaded, the others trained in groups."""
    count = len(folds.folds)
    stored = {number: kept.load(seed, number) for number in range(count)}
    found = {number: fitted for number, fitted in stored.items() if fitted is not None}
    if watch and (blind := [number for number, fitted in found.items() if fitted.named is None]):
        console.print(
            f"seed {seed}: {len(blind)} folds were kept without their epochs' predictions, and are "
            "trained again",
            highlight=False,
        )
        found = {number: fitted for number, fitted in found.items() if number not in blind}
    missing = [number for number in range(count) if number not in found]
    if not missing:
        return [found[number] for number in range(count)]
    learners = [make(seed) for make in makers]
    for start in range(0, len(missing), at_once):
        numbers = np.array(missing[start : start + at_once])
        group = [folds.folds[number] for number in numbers]
        chosen, decays = _choices(learners, numbers, group, clips, seed, weight_decays)
        train = np.stack([_mask(fold.train, clips) for fold in group])
        tests = [fold.test for fold in group]
        watched = _filled(tests)
        for learner in np.unique(chosen):
            own = np.flatnonzero(chosen == learner)
            of_own = numbers[own], train[own], decays[own], watched[own] if watch else None
            learned = learners[learner](*of_own)
            for i, row in enumerate(own):
                named = None
                if learned.named is not None:
                    named = learned.named[i, :, : len(tests[row])].astype(np.uint8)
                made = Fitted(learned.logits[i], learned.losses[i], decays[row], named, learner)
                found[numbers[row]] = made
                kept.save(seed, numbers[row], made)
        done = count - len(missing) + start + len(numbers)
        console.print(f"seed {seed}: {done} of {count} folds", highlight=False)
    return [found[number] for number in range(count)]


def _choices(
    learners: Sequence[Learner],
    numbers: np.ndarray,
    folds: Sequence[Fold],
    clips: Clips,
    seed: int,
    values: Sequence[float],
) -> tuple[np.ndarray, np.ndarray]:
    """Each fold's learner and weight decay, chosen by an inner split of its own subjects."""
    if len(values) * len(learners) == 1:
        return np.zeros(len(numbers), int), np.full(len(numbers), values[0])
    halves = [inner_split(fold, clips, seed=seed) for fold in folds]
    inner, validation = (
        np.stack([_mask(rows, clips) for rows in half]) for half in zip(*halves, strict=True)
    )
    return choose(learners, numbers, inner, validation, clips.label, values)


def choose(
    learners: Sequence[Learner],
    fold_K: np.ndarray,
    inner_KxP: np.ndarray,
    validation_KxP: np.ndarray,
    label_P: np.ndarray,
    values: Sequence[float],
) -> tuple[np.ndarray, np.ndarray]:
    """The learner of each fold and its weight decay, (K,) both: of least loss on validation clips.

    All classes in the validation clips have equal weight; what diverged is not chosen.

    Args:
      inner_KxP, validation_KxP: A fold's training clips, split in two by subject; boolean.
    """
    weight_KxP = np.zeros(np.shape(validation_KxP))
    for weight_P, marks_P in zip(weight_KxP, validation_KxP, strict=True):
        weight_P[marks_P] = compute_sample_weight("balanced", label_P[marks_P]) / marks_P.sum()
    candidates, loss_VxK = list(itertools.product(range(len(learners)), values)), []
    for learner, value in candidates:
        logits = learners[learner](fold_K, inner_KxP, np.full(len(fold_K), value)).logits
        entropy = -np.asarray(jax.nn.log_softmax(logits))[:, np.arange(len(label_P)), label_P]
        loss_VxK.append(np.sum(entropy * weight_KxP, axis=-1))
    best_K = np.argmin(np.nan_to_num(loss_VxK, nan=np.inf), axis=0)
    learner_V, value_V = map(np.array, zip(*candidates, strict=True))
    return learner_V[best_K], value_V[best_K]


def named_rows(named_KxExP: np.ndarray, watched_KxT: np.ndarray | None) -> np.ndarray | None:
    """The watched of all pairs that K folds name after each epoch, (K, E, T); None if none is.

    One program names all pairs, watched or not: another one would round otherwise.
    """
    if watched_KxT is None:
        return None
    return np.take_along_axis(named_KxExP, watched_KxT[:, None], axis=2)


def _filled(rows: Sequence[np.ndarray]) -> np.ndarray:
    """Row numbers of K folds, each filled up with its own to the length of the longest, (K, T)."""
    longest = max(map(len, rows))
    return np.stack([np.resize(of_fold, longest) for of_fold in rows])


def _mask(rows: np.ndarray, clips: Clips):
    mask = np.zeros(len(clips.label), bool)
    mask[rows] = True
    return mask


def _predictions(
    folds: Split, fitted: list[Fitted], pairs: LabelledClips, clips: Clips, seed: int
) -> pd.DataFrame:
    """The rows of predictions.csv: every clip, named by the recognizer not trained on it."""
    rows = []
    for fold, found in zip(folds.folds, fitted, strict=True):
        probabilities = np.asarray(jax.nn.softmax(found.logits[fold.test]))
        for row, chances in zip(fold.test, probabilities, strict=True):
            names = clips.classes[clips.label[row]], clips.classes[int(chances.argmax())]
            who = pairs.dataset[row], pairs.subject[row], pairs.clip[row]
            rows.append((row, *who, seed, fold.name, *names, *chances))
    columns = ["row", *COLUMNS, *(PROBABILITY + name for name in clips.classes)]
    return pd.DataFrame(rows, columns=columns).sort_values("row").drop(columns="row")


def _picked(
    folds: Split, fitted: list[Fitted], clips: Clips, predicted: pd.DataFrame
) -> pd.DataFrame:
    """The rows of predictions, each fold's after the epoch that is best for its test clips."""
    named = np.full(len(clips.label), -1)
    for fold, found in zip(folds.folds, fitted, strict=True):
        of_epochs: Any = found.named
        named[fold.test] = of_epochs[best_epoch(of_epochs, clips.label[fold.test])]
    names = np.array(clips.classes)[named[named >= 0]]
    return predicted[list(COLUMNS)].assign(prediction=names)


def _curves(folds: Split, fitted: list[Fitted], seed: int) -> pd.DataFrame:
    return pd.DataFrame(
        [
            (seed, fold.name, epoch + 1, float(found.losses[epoch]))
            for fold, found in zip(folds.folds, fitted, strict=True)
            for epoch in _shown(len(found.losses))
        ],
        columns=["seed", "fold", "epoch", "loss"],
    )


def _shown(epochs: int) -> np.ndarray:
    """A hundred are enough for a figure; a linear probe has hundreds of epochs of one step."""
    return np.unique(np.linspace(0, epochs - 1, min(epochs, 100)).astype(int))
