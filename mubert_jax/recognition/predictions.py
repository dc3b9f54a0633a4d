"""predictions.csv: what every clip was taken for, a row a clip and seed.

    dataset,subject,clip,seed,fold,truth,prediction,probability_negative,probability_positive,...

Truth and prediction are class names. Of another method's file `subject,clip,truth,prediction` is
enough, in whatever kind of table. Everything that is reported is computed from this file.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mubert_jax.config_values import unknown
from mubert_jax.data.files import replacing
from mubert_jax.data.labelled.sheets import Row, read_rows
from mubert_jax.data.people import merged_classes, merged_people, plain
from mubert_jax.errors import UserError
from mubert_jax.recognition.protocols import subject_ids

PREDICTIONS_FILE = "predictions.csv"
COLUMNS = ("dataset", "subject", "clip", "seed", "fold", "truth", "prediction")
REQUIRED = ("subject", "clip", "truth", "prediction")
OPTIONAL = ("dataset", "seed", "fold")
NAMED = ("truth", "prediction")
_SPELT = {
    "clip": ("clip", "filename"),
    "truth": ("truth", "true label", "ground truth", "y_true"),
    "prediction": ("prediction", "predicted", "predicted label", "y_pred"),
}
PROBABILITY = "probability_"
# Where a file does not name its data set.
UNNAMED = "unnamed"
# Rounded probabilities of a clip may miss 1 by this much.
ROUNDING = 0.02


@dataclass(frozen=True, eq=False)
class Predictions:
    """Every clip once a seed, and the same clips under every seed.

    Attributes:
      table: `COLUMNS`, strings but for the integer `seed`; then `probability_CLASS`, floats, for
        every class or for none.
      classes: names, in label order.
      notes: which spellings were taken for one person or class, and which people may be one.
    """

    table: pd.DataFrame
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @classmethod
    def load(cls, path: Path, classes: Sequence[str] | None = None) -> "Predictions":
        """Reads and checks a file.

        Args:
          path: a table with a header, as `read_rows` takes it; columns in any order, further ones
            are left aside.
          classes: names in label order; without them, those of the probability columns in their
            order, or else the truths' in the alphabet's.

        Raises:
          UserError: names the file, and the row (the header is row 1) and column where there is
            one: a missing column or value, an unknown class, a seed that is no integer, a
            probability that is none, a clip twice under one seed, seeds that hold different
            clips or truths, an empty file.
        """
        rows = _read(path)
        found, notes = _classes(path, rows, classes)
        table, of_people = _table(path, rows, found)
        check_seeds([f"{path}, row {row.number}" for row in rows], table)
        return cls(table, tuple(found.values()), (*notes, *of_people))

    def save(self, path: Path) -> None:
        """Writes the file that `load` reads; probabilities to six digits."""
        with replacing(path) as temporary:
            self.table.to_csv(temporary, index=False, float_format="%.6g", lineterminator="\n")

    @property
    def seeds(self) -> tuple[int, ...]:
        """Ascending."""
        return tuple(sorted(self.table["seed"].unique().tolist()))

    @property
    def datasets(self) -> tuple[str, ...]:
        """In the file's order."""
        return tuple(self.table["dataset"].unique())

    @property
    def subject_ids(self) -> np.ndarray:
        """`DATASET/SUBJECT` of each row."""
        return subject_ids(self.table["dataset"], self.table["subject"])

    @property
    def truth(self) -> np.ndarray:
        """Places in `classes`, a row each."""
        return self._codes("truth")

    @property
    def prediction(self) -> np.ndarray:
        """Places in `classes`, a row each."""
        return self._codes("prediction")

    @property
    def probabilities(self) -> np.ndarray | None:
        """(rows, C), or None where the file has none."""
        names = [PROBABILITY + name for name in self.classes]
        return self.table[names].to_numpy() if names[0] in self.table else None

    def _codes(self, column) -> np.ndarray:
        return self.table[column].map({name: i for i, name in enumerate(self.classes)}).to_numpy()

    def where(self, rows: np.ndarray) -> "Predictions":
        """The rows under a boolean mask."""
        return Predictions(self.table[rows].reset_index(drop=True), self.classes)

    def of_seed(self, seed: int) -> "Predictions":
        return self.where((self.table["seed"] == seed).to_numpy())

    def crossing(self) -> list[str]:
        """Subjects tested in more than one fold of a seed: in some fold they were trained on."""
        folds = self.table.assign(id=self.subject_ids).groupby(["seed", "id"])["fold"].nunique()
        return sorted(set(folds[folds > 1].index.get_level_values("id")))


def _read(path: Path) -> list[Row]:
    """The rows that are not blank."""
    if not path.is_file():
        reason = "a folder" if path.is_dir() else "no such file"
        raise UserError(f"{path}: {reason}; give a file of predictions")
    rows = read_rows(path, {name: _SPELT.get(name, (name,)) for name in COLUMNS}, OPTIONAL)
    if not rows:
        raise UserError(f"{path}: a header and no row; needs a row for every clip")
    for row in rows:
        for name in REQUIRED:
            if not row.text(name):
                raise UserError(
                    f"{path}, row {row.number}, column {name}: empty; every clip needs one"
                )
    return rows


def _class_of_column(header: str) -> str | None:
    """The class in `probability_CLASS`; None of another column."""
    found = re.fullmatch(rf"{PROBABILITY[:-1]}[\s_.-](.+)", header, re.IGNORECASE)
    return found and found[1]


def _classes(path, rows: list[Row], given) -> tuple[dict[str, str], list[str]]:
    """The classes in label order, by their normal forms, and what was taken for one."""
    described = [name for name in map(_class_of_column, rows[0].others) if name]
    if given is None:
        said = [(row.text(name), row.number) for name in NAMED for row in rows]
        names, notes = merged_classes(*zip(*said, strict=True))
        chosen = {plain(name): name for name in names}
        truths = {chosen[plain(row.text("truth"))] for row in rows}
        given = [chosen.get(plain(name), name) for name in described] or sorted(truths)
    else:
        given, notes = merged_classes(given)
    classes = {plain(name): name for name in dict.fromkeys(given)}
    for name in described:
        if plain(name) not in classes:
            raise UserError(
                f"{path}, column {PROBABILITY}{name}: {unknown_class(name, classes.values())}"
            )
    for form, name in classes.items():
        if described and form not in map(plain, described):
            raise UserError(f"{path}: no column '{PROBABILITY}{name}'; give all classes or none")
    return classes, notes


def unknown_class(name: str, classes: Iterable[str]) -> UserError:
    return unknown(f"class {name!r}", name, classes)


def _table(path, rows: list[Row], classes: dict[str, str]) -> tuple[pd.DataFrame, list[str]]:
    """The rows as `Predictions.table` has them, and what is to be said of their spellings."""
    numbers = [row.number for row in rows]
    datasets = [row.text("dataset") or UNNAMED for row in rows]
    found = merged_people(datasets, [row.text("subject") for row in rows], numbers)
    table = {
        "dataset": found.datasets,
        "subject": found.subjects,
        "clip": [row.text("clip") for row in rows],
        "seed": [_seed(path, row) for row in rows],
        "fold": [row.text("fold") or who for row, who in zip(rows, found.subjects, strict=True)],
    }
    for name in NAMED:
        table[name] = [_class(path, row, name, classes) for row in rows]
    if any(map(_class_of_column, rows[0].others)):
        chances = [_probabilities(path, row, classes) for row in rows]
        table |= {PROBABILITY + name: [one[name] for one in chances] for name in classes.values()}
    return pd.DataFrame(table), [*found.notes, *found.warnings]


def _class(path, row: Row, column: str, classes: dict[str, str]) -> str:
    name = row.text(column)
    if plain(name) not in classes:
        raise UserError(
            f"{path}, row {row.number}, column {column}: {unknown_class(name, classes.values())}"
        )
    return classes[plain(name)]


def _probabilities(path, row: Row, classes: dict[str, str]) -> dict[str, float]:
    """Of every class; those of several columns of one class are added."""
    found = dict.fromkeys(classes.values(), 0.0)
    for header, text in row.others.items():
        if name := _class_of_column(header):
            where = f"{path}, row {row.number}, column {header}"
            found[classes[plain(name)]] += _probability(where, text)
    if abs((total := sum(found.values())) - 1) > ROUNDING:
        raise UserError(f"{path}, row {row.number}: the probabilities sum to {total:.3g}, not to 1")
    return found


def _seed(path, row: Row) -> int:
    text = row.text("seed") or "0"
    try:
        return int(text)
    except ValueError:
        raise UserError(
            f"{path}, row {row.number}, column seed: {text!r} is no integer; give each run a number"
        ) from None


def _probability(where, text) -> float:
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        value = float("nan")
    if not 0 <= value <= 1:
        raise UserError(f"{where}: {text!r} is no probability; it takes 0 to 1")
    return value


def check_seeds(where: Sequence[str], table: pd.DataFrame) -> None:
    """Every clip once a seed, and the same clips and truths under every seed.

    Args:
      where: file and row (or line) of each row of `table`, for messages.

    Raises:
      UserError: it is not so.
    """
    clips = list(zip(table["dataset"], table["subject"], table["clip"], strict=True))
    row_of: dict[int, dict] = {}
    for i, (seed, clip) in enumerate(zip(table["seed"], clips, strict=True)):
        rows = row_of.setdefault(seed, {})
        if clip in rows:
            raise UserError(
                f"{where[i]}, column clip: {_named(clip)} is in {_place(where, rows[clip])} too, "
                f"under seed {seed}; keep one, or number the runs in a column seed"
            )
        rows[clip] = i
    first, *others = sorted(row_of)
    for seed in others:
        for one, other in ((first, seed), (seed, first)):
            if lacking := [clip for clip in row_of[one] if clip not in row_of[other]]:
                raise UserError(
                    f"{where[row_of[one][lacking[0]]]}, column clip: {_named(lacking[0])} is under "
                    f"seed {one} and not under seed {other}; all seeds need the same clips"
                )
        for clip, i in row_of[seed].items():
            j = row_of[first][clip]
            if table["truth"][i] != table["truth"][j]:
                raise UserError(
                    f"{where[i]}, column truth: {_named(clip)} is {table['truth'][i]!r} here and "
                    f"{table['truth'][j]!r} in {_place(where, j)}; a clip has one truth"
                )


def _place(where: Sequence[str], row: int) -> str:
    return where[row].rpartition(", ")[2]


def _named(clip) -> str:
    return "/".join(clip)
