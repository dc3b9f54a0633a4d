"""Recognizers that named the same clips, side by side; differences are paired over people."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.table import Table

from mubert_jax.data.files import replacing, writing_errors
from mubert_jax.recognition.methods import load_same
from mubert_jax.recognition.metrics import deviation, over_subjects, resampled, summarise
from mubert_jax.recognition.significance import interval

COLUMNS = ("recognizer", "uf1", "deviation", "low", "high")
COLUMNS += ("difference", "difference_low", "difference_high")


@dataclass(frozen=True)
class Compared:
    """A recognizer's UF1, from 0 to 1.

    Attributes:
      name: its folder's.
      uf1: the mean over seeds.
      deviation: over seeds; NaN for one.
      interval: 95 % over people, (low, high).
      difference: UF1 less that of the first recognizer; 0 for the first.
      of_difference: 95 % over people, both of the same people in every resampling; NaN, like
        `interval`, where one person is all.
    """

    name: str
    uf1: float
    deviation: float
    interval: tuple[float, float]
    difference: float
    of_difference: tuple[float, float]

    @property
    def row(self) -> tuple[str, ...]:
        """One value per name in `COLUMNS`."""
        numbers = self.uf1, self.deviation, *self.interval, self.difference, *self.of_difference
        return (self.name, *(f"{number:.4f}" for number in numbers))


def compare(folders: Sequence[Path]) -> list[Compared]:
    """The recognizers of some runs, in the order of their folders.

    Raises:
      UserError: as `methods.load_same`.
    """
    predictions = load_same(folders)
    values = [summarise(found).values("uf1") for found in predictions]
    draws = [resampled(found)["uf1"].mean(0) for found in predictions]
    compared = []
    for folder, found, values_S, draws_R in zip(folders, predictions, values, draws, strict=True):
        low, high = over_subjects(found)["uf1"]
        compared.append(
            Compared(
                folder.name,
                float(values_S.mean()),
                float(deviation(values_S)),
                (float(low), float(high)),
                float(values_S.mean() - values[0].mean()),
                interval(draws_R - draws[0]),
            )
        )
    return compared


def table(compared: Sequence[Compared]) -> Table:
    """One row per recognizer."""
    shown = Table(caption="[95 % over people]; differences are paired over people")
    shown.add_column("recognizer", overflow="fold")
    for name in ("UF1 ± over seeds", f"less {compared[0].name}"):
        shown.add_column(name, justify="right", no_wrap=True)
    for one in compared:
        over_seeds = "" if np.isnan(one.deviation) else f" ± {one.deviation:.2f}"
        own = f"{one.uf1:.2f}{over_seeds} {_bracketed(one.interval, '.2f')}"
        less = f"{one.difference:+.2f} {_bracketed(one.of_difference, '+.2f')}"
        shown.add_row(one.name, own, "" if one is compared[0] else less)
    return shown


def save(compared: Sequence[Compared], path: Path) -> None:
    """Writes the rows as a table of comma-separated values."""
    with writing_errors(path.parent, "give another --output"):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary, temporary.open("w", newline="") as file:
            csv.writer(file).writerows([COLUMNS, *(one.row for one in compared)])


def _bracketed(interval: tuple[float, float], form: str) -> str:
    low, high = interval
    # Rich reads brackets as markup.
    return rf"\[{low:{form}}, {high:{form}}]"
