"""Recognizers of the same clips, as a comparison reads them from the folders of finished runs."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from mubert_jax.errors import UserError
from mubert_jax.recognition.cost import Cost
from mubert_jax.recognition.metrics import Summary, resampled, subsets
from mubert_jax.recognition.optimism import OPTIMISM_FILE, Optimism
from mubert_jax.recognition.predictions import PREDICTIONS_FILE, Facts, Predictions
from mubert_jax.recognition.report import stamps_of

CLIP = ["dataset", "subject", "clip", "truth"]
# Resamplings of the people for p-values, of which 2/DRAWS is the smallest: it stays below 0.05 when
# it is corrected for the pairs of 22 methods.
DRAWS = 10_000


@dataclass(frozen=True, eq=False)
class Method:
    """A recognizer and what is known of it.

    Attributes:
      name: its folder's.
      title: what tables call it, unlike any other's.
      stamps: as a report prints them.
      cost: of its folds; None if unknown.
      picked: UF1 and UAR, from 0 to 1 by `uf1` and `uar`, if each fold's epoch is picked on the
        person who is tested; {} if unknown.
      summaries: Full, then each data set if there are several.
      draws: UF1 in R resamplings of the people, the mean over seeds, (R,).
    """

    name: str
    title: str
    predictions: Predictions
    facts: Facts
    stamps: tuple[str, ...]
    cost: Cost | None
    picked: dict[str, float]
    summaries: tuple[Summary, ...]
    draws: np.ndarray

    @property
    def full(self) -> Summary:
        """The summary over all clips."""
        return self.summaries[0]

    @property
    def uf1(self) -> float:
        """The mean over seeds, from 0 to 1."""
        return float(self.full.values("uf1").mean())

    @cached_property
    def wrong(self) -> pd.Series:
        """The share of seeds that name each clip wrong, by the values of `CLIP`, sorted."""
        table = self.predictions.table
        return (table["truth"] != table["prediction"]).groupby([table[key] for key in CLIP]).mean()

    @property
    def right(self) -> np.ndarray:
        """Whether more than half of the seeds name each of N clips right, boolean (N,)."""
        return self.wrong.to_numpy() < 0.5


def load_same(folders: Sequence[Path]) -> list[Predictions]:
    """The predictions of some runs, all of the same clips, people and classes.

    Raises:
      UserError: a folder has no predictions, or they are of other clips than those of the first.
    """
    predictions = [_load(folder) for folder in folders]
    first = predictions[0]
    for folder, other in zip(folders, predictions, strict=True):
        if _clips(other) != _clips(first) or set(other.classes) != set(first.classes):
            raise UserError(
                f"{folder}: its clips, people or classes are not those of {folders[0]}; compare "
                "recognizers that were tested on one data set"
            )
    return [replace(found, classes=first.classes) for found in predictions]


def load_methods(folders: Sequence[Path]) -> list[Method]:
    """The recognizers in some folders, the one of the highest UF1 first.

    Raises:
      UserError: as `load_same`; two folders have one name; a file of a run is damaged.
    """
    names = Counter(folder.resolve().name for folder in folders)
    if twice := [name for name, count in names.items() if count > 1]:
        raise UserError(f"{twice[0]} is the name of {names[twice[0]]} folders; rename one of them")
    facts = [Facts.load(folder) for folder in folders]
    titles = Counter(fact.method for fact in facts)
    methods = []
    for folder, fact, predictions in zip(folders, facts, load_same(folders), strict=True):
        name = folder.resolve().name
        title = fact.method or name
        methods.append(
            Method(
                name,
                f"{title} ({name})" if fact.method and titles[fact.method] > 1 else title,
                predictions,
                fact,
                stamps_of(predictions, fact),
                Cost.load(folder),
                _picked(folder, predictions),
                tuple(subsets(predictions)),
                resampled(predictions, DRAWS)["uf1"].mean(0),
            )
        )
    return sorted(methods, key=lambda method: (-method.uf1, method.name))


def doubts(methods: Sequence[Method]) -> Iterator[str]:
    """What keeps runs of the same clips from being comparable."""
    first = methods[0]
    folds = _folds(first.predictions)
    for other in methods[1:]:
        if other.facts.protocol != first.facts.protocol:
            yield (
                f"{other.title} was tested by the protocol {other.facts.protocol or 'unknown'}, "
                f"{first.title} by {first.facts.protocol or 'unknown'}"
            )
            continue
        theirs = _folds(other.predictions)
        if any(not np.array_equal(folds[seed], theirs[seed]) for seed in folds.keys() & theirs):
            yield f"{other.title} was tested in other folds than {first.title}"
    if len({method.predictions.seeds for method in methods}) > 1:
        listed = (f"{one.title} {', '.join(map(str, one.predictions.seeds))}" for one in methods)
        yield f"the seeds differ: {'; '.join(listed)}"


def _load(folder: Path) -> Predictions:
    path = folder / PREDICTIONS_FILE
    if not path.is_file():
        raise UserError(
            f"{folder}: no {PREDICTIONS_FILE}; give folders of finished `mubert finetune`s"
        )
    return Predictions.load(path, Facts.load(folder).classes)


def _clips(predictions: Predictions) -> list[tuple[str, ...]]:
    rows = predictions.of_seed(predictions.seeds[0]).table[CLIP]
    return sorted(map(tuple, rows.to_numpy()))


def _folds(predictions: Predictions) -> dict[int, np.ndarray]:
    """Seed -> the number of each clip's fold, numbered in the order of the clips."""
    table = predictions.table.sort_values(CLIP)
    return {
        seed: pd.factorize(table.loc[table["seed"] == seed, "fold"])[0]
        for seed in predictions.seeds
    }


def _picked(folder: Path, predictions: Predictions) -> dict[str, float]:
    """The mean over seeds of what picking the epoch would have reported; {} if it is unknown."""
    path = folder / OPTIMISM_FILE
    if not path.is_file():
        return {}
    picked = Optimism.load(path, predictions).picked
    return {name: float(values.mean()) for name, values in picked.items()}
