"""The report on predictions: results.md, results.csv, results.html and MEGC2019 logs.

`mubert evaluate` writes it for a run's predictions or another method's.
"""

import base64
import csv
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from mubert_jax.data.files import replacing, write_text, writing_errors
from mubert_jax.errors import UserError
from mubert_jax.recognition.figures import confusion_figure, curve_figures
from mubert_jax.recognition.metrics import (
    HardClip,
    Scores,
    Summary,
    by_subject,
    commonest,
    deviation,
    hardest,
    subsets,
)
from mubert_jax.recognition.optimism import OPTIMISM_FILE, Optimism
from mubert_jax.recognition.page import render
from mubert_jax.recognition.predictions import (
    CURVES_FILE,
    PREDICTIONS_FILE,
    Facts,
    Predictions,
    load_curves,
    read_logs,
    write_logs,
)
from mubert_jax.recognition.published import Benchmark
from mubert_jax.recognition.published import published as known
from mubert_jax.recognition.report_tables import (
    RATIOS,
    THIS_RUN,
    classes_table,
    confusion_table,
    hardest_table,
    optimism_table,
    over_seeds,
    published_table,
    scores_table,
    seeds_table,
    subjects_table,
)
from mubert_jax.recognition.tables import Table, markdown, percent

MAPS_FOLDER = "maps"
RESULTS = ("results.md", "results.csv", "results.html")
TEMPLATE = "report.html"
# The rows of results.csv below the seeds; low and high bound the 95 % interval over subjects.
STATISTICS = ("mean", "std", "low", "high")


@dataclass(frozen=True, eq=False)
class Report:
    """The content of the files, before it is written.

    Attributes:
      title: the data sets and the number of classes.
      stamps: texts printed on every table.
      warnings: texts listed once.
      summaries: Full, then each data set.
      optimism: what picking the epoch would have reported, if that is known.
    """

    title: str
    facts: Facts
    seeds: tuple[int, ...]
    stamps: tuple[str, ...]
    warnings: tuple[str, ...]
    summaries: tuple[Summary, ...]
    baseline: tuple[str, Scores]
    subjects: tuple[Summary, ...]
    hardest: tuple[HardClip, ...]
    benchmark: Benchmark | None
    optimism: Optimism | None = None

    @property
    def full(self) -> Summary:
        """The summary over all clips."""
        return self.summaries[0]

    def lines(self) -> list[str]:
        """The stamps, the scores and the warnings, a line each."""
        lines = [f"⚠ {stamp}" for stamp in self.stamps]
        for summary in self.summaries:
            values = (
                f"{name.split()[0]} {percent(summary.values(key)).text}"
                for name, key in RATIOS.items()
            )
            lines.append(f"{summary.name}, {summary.clips} clips: {', '.join(values)} (%)")
        lines.append(over_seeds(self.seeds))
        return lines + [f"Warning: {warning}" for warning in self.warnings]

    @property
    def beside(self) -> list[Table]:
        """Tables of what is no result, apart from all others."""
        return [optimism_table(self.optimism)] if self.optimism else []


def build(predictions: Predictions, facts: Facts, optimism: Optimism | None = None) -> Report:
    """Computes the content of the report.

    Raises:
      UserError: `facts.published` is not known.
    """
    benchmark = known(facts.published) if facts.published else None
    summaries = subsets(predictions)
    warnings = [
        *facts.warnings,
        *predictions.notes,
        *warnings_of(predictions, summaries, benchmark),
    ]
    return Report(
        title=benchmark.title if benchmark else sets_and_classes(predictions),
        facts=facts,
        seeds=predictions.seeds,
        stamps=stamps_of(predictions, facts),
        warnings=tuple(warnings),
        summaries=tuple(summaries),
        baseline=commonest(predictions),
        subjects=tuple(by_subject(predictions)),
        hardest=tuple(hardest(predictions)),
        benchmark=benchmark,
        optimism=optimism,
    )


def stamps_of(predictions: Predictions, facts: Facts) -> tuple[str, ...]:
    """Why numbers are not comparable: a run's own stamps, and what the folds show."""
    if not (crossing := predictions.crossing()):
        return facts.stamps
    return (
        *facts.stamps,
        f"LEAK: {len(crossing)} subjects are tested in more than one fold, so training saw "
        f"them elsewhere: {', '.join(crossing[:5])}{' ...' if len(crossing) > 5 else ''}",
    )


def sets_and_classes(predictions: Predictions) -> str:
    """What predictions are of, as a title."""
    return f"{' + '.join(predictions.datasets)}, {len(predictions.classes)} classes"


def warnings_of(
    predictions: Predictions, summaries: Iterable[Summary], benchmark: Benchmark | None
) -> Iterator[str]:
    """Classes that are left out of a mean, and published numbers of other classes."""
    for summary in summaries:
        if summary.absent:
            names = ", ".join(summary.absent)
            yield f"{summary.name} has no clip of {names}: left out of its means"
    if benchmark and benchmark.classes != len(predictions.classes):
        yield (
            f"the published numbers are for {benchmark.classes} classes, this run has "
            f"{len(predictions.classes)}: they do not compare"
        )


def evaluate_run(workdir: Path, published: str | None = None) -> Report:
    """Writes the report of a run into its folder, from the files that the run wrote there.

    predictions.csv is required; recognition.json, curves.csv, optimism.csv and maps/ are used if
    they exist.

    Args:
      published: The key of the numbers to print beside, instead of the run's own.

    Raises:
      UserError: there are no predictions, or one of the files is invalid.
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
    curves, optimism = workdir / CURVES_FILE, workdir / OPTIMISM_FILE
    predictions = Predictions.load(path, facts.classes)
    return write_report(
        predictions,
        workdir,
        facts,
        load_curves(curves) if curves.is_file() else None,
        workdir / MAPS_FOLDER,
        Optimism.load(optimism, predictions) if optimism.is_file() else None,
    )


def evaluate_file(
    path: Path,
    output: Path,
    published: str | None = None,
    classes: Sequence[str] | None = None,
) -> Report:
    """Writes the report on another method's predictions into `output`.

    Raises:
      UserError: `Predictions.load` refuses the file, or `published` is not known.
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
    """Writes the report on logs of MEGC2019, one per seed, into `output`.

    Raises:
      UserError: `read_logs` refuses a log, or `published` is not known.
    """
    if published:
        known(published)
    return _write(read_logs(paths, classes), output, published)


def _write(predictions: Predictions, output: Path, published: str | None) -> Report:
    return write_report(predictions, output, Facts(predictions.classes, published=published))


def write_report(
    predictions: Predictions,
    output: Path,
    facts: Facts | None = None,
    curves: pd.DataFrame | None = None,
    maps: Path | None = None,
    optimism: Optimism | None = None,
) -> Report:
    """Writes results.md, results.csv, results.html and megc2019_seedS.txt, deterministically.

    Args:
      predictions: The predictions, loaded from a file; those in memory have more digits, so that a
        last digit of the report may differ.
      output: The folder, which is created if necessary.
      curves: The training curves, as `load_curves` returns them.
      maps: A folder of PNG files, the perception of clips; see `map_of`.
      optimism: What picking the epoch would have reported, which gets a table of its own.

    Raises:
      UserError: `facts.published` is not known, or the files cannot be written.
    """
    report = build(predictions, facts or Facts(), optimism)
    with writing_errors(output, "give another folder"):
        output.mkdir(parents=True, exist_ok=True)
        for name, text in (
            ("results.md", _markdown(report)),
            ("results.html", _html(report, predictions, curves, maps)),
        ):
            write_text(output / name, text)
        _write_csv(report, output / "results.csv")
        write_logs(predictions, output)
    return report


def _opening(report: Report) -> list[Table]:
    note = over_seeds(report.seeds)
    found = [scores_table(list(report.summaries), report.baseline, note)]
    if len(report.seeds) > 1:
        found.append(seeds_table(report.seeds, report.full))
    if report.benchmark:
        found.append(published_table(report.benchmark, {THIS_RUN: report.full}))
    return found + [classes_table(report.full)]


def _markdown(report: Report) -> str:
    text = [f"# Recognition: {report.title}", ""]
    if report.facts.protocol:
        text += [f"Protocol: {report.facts.protocol}", ""]
    if report.warnings:
        text += ["Warnings:", "", *(f"- {warning}" for warning in report.warnings), ""]
    shown = _opening(report)
    shown += [confusion_table(summary) for summary in report.summaries]
    shown += [subjects_table(list(report.subjects))]
    if report.hardest:
        shown.append(hardest_table(list(report.hardest)))
    shown += report.beside
    return "\n".join(text + [markdown(table, report.stamps) for table in shown])


def _html(
    report: Report, predictions: Predictions, curves: pd.DataFrame | None, maps: Path | None
) -> str:
    hard = [(clip, map_of(clip, predictions, maps)) for clip in report.hardest]
    return render(
        TEMPLATE,
        report=report,
        tiles=[(name, percent(report.full.values(key)).text) for name, key in RATIOS.items()],
        seeds=over_seeds(report.seeds),
        opening=_opening(report),
        confusions=[(summary, confusion_figure(summary)) for summary in report.summaries],
        subjects=subjects_table(list(report.subjects)),
        curves=curve_figures(curves) if curves is not None else [],
        hardest=hardest_table(list(report.hardest)),
        pictures=[(clip, _embedded(path)) for clip, path in hard if path],
    )


def map_of(clip: HardClip, predictions: Predictions, maps: Path | None) -> Path | None:
    """The clip's picture in the folder `maps`, or None.

    The names DATASET_SUBJECT_CLIP.png, SUBJECT_CLIP.png and, if no other clip has its name,
    CLIP.png are tried; a `/` in a name is a `_` in the file's name.
    """
    if maps is None:
        return None
    names = [f"{clip.dataset}/{clip.subject}/{clip.clip}", f"{clip.subject}/{clip.clip}"]
    if (predictions.table["clip"] == clip.clip).sum() == clip.seeds:
        names.append(clip.clip)
    for name in names:
        path = maps / f"{name.replace('/', '_')}.png"
        if path.is_file():
            return path
    return None


def _embedded(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()


def _write_csv(report: Report, path: Path) -> None:
    """Writes a row per subset and seed, then `STATISTICS` over the seeds; ratios from 0 to 1."""
    classes, runs = report.full.scores[0].classes, len(report.seeds)
    fields = ("uf1", "uar", "accuracy", "mean_precision", "f1", "recall", "precision")
    columns = ["subset", "seed", "clips", "subjects", "UF1", "UAR", "accuracy", "mean_precision"]
    columns += [f"{kind}_{name}" for kind in ("F1", "recall", "precision") for name in classes]
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*columns, "left_out", "stamps"])
        for summary in report.summaries:
            values = np.hstack([summary.values(name).reshape(runs, -1) for name in fields])
            interval = np.hstack([summary.intervals[name].reshape(2, -1) for name in fields])
            rows = [*values, values.mean(axis=0), deviation(values), *interval]
            for seed, row in zip([*report.seeds, *STATISTICS], rows, strict=True):
                writer.writerow(
                    [summary.name, seed, summary.clips, summary.subjects, *_digits(row)]
                    + ["; ".join(summary.absent), "; ".join(report.stamps)]
                )


def _digits(values: Iterable[float]) -> list[str]:
    return ["" if math.isnan(value) else f"{value:.6f}" for value in values]
