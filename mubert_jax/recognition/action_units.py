"""`mubert finetune` with `config.recognition.target="action_units"`: F1 of each action unit.

A clip shows several units at once, so each has a sigmoid of its own. On features that are computed
once, a layer of sigmoids with binary cross-entropy is one logistic regression per unit, and it is
trained as that: the folds, the choice of the weight decay and the report of every unit are those of
two classes. A network that learns through is trained per unit.
"""

import csv
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated

import numpy as np
from rich.console import Console

from mubert_jax.config import Config
from mubert_jax.config_parts import FinetunePart
from mubert_jax.data.files import replacing, writing_errors
from mubert_jax.data.labelled import action_units
from mubert_jax.data.pairs import annotated_units
from mubert_jax.errors import UserError
from mubert_jax.recognition.finetune import INPUTS_FOLDER, Unit, finetune
from mubert_jax.recognition.kept_folds import RESUME
from mubert_jax.recognition.metrics import over_subjects, summarise
from mubert_jax.recognition.predictions import PREDICTIONS_FILE, Predictions

UNITS_FILE = "action_units.csv"
# People who have to show a unit: of fewer, hardly anything can be learnt or tested.
FEWEST = 5


@dataclass(frozen=True)
class UnitScore:
    """How well one action unit is recognized; ratios are from 0 to 1, means over the seeds.

    Attributes:
      unit: such as "12" or, where the sheet has the side, "L12".
      clips, people: that show it, among all whose sheet is sure of it.
      f1, recall, precision: of showing it.
      low, high: 95 % of F1 over people.
      always: F1 of saying that every clip shows it.
    """

    unit: str
    clips: int
    people: int
    f1: float
    low: float
    high: float
    recall: float
    precision: float
    always: float


def finetune_action_units(
    config: Annotated[Config, FinetunePart],
    workdir: Path,
    allow_contamination: bool,
    console: Console,
) -> list[UnitScore]:
    """Cross-validates every action unit that enough people show, and writes `UNITS_FILE`.

    The run of a unit, with its report, is the folder AU`unit` of `workdir`.

    Raises:
      UserError: as `finetune`; or fewer than `FEWEST` people show any unit.
    """
    texts, who = annotated_units(Path(config.data.path))
    units = action_units.marks(texts)
    people = {
        name: len(set(who[marks == action_units.SHOWN].tolist())) for name, marks in units.items()
    }
    enough = [name for name in units if people[name] >= FEWEST]
    if not enough:
        raise UserError(
            f"{config.data.path}: no action unit is shown by {FEWEST} people or more; the sheet "
            "names " + (", ".join(units) or "none")
        )
    if few := [name for name in units if name not in enough]:
        console.print(f"Shown by fewer than {FEWEST} people, left out: {', '.join(few)}")
    found = []
    for name in enough:
        console.print(f"Action unit {name}", highlight=False)
        unit, folder = Unit(name, units[name]), workdir / f"AU{name}"
        inputs = workdir / INPUTS_FOLDER
        finetune(config, folder, allow_contamination, console, False, unit, inputs)
        predictions = Predictions.load(folder / PREDICTIONS_FILE, Unit.CLASSES)
        found.append(score_of(name, people[name], predictions))
    _save(found, workdir)
    return found


def _save(found: list[UnitScore], workdir: Path) -> None:
    with writing_errors(workdir, RESUME), replacing(workdir / UNITS_FILE) as temporary:
        with temporary.open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow([field.name for field in fields(UnitScore)])
            for one in found:
                values = (getattr(one, field.name) for field in fields(UnitScore))
                writer.writerow([f"{x:.6f}" if isinstance(x, float) else x for x in values])


def score_of(name: str, people: int, predictions: Predictions) -> UnitScore:
    """How well a unit is recognized, from predictions of `Unit.CLASSES`."""
    summary, shown = summarise(predictions), Unit.CLASSES.index(Unit.PRESENT)
    clips = int(summary.scores[0].confusion[shown].sum())
    share = clips / summary.clips
    f1, recall, precision = (
        float(summary.values(ratio)[:, shown].mean()) for ratio in ("f1", "recall", "precision")
    )
    low, high = over_subjects(predictions)["f1"][:, shown]
    return UnitScore(
        name, clips, people, f1, float(low), float(high), recall, precision, 2 * share / (1 + share)
    )


def mean_f1(scores: list[UnitScore]) -> float:
    """The mean of F1 over the units that have a number alone: sides are parts of these."""
    return float(np.mean([one.f1 for one in scores if one.unit.isdecimal()]))
