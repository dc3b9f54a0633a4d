"""`mubert evaluate`: the report on saved predictions, this project's or another method's."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mubert_jax.errors import UserError
from mubert_jax.recognition.facts import Facts
from mubert_jax.recognition.learning_curves import CURVES_FILE, load_curves
from mubert_jax.recognition.megc_log import read_logs
from mubert_jax.recognition.predictions import PREDICTIONS_FILE, Predictions
from mubert_jax.recognition.published import published as known
from mubert_jax.recognition.report import Report, write_report

MAPS_FOLDER = "maps"


def evaluate_run(workdir: Path, published: str | None = None) -> Report:
    """Writes the report of a run into its folder, from the files the run left there.

    predictions.csv has to be there; recognition.json, curves.csv and maps/ are used if they are.

    Args:
      published: key of the numbers to print beside, instead of the run's.

    Raises:
      UserError: there are no predictions, or one of the files is not what it should be.
    """
    path = workdir / PREDICTIONS_FILE
    if not path.is_file():
        raise UserError(
            f"{workdir}: no {PREDICTIONS_FILE}; give the folder of a finished `mubert finetune`, "
            "or another method's file with --predictions=FILE --output=DIR"
        )
    facts = Facts.load(workdir)
    if published:
        facts = replace(facts, published=published)
    curves = workdir / CURVES_FILE
    return write_report(
        Predictions.load(path, facts.classes),
        workdir,
        facts,
        load_curves(curves) if curves.is_file() else None,
        workdir / MAPS_FOLDER,
    )


def evaluate_file(
    path: Path,
    output: Path,
    published: str | None = None,
    classes: Sequence[str] | None = None,
) -> Report:
    """Writes the report on another method's predictions into `output`.

    Raises:
      UserError: the file is not as `Predictions.load` wants it, or `published` is not known.
    """
    if published:
        known(published)
    return _write(Predictions.load(path, classes), output, published)


def evaluate_logs(
    paths: Sequence[Path],
    output: Path,
    published: str | None = None,
    classes: Sequence[str] | None = None,
) -> Report:
    """Writes the report on logs of MEGC2019, one a seed, into `output`.

    Raises:
      UserError: a log is not as `read_logs` wants it, or `published` is not known.
    """
    if published:
        known(published)
    return _write(read_logs(paths, classes), output, published)


def _write(predictions: Predictions, output: Path, published: str | None) -> Report:
    return write_report(predictions, output, Facts(predictions.classes, published=published))
