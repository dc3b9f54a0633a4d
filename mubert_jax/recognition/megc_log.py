"""The log the MEGC2019 challenge asks for: every subject's clips with truth and prediction."""

import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from mubert_jax.data.files import write_text
from mubert_jax.data.people import merged_people
from mubert_jax.errors import UserError
from mubert_jax.recognition.predictions import Predictions, check_seeds

NAME = "megc2019_seed{}.txt"
CLASSES = ("negative", "positive", "surprise")


def write_logs(predictions: Predictions, output: Path) -> list[Path]:
    """Writes one log a seed in `output`, and removes logs of seeds that are gone."""
    paths = []
    for seed in predictions.seeds:
        paths.append(output / NAME.format(seed))
        write_text(paths[-1], log(predictions.of_seed(seed)))
    for path in output.glob(NAME.format("*")):
        if path not in paths:
            path.unlink()
    return paths


def log(run: Predictions) -> str:
    """One seed's log: a line `casme2 sub01` a subject, then `EP02_01f 1 1` for each of its clips.

    The numbers are places in `run.classes`, truth first: with negative, positive, surprise those
    of the challenge. A space inside a name becomes `_`, as spaces part the fields.
    """
    lines = []
    coded = run.table.assign(code=run.truth, named=run.prediction)
    for (dataset, subject), rows in coded.groupby(["dataset", "subject"], sort=False):
        lines.append(f"{_word(dataset)} {_word(subject.removeprefix(f'{dataset}/'))}")
        for clip, truth, named in zip(rows["clip"], rows["code"], rows["named"], strict=True):
            lines.append(f"{_word(_own_name(clip, dataset, subject))} {truth} {named}")
    return "\n".join(lines) + "\n"


def _own_name(clip, dataset, subject) -> str:
    """Without the data set's and the subject's folder."""
    return clip.removeprefix(f"{dataset}/").removeprefix(f"{subject}/")


def _word(text: str) -> str:
    return "_".join(text.split())


def read_logs(paths: Sequence[Path], classes: Sequence[str] | None = None) -> Predictions:
    """What `write_logs` wrote, or another method's logs: a file a seed.

    Args:
      paths: of the logs; a seed is the number behind `seed` in a file's name, or else its place.
      classes: names in label order; without them those of the challenge.

    Raises:
      UserError: no such file, a line that is none of a log's, a number that is no class, a clip
        twice in a log, logs of different clips.
    """
    numbers_only, classes = classes is None, tuple(CLASSES if classes is None else classes)
    rows, where = [], []
    for place, path in enumerate(paths):
        named = re.search(r"seed(\d+)", path.stem)
        found = _read(path, int(named[1]) if named else place, classes)
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


def _read(path: Path, seed: int, classes: tuple[str, ...]) -> list[dict]:
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
            truth, named = (_class(text, classes, where) for text in fields[1:])
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


def _class(text: str, classes: tuple[str, ...], where: str) -> str:
    if not re.fullmatch(r"[0-9]{1,4}", text) or int(text) >= len(classes):
        raise UserError(
            f"{where}: {text!r} is no class; it takes 0 to {len(classes) - 1} "
            f"({', '.join(classes)}), or name all classes with --classes"
        )
    return classes[int(text)]
