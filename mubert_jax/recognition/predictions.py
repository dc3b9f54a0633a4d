"""The files that a recognition writes and from which its report is made.

predictions.csv holds the predictions, a row per clip and seed:

    dataset,subject,clip,seed,fold,truth,prediction,probability_negative,probability_positive,...

Truth and prediction are class names. For another method's file the columns `subject`, `clip`,
`truth` and `prediction` are enough, in any kind of table; the logs of MEGC2019 are read and written
as well. recognition.json holds facts that the predictions do not show, and curves.csv the course of
the training.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mubert_jax.config_values import unknown
from mubert_jax.data.files import replacing, write_text
from mubert_jax.data.labelled.sheets import Row, read_rows
from mubert_jax.data.people import PROBABILITY, merged_classes, merged_people, plain
from mubert_jax.errors import UserError
from mubert_jax.recognition.protocols import subject_ids
from mubert_jax.recognition.published import PUBLISHED
from mubert_jax.training.checkpoints import run_folder

PREDICTIONS_FILE = "predictions.csv"
FACTS_FILE = "recognition.json"
CURVES_FILE = "curves.csv"
LOG_FILE = "megc2019_seed{}.txt"
COLUMNS = ("dataset", "subject", "clip", "seed", "fold", "truth", "prediction")
REQUIRED = ("subject", "clip", "truth", "prediction")
OPTIONAL = ("dataset", "seed", "fold")
NAMED = ("truth", "prediction")
_SPELT = {
    "clip": ("clip", "filename"),
    "truth": ("truth", "true label", "ground truth", "y_true"),
    "prediction": ("prediction", "predicted", "predicted label", "y_pred"),
}
# The data set of files that do not name one.
UNNAMED = "unnamed"
# How far the probabilities of a clip may be from the sum 1: a choice, with room for a few classes
# rounded to two digits, which are off by 0.005 each at most.
ROUNDING = 0.02
# The classes 0, 1 and 2 in a log of MEGC2019.
MEGC_CLASSES = ("negative", "positive", "surprise")
KEYS = ("seed", "fold", "epoch")


@dataclass(frozen=True, eq=False)
class Predictions:
    """Predictions with every clip once per seed, and the same clips under every seed.

    Attributes:
      table: `COLUMNS`, strings except for the integer `seed`; then `probability_CLASS`, floats, for
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
          path: A table with a header, as `read_rows` accepts it; columns may have any order, and
            further ones are ignored.
          classes: The names in label order; by default those of the probability columns in their
            order, or else those of the truths in alphabetical order.

        Raises:
          UserError: names the file and, where possible, the row (the header is row 1) and column: a
            missing column or value, an unknown class, a seed that is not an integer, an invalid
            probability, a clip twice under one seed, seeds with different clips or truths, an empty
            file.
        """
        rows = _read(path)
        found, notes = _classes(path, rows, classes)
        table, of_people = _table(path, rows, found)
        check_seeds([f"{path}, row {row.number}" for row in rows], table)
        return cls(table, tuple(found.values()), (*notes, *of_people))

    def save(self, path: Path) -> None:
        """Writes the file that `load` reads, with probabilities to six digits."""
        with replacing(path) as temporary:
            self.table.to_csv(temporary, index=False, float_format="%.6g", lineterminator="\n")

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds, ascending."""
        return tuple(sorted(self.table["seed"].unique().tolist()))

    @property
    def datasets(self) -> tuple[str, ...]:
        """The data sets, in the file's order."""
        return tuple(self.table["dataset"].unique())

    @property
    def subject_ids(self) -> np.ndarray:
        """`DATASET/SUBJECT` of each row."""
        return subject_ids(self.table["dataset"], self.table["subject"])

    @property
    def truth(self) -> np.ndarray:
        """The true class of each row, as an index into `classes`."""
        return self._codes("truth")

    @property
    def prediction(self) -> np.ndarray:
        """The predicted class of each row, as an index into `classes`."""
        return self._codes("prediction")

    @property
    def probabilities(self) -> np.ndarray | None:
        """The probabilities (rows, C), or None if the file has none."""
        names = [PROBABILITY + name for name in self.classes]
        return self.table[names].to_numpy() if names[0] in self.table else None

    def _codes(self, column: str) -> np.ndarray:
        return self.table[column].map({name: i for i, name in enumerate(self.classes)}).to_numpy()

    def where(self, rows: np.ndarray) -> "Predictions":
        """The rows that a boolean mask selects."""
        return Predictions(self.table[rows].reset_index(drop=True), self.classes)

    def of_seed(self, seed: int) -> "Predictions":
        return self.where((self.table["seed"] == seed).to_numpy())

    def crossing(self) -> list[str]:
        """Subjects tested in more than one fold of a seed, so that some fold trained on them."""
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
    """The class in `probability_CLASS`; None for any other column."""
    found = re.fullmatch(rf"{PROBABILITY[:-1]}[\s_.-](.+)", header, re.IGNORECASE)
    return found and found[1]


def _classes(
    path: Path, rows: list[Row], given: Sequence[str] | None
) -> tuple[dict[str, str], list[str]]:
    """Normal form -> class, in label order, and notes on spellings that were merged."""
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
    """The error for a name that is not among the classes; it suggests the nearest one."""
    return unknown(f"class {name!r}", name, classes)


def _table(path: Path, rows: list[Row], classes: dict[str, str]) -> tuple[pd.DataFrame, list[str]]:
    """The rows as a `Predictions.table`, and notes on their spellings."""
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


def _class(path: Path, row: Row, column: str, classes: dict[str, str]) -> str:
    name = row.text(column)
    if plain(name) not in classes:
        raise UserError(
            f"{path}, row {row.number}, column {column}: {unknown_class(name, classes.values())}"
        )
    return classes[plain(name)]


def _probabilities(path: Path, row: Row, classes: dict[str, str]) -> dict[str, float]:
    """The probability of every class; those of several columns of one class are added."""
    found = dict.fromkeys(classes.values(), 0.0)
    for header, text in row.others.items():
        if name := _class_of_column(header):
            where = f"{path}, row {row.number}, column {header}"
            found[classes[plain(name)]] += _probability(where, text)
    if abs((total := sum(found.values())) - 1) > ROUNDING:
        raise UserError(f"{path}, row {row.number}: the probabilities sum to {total:.3g}, not to 1")
    return found


def _seed(path: Path, row: Row) -> int:
    text = row.text("seed") or "0"
    try:
        return int(text)
    except ValueError:
        raise UserError(
            f"{path}, row {row.number}, column seed: {text!r} is no integer; give each run a number"
        ) from None


def _probability(where: str, text: str) -> float:
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        value = float("nan")
    if not 0 <= value <= 1:
        raise UserError(f"{where}: {text!r} is no probability; it takes 0 to 1")
    return value


def check_seeds(where: Sequence[str], table: pd.DataFrame) -> None:
    """Checks that every clip is there once per seed, with the same truth under every seed.

    Args:
      where: The file and row (or line) of each row of `table`, for messages.

    Raises:
      UserError: a clip is there twice under a seed or missing under another, or its truths differ.
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


def _named(clip: Iterable[str]) -> str:
    return "/".join(clip)


def write_logs(predictions: Predictions, output: Path) -> list[Path]:
    """Writes one log per seed in `output`, and removes logs of seeds that are gone."""
    paths = []
    for seed in predictions.seeds:
        paths.append(output / LOG_FILE.format(seed))
        write_text(paths[-1], megc_log(predictions.of_seed(seed)))
    for path in output.glob(LOG_FILE.format("*")):
        if path not in paths:
            path.unlink()
    return paths


def megc_log(run: Predictions) -> str:
    """One seed's log: a line `casme2 sub01` per subject, then `EP02_01f 1 1` for each of its clips.

    The numbers are indices into `run.classes`, the truth first; if the classes are negative,
    positive and surprise, they are those of the challenge. A space inside a name becomes `_`, since
    spaces separate the fields.
    """
    lines = []
    coded = run.table.assign(code=run.truth, named=run.prediction)
    for (dataset, subject), rows in coded.groupby(["dataset", "subject"], sort=False):
        lines.append(f"{_word(dataset)} {_word(subject.removeprefix(f'{dataset}/'))}")
        for clip, truth, named in zip(rows["clip"], rows["code"], rows["named"], strict=True):
            lines.append(f"{_word(_own_name(clip, dataset, subject))} {truth} {named}")
    return "\n".join(lines) + "\n"


def _own_name(clip: str, dataset: str, subject: str) -> str:
    """The clip's name without the folders of the data set and the subject."""
    return clip.removeprefix(f"{dataset}/").removeprefix(f"{subject}/")


def _word(text: str) -> str:
    return "_".join(text.split())


def read_logs(paths: Sequence[Path], classes: Sequence[str] | None = None) -> Predictions:
    """Reads the logs of `write_logs` or of another method, a file per seed.

    Args:
      paths: The logs; the seed is the number after `seed` in a file's name, or else its position.
      classes: The names in label order; by default those of the challenge.

    Raises:
      UserError: no such file, an invalid line, a number that is not a class, a clip twice in a log,
        or logs of different clips.
    """
    numbers_only, classes = classes is None, tuple(MEGC_CLASSES if classes is None else classes)
    rows, where = [], []
    for place, path in enumerate(paths):
        named = re.search(r"seed(\d+)", path.stem)
        found = _read_log(path, int(named[1]) if named else place, classes)
        rows += found
        where += [f"{path}, line {row['line']}" for row in found]
    table = pd.DataFrame(rows)
    people = merged_people(table["dataset"].tolist(), table["subject"].tolist())
    table = table.assign(dataset=people.datasets, subject=people.subjects, fold=people.subjects)
    check_seeds(where, table)
    columns = ["dataset", "subject", "clip", "seed", "fold", "truth", "prediction"]
    notes = [*people.notes, *people.warnings]
    if numbers_only:
        notes.append(f"the numbers of the log are taken for {', '.join(classes)}, in this order")
    return Predictions(table[columns], classes, tuple(notes))


def _read_log(path: Path, seed: int, classes: tuple[str, ...]) -> list[dict]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; give a log of MEGC2019") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not a text in UTF-8; give a log of MEGC2019") from error
    rows, who = [], None
    for number, line in enumerate(lines, 1):
        fields, where = line.split(), f"{path}, line {number}"
        if len(fields) == 2:
            who = {"dataset": fields[0], "subject": fields[1]}
        elif len(fields) == 3 and who:
            truth, named = (_class_at(text, classes, where) for text in fields[1:])
            clip = {"clip": fields[0], "seed": seed, "truth": truth, "prediction": named}
            rows.append(who | clip | {"line": number})
        elif fields:
            raise UserError(
                f"{where}: {line.strip()[:60]!r} is neither a data set and a subject (casme2 "
                "sub01) nor, below such a line, a clip with truth and prediction (EP02_01f 1 1)"
            )
    if not rows:
        raise UserError(f"{path}: no clip in it; give a log of MEGC2019")
    return rows


def _class_at(text: str, classes: tuple[str, ...], where: str) -> str:
    if not re.fullmatch(r"[0-9]{1,4}", text) or int(text) >= len(classes):
        raise UserError(
            f"{where}: {text!r} is no class; it takes 0 to {len(classes) - 1} "
            f"({', '.join(classes)}), or name all classes with --classes"
        )
    return classes[int(text)]


def load_curves(path: Path) -> pd.DataFrame:
    """Reads a row per seed, fold and epoch; every further column is a curve, at least `loss`.

    Raises:
      UserError: names the file and the fault: not a table, a missing column, not a number.
    """
    try:
        table = pd.read_csv(path, dtype={"fold": str})
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a CSV file ({error}); delete it to go without") from error
    for name in (*KEYS, "loss"):
        if name not in table:
            raise UserError(f"{path}: no column {name!r}; delete the file to go without curves")
    for name in table.columns.drop("fold"):
        if not pd.api.types.is_numeric_dtype(table[name]):
            text = pd.to_numeric(table[name], errors="coerce")
            row = int(text.isna().to_numpy().argmax())
            raise UserError(
                f"{path}, row {row + 2}, column {name}: {table[name][row]!r} is no number; "
                "delete the file to go without curves"
            )
    return table


@dataclass(frozen=True)
class Facts:
    """The facts that the report gives beside the numbers.

    Attributes:
      classes: names in label order; None if only the predictions name them.
      protocol: such as loso; "" if unknown.
      published: the key of the published numbers to print beside, such as casme2-5, or None.
      stamps: reasons why the numbers are not comparable, printed on every table.
      warnings: what a reader should know, listed once.
      method: what tables call the recognizer; "" if unknown.
      reference: its publication as a BibTeX entry, or "".
      published_as: what its rows are called in `PUBLISHED`.
    """

    classes: tuple[str, ...] | None = None
    protocol: str = ""
    published: str | None = None
    stamps: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    method: str = ""
    reference: str = ""
    published_as: tuple[str, ...] = ()

    @classmethod
    def load(cls, workdir: Path) -> "Facts":
        """Reads `workdir`/recognition.json; without such a file, returns the defaults.

        Raises:
          UserError: the file is not a JSON object, or holds an unknown key or a wrong value; names
            the file.
        """
        path = workdir / FACTS_FILE
        if not path.exists():
            return cls()
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise UserError(f"{path}: not JSON ({error}); mend or delete it") from error
        if not isinstance(values, dict):
            raise UserError(f"{path}: holds no JSON object; mend or delete it")
        names = [field.name for field in fields(cls)]
        for name in values:
            if name not in names:
                raise unknown(f"key {name!r} in {path}", name, names)
        return cls(**{name: _value(path, name, value) for name, value in values.items()})

    def save(self, workdir: Path) -> None:
        """Writes `workdir`/recognition.json."""
        text = json.dumps(asdict(self), indent=1, ensure_ascii=False)
        write_text(workdir / FACTS_FILE, text + "\n")


def _value(path: Path, name: str, value: Any) -> Any:
    """The value of a field of `Facts`, checked."""
    if name in ("stamps", "warnings", "classes", "published_as"):
        if value is None and name == "classes":
            return None
        if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
            raise UserError(f"{path}: {name} is {value!r}; it takes a list of strings")
        return tuple(value)
    if not isinstance(value, str) and not (value is None and name == "published"):
        raise UserError(f"{path}: {name} is {value!r}; it takes a string")
    if name == "published" and value is not None and value not in PUBLISHED:
        raise unknown(f"published {value!r} in {path}", value, PUBLISHED)
    return value


def emotions_of(checkpoint: str | Path) -> tuple[str, ...] | None:
    """The names of a recognizer's classes, if `checkpoint` is a run's folder that has them."""
    path = Path(checkpoint)
    return Facts.load(run_folder(path)).classes if path.is_dir() else None
