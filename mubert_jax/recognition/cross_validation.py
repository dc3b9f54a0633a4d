"""Cross-validation: each subject is tested by a recognizer that never saw it.

The recognizer is passed in as a `Learner`. Finished folds are stored on disk, so that a run keeps
them when it is killed and started again.
"""

import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd
from rich.console import Console
from sklearn.utils.class_weight import compute_sample_weight

from mubert_jax import renamed
from mubert_jax.data.files import replacing, write_text, writing_errors
from mubert_jax.data.labelled_clips import LabelledClips
from mubert_jax.errors import UserError, readable
from mubert_jax.recognition.predictions import COLUMNS, PROBABILITY, Predictions
from mubert_jax.recognition.protocols import Clips, Fold, Split, inner_split, split

FOLDS = "folds"
PLAN_FILE = "finetune.json"
RESUME = "run the same command again, finished folds are kept"

# (numbers of K folds, train_KxP, weight_decay_K) -> logits of all pairs (K, P, C), losses (K, E),
# and the trained parameters, with a leading axis K. `train_KxP` marks the pairs that a fold may
# learn from. A fold gives the same result alone and among others.
Learner = Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray, Any]]
# Seed -> the learner with this seed.
MakeLearner = Callable[[int], Learner]


@dataclass(frozen=True, eq=False)
class CrossValidated:
    """The result of a cross-validation.

    Attributes:
      predictions: of every clip under every seed, by a recognizer not trained on its subject.
      curves: columns `seed`, `fold`, `epoch`, `loss`.
      warnings: what a reader has to know about the folds.
    """

    predictions: Predictions
    curves: pd.DataFrame
    warnings: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Fitted:
    """The result of one fold: `logits` of all pairs (P, C), `losses` (E,), weight `decay` ()."""

    logits: np.ndarray
    losses: np.ndarray
    decay: np.ndarray


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
                np.savez(file, **vars(fitted))

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
) -> CrossValidated:
    """Trains and tests every fold under every seed.

    Args:
      protocol: The protocol, as `protocols.split` accepts it.
      weight_decays: The candidates; each fold chooses by an inner split of its subjects.
      kept: The store of finished folds.
      folds_at_once: The number of folds that a learner is given at a time; 0 for all.

    Raises:
      UserError: the protocol does not fit the pairs; a loss is not finite; the disk is full.
    """
    clips = clips_of(pairs)
    tables, curves, warnings = [], [], []
    for seed in seeds:
        folds = split(protocol, clips, seed)
        warnings += [text for text in folds.warnings if text not in warnings]
        at_once = folds_at_once or len(folds.folds)
        fitted = _of_seed(make_learner, clips, folds, seed, weight_decays, kept, console, at_once)
        tables.append(_predictions(folds, fitted, pairs, clips, seed))
        curves.append(_curves(folds, fitted, seed))
    predictions = Predictions(pd.concat(tables, ignore_index=True), clips.classes)
    return CrossValidated(predictions, pd.concat(curves), tuple(warnings))


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
    _, _, trained = learn(np.zeros(1, int), np.ones((1, len(pairs)), bool), decay)
    return jax.tree.map(lambda x: np.asarray(x[0]), trained)


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
) -> list[Fitted]:
    """All folds under one seed: the finished ones are loaded, the others trained in groups."""
    count = len(folds.folds)
    stored = ((number, kept.load(seed, number)) for number in range(count))
    found = {number: fitted for number, fitted in stored if fitted is not None}
    missing = [number for number in range(count) if number not in found]
    if not missing:
        return [found[number] for number in range(count)]
    learn = make_learner(seed)
    for start in range(0, len(missing), at_once):
        numbers = np.array(missing[start : start + at_once])
        group = [folds.folds[number] for number in numbers]
        decays = _decays(learn, numbers, group, clips, seed, weight_decays)
        train = np.stack([_mask(fold.train, clips) for fold in group])
        logits, losses, _ = learn(numbers, train, decays)
        for number, *fitted in zip(numbers, logits, losses, decays, strict=True):
            found[number] = Fitted(*fitted)
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
        logits, _, _ = learn(fold_K, inner_KxP, np.full(len(fold_K), value))
        entropy = -np.asarray(jax.nn.log_softmax(logits))[:, np.arange(len(label_P)), label_P]
        loss_VxK.append(np.sum(entropy * weight_KxP, axis=-1))
    return np.asarray(values)[np.argmin(np.nan_to_num(loss_VxK, nan=np.inf), axis=0)]


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
