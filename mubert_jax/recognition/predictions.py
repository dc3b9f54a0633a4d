"""predictions.csv: what every clip was taken for, a row a clip and seed.

    dataset,subject,clip,seed,fold,truth,prediction,probability_negative,probability_positive,...

Truth and prediction are class names. Of another method's file `subject,clip,truth,prediction` is
enough. Everything that is reported is computed from this file.
"""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mubert_jax.config_values import unknown
from mubert_jax.data.files import replacing
from mubert_jax.errors import UserError
from mubert_jax.recognition.protocols import subject_ids

PREDICTIONS_FILE = "predictions.csv"
COLUMNS = ("dataset", "subject", "clip", "seed", "fold", "truth", "prediction")
REQUIRED = ("subject", "clip", "truth", "prediction")
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
    """

    table: pd.DataFrame
    classes: tuple[str, ...]

    @classmethod
    def load(cls, path: Path, classes: Sequence[str] | None = None) -> "Predictions":
        """Reads and checks a file.

        Args:
          path: CSV in UTF-8 with a header; columns in any order, further ones are left aside.
          classes: names in label order; without them, those of the probability columns in their
            order, or else the truths' in the alphabet's.

        Raises:
          UserError: names the file, and the row (the header is row 1) and column where there is
            one: a missing column or value, an unknown class, a seed that is no integer, a
            probability that is none, a clip twice under one seed, seeds that hold different
            clips or truths, an empty file.
        """
        header, lines, rows = _read(path)
        classes = _classes(path, header, rows, classes)
        table = _table(path, header, lines, rows, classes)
        _check_seeds(path, lines, table)
        return cls(table, classes)

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


def _read(path: Path) -> tuple[list[str], list[int], list[dict[str, str]]]:
    """The header, and of each row that is not blank its line's number and its stripped cells."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            header = [name.strip() for name in next(reader, [])]
            numbered = [(reader.line_num, cells) for cells in reader if any(cells)]
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; give a file of predictions") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: not a CSV file in UTF-8 ({error}); save it as one") from error
    if missing := [name for name in REQUIRED if name not in header]:
        raise UserError(
            f"{path}: no column {missing[0]!r}; needs {','.join(REQUIRED)}, has "
            f"{','.join(header) or 'nothing'}"
        )
    if twice := [name for name in header if name and header.count(name) > 1]:
        raise UserError(f"{path}: two columns {twice[0]!r}; keep one")
    if not numbered:
        raise UserError(f"{path}: a header and no row; needs a row for every clip")
    for line, cells in numbered:
        if len(cells) != len(header):
            raise UserError(
                f"{path}, row {line}: {len(cells)} cells under {len(header)} columns; mend the row"
            )
    rows = [
        dict(zip(header, (cell.strip() for cell in cells), strict=True)) for _, cells in numbered
    ]
    return header, [line for line, _ in numbered], rows


def _classes(path, header, rows, classes) -> tuple[str, ...]:
    described = [name.removeprefix(PROBABILITY) for name in header if name.startswith(PROBABILITY)]
    if classes is None:
        return tuple(described or sorted({row["truth"] for row in rows} - {""}))
    for name in described:
        if name not in classes:
            raise UserError(f"{path}, column {PROBABILITY}{name}: {unknown_class(name, classes)}")
    for name in classes:
        if described and name not in described:
            raise UserError(f"{path}: no column '{PROBABILITY}{name}'; give all classes or none")
    return tuple(classes)


def unknown_class(name: str, classes: Iterable[str]) -> UserError:
    return unknown(f"class {name!r}", name, classes)


def _table(path, header, lines, rows, classes) -> pd.DataFrame:
    columns: dict[str, list] = {name: [] for name in COLUMNS}
    probabilities = [name for name in header if name.startswith(PROBABILITY)]
    columns |= {PROBABILITY + name: [] for name in classes if probabilities}
    for line, row in zip(lines, rows, strict=True):
        where = f"{path}, row {line}, column"
        for name in REQUIRED:
            if not row[name]:
                raise UserError(f"{where} {name}: empty; every clip needs one")
        for name in ("truth", "prediction"):
            if row[name] not in classes:
                raise UserError(f"{where} {name}: {unknown_class(row[name], classes)}")
        row["dataset"] = row.get("dataset") or UNNAMED
        row["fold"] = row.get("fold") or row["subject"]
        row["seed"] = _seed(where, row.get("seed", "0"))
        for name in probabilities:
            row[name] = _probability(f"{where} {name}", row[name])
        if probabilities and abs((total := sum(row[n] for n in probabilities)) - 1) > ROUNDING:
            raise UserError(f"{path}, row {line}: the probabilities sum to {total:.3g}, not to 1")
        for name, values in columns.items():
            values.append(row[name])
    return pd.DataFrame(columns)


def _seed(where, text) -> int:
    try:
        return int(text)
    except ValueError:
        raise UserError(f"{where} seed: {text!r} is no integer; give each run a number") from None


def _probability(where, text) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 <= value <= 1:
        raise UserError(f"{where}: {text!r} is no probability; it takes 0 to 1")
    return value


def _check_seeds(path, lines, table: pd.DataFrame) -> None:
    clips = list(zip(table["dataset"], table["subject"], table["clip"], strict=True))
    seen: dict[int, dict] = {}
    for i, (seed, clip) in enumerate(zip(table["seed"], clips, strict=True)):
        line_of = seen.setdefault(seed, {})
        if clip in line_of:
            raise UserError(
                f"{path}, row {lines[i]}, column clip: {_named(clip)} is in row "
                f"{lines[line_of[clip]]} too, under seed {seed}; keep one, or number the runs "
                "in a column seed"
            )
        line_of[clip] = i
    first, *others = sorted(seen)
    for seed in others:
        for one, other in ((first, seed), (seed, first)):
            if lacking := [clip for clip in seen[one] if clip not in seen[other]]:
                raise UserError(
                    f"{path}, row {lines[seen[one][lacking[0]]]}, column clip: "
                    f"{_named(lacking[0])} is under seed {one} and not under seed {other}; all "
                    "seeds need the same clips"
                )
        for clip, i in seen[seed].items():
            if table["truth"][i] != table["truth"][seen[first][clip]]:
                raise UserError(
                    f"{path}, row {lines[i]}, column truth: {_named(clip)} is "
                    f"{table['truth'][i]!r} here and {table['truth'][seen[first][clip]]!r} in row "
                    f"{lines[seen[first][clip]]}; a clip has one truth"
                )


def _named(clip) -> str:
    return "/".join(clip)
