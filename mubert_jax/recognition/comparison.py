"""Recognizers that named the same clips, side by side; differences are paired over people."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.table import Table

from mubert_jax.data.files import replacing, writing_errors
from mubert_jax.errors import UserError
from mubert_jax.recognition.metrics import deviation, over_subjects, resampled, summarise
from mubert_jax.recognition.predictions import PREDICTIONS_FILE, Predictions

HEADER = ("recognizer", "UF1", "deviation", "low", "high", "less the first", "low", "high")
CLIP = ["dataset", "subject", "clip", "truth"]


@dataclass(frozen=True)
class Compared:
    """A recognizer's UF1, from 0 to 1.

    Attributes:
      name: its folder's.
      uf1: the mean over seeds.
      deviation: over seeds; NaN for one.
      interval: 95 % over people, (low, high).
      difference: UF1 less that of the first recognizer; 0 for the first.
      of_difference: 95 % over people, both of the same people in every resampling.
    """

    name: str
    uf1: float
    deviation: float
    interval: tuple[float, float]
    difference: float
    of_difference: tuple[float, float]

    @property
    def cells(self) -> tuple[str, ...]:
        numbers = self.uf1, self.deviation, *self.interval
        of_first = (f"{x:+.3f}" for x in (self.difference, *self.of_difference))
        return (self.name, *(f"{x:.3f}" for x in numbers), *of_first)


def compare(folders: Sequence[Path]) -> list[Compared]:
    """The recognizers of some runs, in the order of their folders.

    Raises:
      UserError: a folder has no predictions, or they are of other clips than those of the first.
    """
    predictions = [_load(folder) for folder in folders]
    first = predictions[0]
    for folder, other in zip(folders, predictions, strict=True):
        if _clips(other) != _clips(first) or other.classes != first.classes:
            raise UserError(
                f"{folder}: its clips, people or classes are not those of {folders[0]}; compare "
                "recognizers that were tested on one data set"
            )
    draws_R = resampled(first)["uf1"].mean(0)
    compared = []
    for folder, found in zip(folders, predictions, strict=True):
        values_S = summarise(found).values("uf1")
        difference_R = resampled(found)["uf1"].mean(0) - draws_R
        low, high = over_subjects(found)["uf1"]
        compared.append(
            Compared(
                folder.name,
                float(values_S.mean()),
                float(deviation(values_S)),
                (float(low), float(high)),
                float(values_S.mean() - summarise(first).values("uf1").mean()),
                _interval(difference_R),
            )
        )
    return compared


def table(compared: Sequence[Compared]) -> Table:
    """One row per recognizer."""
    shown = Table()
    for name in HEADER:
        shown.add_column(name, justify="left" if name == HEADER[0] else "right")
    for one in compared:
        shown.add_row(*one.cells)
    return shown


def save(compared: Sequence[Compared], path: Path) -> None:
    """Writes the rows as a table of comma-separated values."""
    with writing_errors(path.parent, "give another --output"):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary, temporary.open("w", newline="") as file:
            csv.writer(file).writerows([HEADER, *(one.cells for one in compared)])


def _load(folder: Path) -> Predictions:
    path = folder / PREDICTIONS_FILE
    if not path.is_file():
        raise UserError(
            f"{folder}: no {PREDICTIONS_FILE}; give folders of finished `mubert finetune`s"
        )
    return Predictions.load(path)


def _clips(predictions: Predictions) -> list[tuple[str, ...]]:
    rows = predictions.of_seed(predictions.seeds[0]).table[CLIP]
    return sorted(map(tuple, rows.to_numpy()))


def _interval(draws_R: np.ndarray) -> tuple[float, float]:
    low, high = np.nanpercentile(draws_R, (2.5, 97.5))
    return float(low), float(high)
