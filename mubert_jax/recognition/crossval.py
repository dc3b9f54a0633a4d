"""Cross-validation: each subject is tested by a recogniser that never saw it.

Finished folds are files in `folds/`: killed and started again, the others go on.
"""

import dataclasses
import hashlib
import json
from pathlib import Path

import jax
import numpy as np
import pandas as pd
from rich.console import Console

from mubert_jax import config as config_lib
from mubert_jax.config import Config
from mubert_jax.data.files import replacing, writing_errors
from mubert_jax.data.pairs import LabelledPairs
from mubert_jax.errors import UserError
from mubert_jax.models.micron_bert import MicronBert
from mubert_jax.recognition.facts import Facts
from mubert_jax.recognition.learners import LEARNERS, choose_decay
from mubert_jax.recognition.learning_curves import CURVES_FILE
from mubert_jax.recognition.predictions import COLUMNS, PREDICTIONS_FILE, PROBABILITY, Predictions
from mubert_jax.recognition.protocols import Clips, Split, inner_split, split

FOLDS = "folds"
PLAN_FILE = "finetune.json"
RESUME = "run the same command again, finished folds are kept"
# What may change between two starts of one run.
FREE = ("recognition.published", "recognition.folds_at_once")


@dataclasses.dataclass(frozen=True, eq=False)
class Fitted:
    """What one group of folds came to: `logits` (K, P, C), `losses` (K, E), `decay` (K,)."""

    logits: np.ndarray
    losses: np.ndarray
    decay: np.ndarray


def cross_validate(
    config: Config,
    model: MicronBert,
    params: dict,
    pairs: LabelledPairs,
    workdir: Path,
    stamps: list[str],
    console: Console,
) -> Predictions:
    """Trains and tests every fold under every seed; leaves what `mubert evaluate` reads.

    Args:
      params: a pretrained backbone with a fresh recogniser.
      stamps: what is wrong with the backbone, for every table.

    Raises:
      UserError: the protocol does not fit the pairs; the folder holds another run.
    """
    recognition = config.recognition
    clips = Clips(
        np.array(pairs.dataset), np.array(pairs.subject), pairs.label, tuple(pairs.classes)
    )
    split(recognition.protocol, clips)
    _same_run(config, params, pairs, workdir)
    tables, curves, warnings = [], [], []
    for seed in recognition.seeds:
        folds = split(recognition.protocol, clips, seed)
        warnings += [text for text in folds.warnings if text not in warnings]
        fitted = _of_seed(config, model, params, pairs, clips, folds, seed, workdir, console)
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


def fit_all(config: Config, model: MicronBert, params: dict, pairs: LabelledPairs) -> dict:
    """The recogniser to keep: trained on every clip, tested on none.

    Its weight decay is chosen by an inner split of all subjects, under the first seed.
    """
    recognition, everyone = config.recognition, np.ones((1, len(pairs)), bool)
    learn = LEARNERS[recognition.backbone](model, params, pairs, recognition, recognition.seeds[0])
    clips = Clips(
        np.array(pairs.dataset), np.array(pairs.subject), pairs.label, tuple(pairs.classes)
    )
    rows = np.arange(len(pairs))
    whole = dataclasses.replace(split("2-fold", clips).folds[0], train=rows, test=rows[:0])
    inner, validation = _inner([whole], clips, recognition.seeds[0])
    decay = choose_decay(
        learn, np.zeros(1, int), inner, validation, pairs.label, recognition.weight_decay
    )
    _, _, trained = learn(np.zeros(1, int), everyone, decay)
    return params | jax.tree.map(lambda x: np.asarray(x[0]), trained)


def _of_seed(config, model, params, pairs, clips, folds: Split, seed, workdir, console) -> Fitted:
    recognition = config.recognition
    at_once = len(folds.folds)
    if recognition.backbone == "full":
        at_once = recognition.folds_at_once or (1 if jax.default_backend() == "cpu" else 8)
    learn, groups = None, []
    for start in range(0, len(folds.folds), at_once):
        numbers = np.arange(start, min(start + at_once, len(folds.folds)))
        path = workdir / FOLDS / f"seed{seed}-{start:03d}.npz"
        if not path.exists():
            if learn is None:
                learn = LEARNERS[recognition.backbone](model, params, pairs, recognition, seed)
            group = [folds.folds[number] for number in numbers]
            fitted = _fit(learn, numbers, group, clips, seed, recognition)
            with writing_errors(workdir, RESUME), replacing(path) as temporary:
                with open(temporary, "wb") as file:
                    np.savez(file, **vars(fitted))
        with np.load(path) as saved:
            groups.append(Fitted(**saved))
        console.print(
            f"seed {seed}: {numbers[-1] + 1} of {len(folds.folds)} folds", highlight=False
        )
    return Fitted(*map(np.concatenate, zip(*(vars(g).values() for g in groups), strict=True)))


def _fit(learn, numbers, folds, clips: Clips, seed, recognition) -> Fitted:
    train = np.stack([_mask(fold.train, clips) for fold in folds])
    inner, validation = _inner(folds, clips, seed)
    decay = choose_decay(learn, numbers, inner, validation, clips.label, recognition.weight_decay)
    logits, losses, _ = learn(numbers, train, decay)
    return Fitted(logits, losses, decay)


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


def _predictions(folds: Split, fitted: Fitted, pairs, clips: Clips, seed) -> pd.DataFrame:
    """The rows of predictions.csv: every clip by the recogniser that was not trained on it."""
    rows = []
    for fold, logits in zip(folds.folds, fitted.logits, strict=True):
        probabilities = np.asarray(jax.nn.softmax(logits[fold.test]))
        for row, chances in zip(fold.test, probabilities, strict=True):
            names = clips.classes[clips.label[row]], clips.classes[int(chances.argmax())]
            who = pairs.dataset[row], pairs.subject[row], pairs.clip[row]
            rows.append((row, *who, seed, fold.name, *names, *chances))
    columns = ["row", *COLUMNS, *(PROBABILITY + name for name in clips.classes)]
    return pd.DataFrame(rows, columns=columns).sort_values("row").drop(columns="row")


def _curves(folds: Split, fitted: Fitted, seed) -> pd.DataFrame:
    epochs = fitted.losses.shape[1]
    # Of a frozen head, whose epoch is one step, a hundred points are enough for a picture.
    shown = np.unique(np.linspace(0, epochs - 1, min(epochs, 100)).astype(int))
    return pd.DataFrame(
        [
            (seed, fold.name, epoch + 1, float(losses[epoch]))
            for fold, losses in zip(folds.folds, fitted.losses, strict=True)
            for epoch in shown
        ],
        columns=["seed", "fold", "epoch", "loss"],
    )


def _same_run(config: Config, params: dict, pairs: LabelledPairs, workdir: Path):
    """Refuses a folder whose finished folds are of another config, other pairs or other weights."""
    digest = hashlib.sha256(pairs.label.tobytes())
    for array in (pairs.onset, pairs.apex, *jax.tree.leaves(params)):
        digest.update(np.ascontiguousarray(array).tobytes())
    values = config_lib.flatten(config)
    plan = {
        key: repr(value)
        for key, value in values.items()
        if key.startswith(("recognition.", "model.")) and key not in FREE
    }
    plan |= {"pairs and pretrained weights": digest.hexdigest()[:16]}
    path = workdir / PLAN_FILE
    if path.exists():
        saved = json.loads(path.read_text())
        if differing := sorted(k for k in plan | saved if plan.get(k) != saved.get(k)):
            raise UserError(
                f"{workdir} holds a fine-tuning of another {differing[0]} "
                f"({saved.get(differing[0])} there, {plan.get(differing[0])} now); take another "
                "--workdir"
            )
        return
    with writing_errors(workdir, RESUME):
        (workdir / FOLDS).mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(plan, indent=1) + "\n")
