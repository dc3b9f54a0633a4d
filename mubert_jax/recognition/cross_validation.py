"""Cross-validation: each subject is tested by a recognizer that never saw it.

The recognizer is passed in as a `Learner`. Finished folds are stored on disk, so that a run keeps
them when it is killed and started again.
"""

import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np
import pandas as pd
from rich.console import Console
from sklearn.utils.class_weight import compute_sample_weight

from mubert_jax import renamed
from mubert_jax.data.files import replacing, write_text, writing_errors
from mubert_jax.data.labelled_clips import LabelledClips
from mubert_jax.errors import UserError, readable
from mubert_jax.recognition.optimism import best_epoch
from mubert_jax.recognition.predictions import COLUMNS, PROBABILITY, Predictions
from mubert_jax.recognition.protocols import Clips, Fold, Split, inner_split, split

FOLDS = "folds"
PLAN_FILE = "finetune.json"
RESUME = "run the same command again, finished folds are kept"


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
      picked: what the epochs that suit the test clips best would have predicted; None unless asked.
      warnings: what a reader has to know about the folds.
    """

    predictions: Predictions
    curves: pd.DataFrame
    warnings: tuple[str, ...]
    picked: Predictions | None = None


@dataclass(frozen=True, eq=False)
class Fitted:
    """The result of one fold: `logits` of all pairs (P, C), `losses` (E,), weight `decay` ().

    `named` is the class that each of its T test clips was taken for after each epoch, (E, T), if
    that was watched.
    """

    logits: np.ndarray
    losses: np.ndarray
    decay: np.ndarray
    named: np.ndarray | None = None


class KeptFolds:
    """The finished folds in a run's folder, which is created if it is new.

    Args:
      plan: Everything that determines a fold: names, and values as text.
      defaults: The values of names that the plan of an earlier release lacks.

    Raises:
      UserError: the folder holds another run; names what differs.
    """

    def __init__(
        self, workdir: Path, plan: Mapping[str, str], defaults: Mapping[str, str] | None = None
    ):
        self._folder, path = workdir / FOLDS, workdir / PLAN_FILE
        if path.exists():
            _compare(plan, path, defaults or {})
        elif (workdir / "checkpoints").exists():
            raise UserError(f"{workdir} holds another run; take another --workdir")
        with writing_errors(workdir, RESUME):
            self._folder.mkdir(parents=True, exist_ok=True)
            write_text(path, json.dumps(plan, indent=1) + "\n")

    def load(self, seed: int, fold: int) -> Fitted | None:
        """A finished fold by its number, or None; UserError if its file is damaged."""
        path = self._path(seed, fold)
        if not path.exists():
            return None
        try:
            with np.load(path) as saved:
                return Fitted(**saved)
        except (OSError, EOFError, ValueError, TypeError, zipfile.BadZipFile) as error:
            if readable(error):
                raise
            raise UserError(f"{path} is damaged; delete it, and it is computed again") from error

    def save(self, seed: int, fold: int, fitted: Fitted) -> None:
        """Stores a finished fold.

        Raises:
          UserError: a value is not finite, or the disk is full.
        """
        if not (np.isfinite(fitted.logits).all() and np.isfinite(fitted.losses).all()):
            raise UserError(
                f"seed {seed}, fold {fold}: the loss is not finite; lower "
                "config.recognition.learning_rate, in another --workdir"
            )
        path = self._path(seed, fold)
        with writing_errors(path.parent, RESUME), replacing(path) as temporary:
            with open(temporary, "wb") as file:
                np.savez(file, **{k: x for k, x in vars(fitted).items() if x is not None})

    def _path(self, seed: int, fold: int):
        return self._folder / f"seed{seed}-fold{fold:03d}.npz"


def _compare(plan: Mapping[str, str], path: Path, defaults: Mapping[str, str]):
    try:
        saved = renamed.plan(dict(json.loads(path.read_text())))
    except (OSError, ValueError, TypeError) as error:
        if readable(error):
            raise
        raise UserError(f"{path} is damaged; take another --workdir") from error
    saved = {key: defaults[key] for key in plan if key in defaults} | saved
    differing = sorted(key for key in {**plan, **saved} if plan.get(key) != saved.get(key))
    if differing:
        raise UserError(
            f"{path.parent} holds a fine-tuning of another {differing[0]} "
            f"({saved.get(differing[0])} there, {plan.get(differing[0])} now); take another "
            "--workdir"
        )


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
) -> CrossValidated:
    """Trains and tests every fold under every seed.

    Args:
      protocol: The protocol, as `protocols.split` accepts it.
      weight_decays: The candidates; each fold chooses by an inner split of its subjects.
      kept: The store of finished folds.
      folds_at_once: The number of folds that a learner is given at a time; 0 for all.
      optimism: Whether test clips are watched, for `CrossValidated.picked`. Folds that were kept
        without are trained again.

    Raises:
      UserError: the protocol does not fit the pairs; a loss is not finite; the disk is full.
    """
    clips = clips_of(pairs)
    tables, curves, picked, warnings = [], [], [], []
    for seed in seeds:
        folds = split(protocol, clips, seed)
        warnings += [text for text in folds.warnings if text not in warnings]
        at_once = folds_at_once or len(folds.folds)
        fitted = _of_seed(
            make_learner, clips, folds, seed, weight_decays, kept, console, at_once, optimism
        )
        tables.append(_predictions(folds, fitted, pairs, clips, seed))
        curves.append(_curves(folds, fitted, seed))
        if optimism:
            picked.append(_picked(folds, fitted, clips, tables[-1]))
    predictions = Predictions(pd.concat(tables, ignore_index=True), clips.classes)
    best = None
    if optimism:
        best = Predictions(pd.concat(picked, ignore_index=True), clips.classes)
    return CrossValidated(predictions, pd.concat(curves), tuple(warnings), best)


def check_folds(
    pairs: LabelledClips, protocol: str, seeds: Sequence[int], weight_decays: Sequence[float]
) -> np.ndarray:
    """Marks the pairs that are tested, boolean (P,).

    Raises:
      UserError: the protocol does not fit the pairs, or a fold trains on too few people to choose
        its weight decay.
    """
    clips, tested = clips_of(pairs), np.zeros(len(pairs), bool)
    for seed in seeds:
        for fold in split(protocol, clips, seed).folds:
            tested[fold.test] = True
            if len(weight_decays) > 1:
                inner_split(fold, clips, seed=seed)
    return tested


def fit_all(
    make_learner: MakeLearner, pairs: LabelledClips, seed: int, weight_decays: Sequence[float]
) -> Any:
    """The parameters of the recognizer to keep: trained on every clip, tested on none.

    Its weight decay is chosen by an inner split of all subjects.
    """
    clips, learn = clips_of(pairs), make_learner(seed)
    everyone = Fold("all", np.arange(len(pairs)), np.arange(0))
    decay = _decays(learn, np.zeros(1, int), [everyone], clips, seed, weight_decays)
    learned = learn(np.zeros(1, int), np.ones((1, len(pairs)), bool), decay)
    return jax.tree.map(lambda x: np.asarray(x[0]), learned.params)


def clips_of(pairs: LabelledClips) -> Clips:
    """The part of the pairs that a protocol needs."""
    columns = np.array(pairs.dataset), np.array(pairs.subject)
    return Clips(*columns, pairs.label, tuple(pairs.classes))


def _of_seed(
    make_learner: MakeLearner,
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
    learn = make_learner(seed)
    for start in range(0, len(missing), at_once):
        numbers = np.array(missing[start : start + at_once])
        group = [folds.folds[number] for number in numbers]
        decays = _decays(learn, numbers, group, clips, seed, weight_decays)
        train = np.stack([_mask(fold.train, clips) for fold in group])
        tests = [fold.test for fold in group]
        learned = learn(numbers, train, decays, _filled(tests) if watch else None)
        for i, number in enumerate(numbers):
            named = None
            if learned.named is not None:
                named = learned.named[i, :, : len(tests[i])].astype(np.uint8)
            found[number] = Fitted(learned.logits[i], learned.losses[i], decays[i], named)
            kept.save(seed, number, found[number])
        done = count - len(missing) + start + len(numbers)
        console.print(f"seed {seed}: {done} of {count} folds", highlight=False)
    return [found[number] for number in range(count)]


def _decays(
    learn: Learner,
    numbers: np.ndarray,
    folds: Sequence[Fold],
    clips: Clips,
    seed: int,
    values: Sequence[float],
) -> np.ndarray:
    """Each fold's weight decay, chosen among several by an inner split of its own subjects."""
    if len(values) == 1:
        return np.full(len(numbers), values[0])
    halves = [inner_split(fold, clips, seed=seed) for fold in folds]
    inner, validation = (
        np.stack([_mask(rows, clips) for rows in half]) for half in zip(*halves, strict=True)
    )
    return choose_decay(learn, numbers, inner, validation, clips.label, values)


def choose_decay(
    learn: Learner,
    fold_K: np.ndarray,
    inner_KxP: np.ndarray,
    validation_KxP: np.ndarray,
    label_P: np.ndarray,
    values: Sequence[float],
) -> np.ndarray:
    """The weight decay of each fold, (K,): the one with the least loss on its validation clips.

    All classes in the validation clips have equal weight; a value that diverged is not chosen.

    Args:
      inner_KxP, validation_KxP: A fold's training clips, split in two by subject; boolean.
    """
    weight_KxP = np.zeros(np.shape(validation_KxP))
    for weight_P, marks_P in zip(weight_KxP, validation_KxP, strict=True):
        weight_P[marks_P] = compute_sample_weight("balanced", label_P[marks_P]) / marks_P.sum()
    loss_VxK = []
    for value in values:
        logits = learn(fold_K, inner_KxP, np.full(len(fold_K), value)).logits
        entropy = -np.asarray(jax.nn.log_softmax(logits))[:, np.arange(len(label_P)), label_P]
        loss_VxK.append(np.sum(entropy * weight_KxP, axis=-1))
    return np.asarray(values)[np.argmin(np.nan_to_num(loss_VxK, nan=np.inf), axis=0)]


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
    epochs = len(fitted[0].losses)
    # A hundred points are enough for a figure; a linear probe has hundreds of epochs of one step.
    shown = np.unique(np.linspace(0, epochs - 1, min(epochs, 100)).astype(int))
    return pd.DataFrame(
        [
            (seed, fold.name, epoch + 1, float(found.losses[epoch]))
            for fold, found in zip(folds.folds, fitted, strict=True)
            for epoch in shown
        ],
        columns=["seed", "fold", "epoch", "loss"],
    )
