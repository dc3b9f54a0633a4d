"""Cross-validation: each subject is tested by a recognizer that never saw it."""

from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
import pandas as pd
from rich.console import Console

from mubert_jax.config import Config
from mubert_jax.data.files import replacing, writing_errors
from mubert_jax.data.pairs import LabelledPairs
from mubert_jax.models.micron_bert import MicronBert
from mubert_jax.recognition.facts import Facts
from mubert_jax.recognition.kept import RESUME, Fitted, KeptFolds
from mubert_jax.recognition.learners import LEARNERS, Learner, choose_decay
from mubert_jax.recognition.learning_curves import CURVES_FILE
from mubert_jax.recognition.predictions import COLUMNS, PREDICTIONS_FILE, PROBABILITY, Predictions
from mubert_jax.recognition.protocols import Clips, Fold, Split, inner_split, split


def cross_validate(
    config: Config,
    model: MicronBert,
    params: dict,
    pairs: LabelledPairs,
    workdir: Path,
    stamps: list[str],
    console: Console,
    warnings: Sequence[str] = (),
) -> Predictions:
    """Trains and tests every fold under every seed; leaves what `mubert evaluate` reads.

    Args:
      params: a pretrained backbone with a fresh recognizer.
      stamps: what is wrong with the backbone, for every table.
      warnings: what a reader should know of the pairs, listed once.

    Raises:
      UserError: the protocol does not fit the pairs; the folder holds another run.
    """
    recognition, clips = config.recognition, clips_of(pairs)
    check_folds(config, pairs)
    kept = KeptFolds(workdir, config, params, pairs)
    tables, curves, warnings = [], [], list(warnings)
    for seed in recognition.seeds:
        folds = split(recognition.protocol, clips, seed)
        warnings += [text for text in folds.warnings if text not in warnings]
        fitted = _of_seed(config, model, params, pairs, clips, folds, seed, kept, console)
        tables.append(_predictions(folds, fitted, pairs, clips, seed))
        curves.append(_curves(folds, fitted, seed))
    predictions = Predictions(pd.concat(tables, ignore_index=True), clips.classes)
    with writing_errors(workdir, RESUME):
        predictions.save(workdir / PREDICTIONS_FILE)
        with replacing(workdir / CURVES_FILE) as temporary:
            pd.concat(curves).to_csv(temporary, index=False)
        Facts(
            classes=clips.classes,
            protocol=recognition.protocol,
            published=recognition.published or None,
            stamps=tuple(stamps),
            warnings=tuple(warnings),
        ).save(workdir)
    return predictions


def check_folds(config: Config, pairs: LabelledPairs) -> np.ndarray:
    """Which pairs are tested, boolean (P,).

    Raises:
      UserError: the protocol does not fit the pairs, or a fold trains on too few people to choose
        its weight decay.
    """
    recognition, clips = config.recognition, clips_of(pairs)
    tested = np.zeros(len(pairs), bool)
    for seed in recognition.seeds:
        for fold in split(recognition.protocol, clips, seed).folds:
            tested[fold.test] = True
            if len(recognition.weight_decay) > 1:
                inner_split(fold, clips, seed=seed)
    return tested


def fit_all(config: Config, model: MicronBert, params: dict, pairs: LabelledPairs) -> dict:
    """The recognizer to keep: trained on every clip, tested on none.

    Its weight decay is chosen by an inner split of all subjects, under the first seed.
    """
    recognition, clips, seed = config.recognition, clips_of(pairs), config.recognition.seeds[0]
    learn = LEARNERS[recognition.backbone](model, params, pairs, recognition, seed)
    everyone = Fold("all", np.arange(len(pairs)), np.arange(0))
    decay = _decay(learn, np.zeros(1, int), [everyone], clips, seed, recognition)
    _, _, trained = learn(np.zeros(1, int), np.ones((1, len(pairs)), bool), decay)
    return params | jax.tree.map(lambda x: np.asarray(x[0]), trained)


def clips_of(pairs: LabelledPairs) -> Clips:
    """What a protocol needs to know of the pairs."""
    columns = np.array(pairs.dataset), np.array(pairs.subject)
    return Clips(*columns, pairs.label, tuple(pairs.classes))


def _of_seed(
    config, model, params, pairs, clips, folds: Split, seed, kept: KeptFolds, console
) -> list[Fitted]:
    """All folds under one seed: those that are there, and the others in groups."""
    recognition, count = config.recognition, len(folds.folds)
    at_once = count
    if recognition.backbone == "full":
        at_once = recognition.folds_at_once or (1 if jax.default_backend() == "cpu" else 8)
    found = {number: kept.load(seed, number) for number in range(count)}
    missing = [number for number in found if found[number] is None]
    learn = None
    for start in range(0, len(missing), at_once):
        learn = learn or LEARNERS[recognition.backbone](model, params, pairs, recognition, seed)
        numbers = np.array(missing[start : start + at_once])
        group = [folds.folds[number] for number in numbers]
        decays = _decay(learn, numbers, group, clips, seed, recognition)
        train = np.stack([_mask(fold.train, clips) for fold in group])
        logits, losses, _ = learn(numbers, train, decays)
        for number, *fitted in zip(numbers, logits, losses, decays, strict=True):
            found[number] = Fitted(*fitted)
            kept.save(seed, number, found[number])
        done = count - len(missing) + start + len(numbers)
        console.print(f"seed {seed}: {done} of {count} folds", highlight=False)
    return list(found.values())


def _decay(learn: Learner, numbers, folds, clips: Clips, seed, recognition) -> np.ndarray:
    """Each fold's weight decay, chosen among several by an inner split of its own subjects."""
    values = recognition.weight_decay
    if len(values) == 1:
        return np.full(len(numbers), values[0])
    inner, validation = _inner(folds, clips, seed)
    return choose_decay(learn, numbers, inner, validation, clips.label, values)


def _inner(folds, clips, seed):
    """Each fold's training clips in two: masks (K, P) to learn from and to choose by."""
    halves = [inner_split(fold, clips, seed=seed) for fold in folds]
    return (
        np.stack([_mask(inner, clips) for inner, _ in halves]),
        np.stack([_mask(validation, clips) for _, validation in halves]),
    )


def _mask(rows, clips):
    mask = np.zeros(len(clips.label), bool)
    mask[rows] = True
    return mask


def _predictions(folds: Split, fitted: list[Fitted], pairs, clips: Clips, seed) -> pd.DataFrame:
    """The rows of predictions.csv: every clip by the recognizer that was not trained on it."""
    rows = []
    for fold, found in zip(folds.folds, fitted, strict=True):
        probabilities = np.asarray(jax.nn.softmax(found.logits[fold.test]))
        for row, chances in zip(fold.test, probabilities, strict=True):
            names = clips.classes[clips.label[row]], clips.classes[int(chances.argmax())]
            who = pairs.dataset[row], pairs.subject[row], pairs.clip[row]
            rows.append((row, *who, seed, fold.name, *names, *chances))
    columns = ["row", *COLUMNS, *(PROBABILITY + name for name in clips.classes)]
    return pd.DataFrame(rows, columns=columns).sort_values("row").drop(columns="row")


def _curves(folds: Split, fitted: list[Fitted], seed) -> pd.DataFrame:
    epochs = len(fitted[0].losses)
    # Of a frozen head, whose epoch is one step, a hundred points are enough for a picture.
    shown = np.unique(np.linspace(0, epochs - 1, min(epochs, 100)).astype(int))
    return pd.DataFrame(
        [
            (seed, fold.name, epoch + 1, float(found.losses[epoch]))
            for fold, found in zip(folds.folds, fitted, strict=True)
            for epoch in shown
        ],
        columns=["seed", "fold", "epoch", "loss"],
    )
