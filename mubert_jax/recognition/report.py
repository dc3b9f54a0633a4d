"""The report on a run's predictions: results.md, results.csv, results.html and MEGC2019 logs."""

import base64
import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
import numpy as np
import pandas as pd

from mubert_jax.data.files import replacing, write_text, writing_errors
from mubert_jax.recognition import figures, tables
from mubert_jax.recognition.facts import Facts
from mubert_jax.recognition.megc_log import write_logs
from mubert_jax.recognition.metrics import Scores
from mubert_jax.recognition.predictions import Predictions
from mubert_jax.recognition.published import Benchmark, published
from mubert_jax.recognition.summary import (
    HardClip,
    Summary,
    by_subject,
    commonest,
    deviation,
    hardest,
    subsets,
)
from mubert_jax.recognition.tables import Table

RESULTS = ("results.md", "results.csv", "results.html")
# In results.csv, below the seeds: low and high bound 95 % over subjects drawn anew.
STATISTICS = ("mean", "std", "low", "high")
TEMPLATE = Path(__file__).with_name("report.html")


@dataclass(frozen=True, eq=False)
class Report:
    """What the files say, before it is written.

    Attributes:
      title: the data sets and the number of classes.
      stamps: printed on every table.
      warnings: listed once.
      summaries: Full, then each data set.
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

    @property
    def full(self) -> Summary:
        return self.summaries[0]

    def lines(self) -> list[str]:
        """The scores and what to beware of, a line each."""
        lines = [f"⚠ {stamp}" for stamp in self.stamps]
        for summary in self.summaries:
            values = (
                f"{name.split()[0]} {tables.percent(summary.values(key)).text}"
                for name, key in tables.RATIOS.items()
            )
            lines.append(f"{summary.name}, {summary.clips} clips: {', '.join(values)} (%)")
        lines.append(tables.over_seeds(self.seeds))
        return lines + [f"Warning: {warning}" for warning in self.warnings]


def build(predictions: Predictions, facts: Facts) -> Report:
    """Computes everything the report says.

    Raises:
      UserError: `facts.published` is not known.
    """
    benchmark = published(facts.published) if facts.published else None
    summaries = subsets(predictions)
    stamps = list(facts.stamps)
    if crossing := predictions.crossing():
        stamps.append(
            f"LEAK: {len(crossing)} subjects are tested in more than one fold, so training saw "
            f"them elsewhere: {', '.join(crossing[:5])}{' ...' if len(crossing) > 5 else ''}"
        )
    warnings = [
        *facts.warnings,
        *predictions.notes,
        *_warnings(predictions, summaries, benchmark),
    ]
    return Report(
        title=benchmark.title if benchmark else _sets_and_classes(predictions),
        facts=facts,
        seeds=predictions.seeds,
        stamps=tuple(stamps),
        warnings=tuple(warnings),
        summaries=tuple(summaries),
        baseline=commonest(predictions),
        subjects=tuple(by_subject(predictions)),
        hardest=tuple(hardest(predictions)),
        benchmark=benchmark,
    )


def _sets_and_classes(predictions) -> str:
    return f"{' + '.join(predictions.datasets)}, {len(predictions.classes)} classes"


def _warnings(predictions, summaries, benchmark):
    for summary in summaries:
        if summary.absent:
            names = ", ".join(summary.absent)
            yield f"{summary.name} has no clip of {names}: left out of its means"
    if benchmark and benchmark.classes != len(predictions.classes):
        yield (
            f"the published numbers are for {benchmark.classes} classes, this run has "
            f"{len(predictions.classes)}: they do not compare"
        )


def write_report(
    predictions: Predictions,
    output: Path,
    facts: Facts | None = None,
    curves: pd.DataFrame | None = None,
    maps: Path | None = None,
) -> Report:
    """Writes results.md, results.csv, results.html and megc2019_seedS.txt; same in, same out.

    Args:
      predictions: as loaded from a file; one in memory has more digits and may differ in the last.
      output: a folder, made if it is not there.
      curves: as `load_curves` gives them.
      maps: a folder of PNG files, the perception of clips; see `map_of`.

    Raises:
      UserError: `facts.published` is not known, or the files may not be written.
    """
    report = build(predictions, facts or Facts())
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


def _opening(report) -> list[Table]:
    note = tables.over_seeds(report.seeds)
    found = [tables.scores_table(list(report.summaries), report.baseline, note)]
    if len(report.seeds) > 1:
        found.append(tables.seeds_table(report.seeds, report.full))
    if report.benchmark:
        found.append(tables.published_table(report.benchmark, report.full))
    return found + [tables.classes_table(report.full)]


def _markdown(report) -> str:
    text = [f"# Recognition: {report.title}", ""]
    if report.facts.protocol:
        text += [f"Protocol: {report.facts.protocol}", ""]
    if report.warnings:
        text += ["Warnings:", "", *(f"- {warning}" for warning in report.warnings), ""]
    shown = _opening(report)
    shown += [tables.confusion_table(summary) for summary in report.summaries]
    shown += [tables.subjects_table(list(report.subjects))]
    if report.hardest:
        shown.append(tables.hardest_table(list(report.hardest)))
    return "\n".join(text + [tables.markdown(table, report.stamps) for table in shown])


def _html(report, predictions, curves, maps) -> str:
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    hard = [(clip, map_of(clip, predictions, maps)) for clip in report.hardest]
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        report=report,
        tiles=[
            (name, tables.percent(report.full.values(key)).text)
            for name, key in tables.RATIOS.items()
        ],
        seeds=tables.over_seeds(report.seeds),
        colours=figures.COLOURS,
        opening=_opening(report),
        confusions=[(summary, figures.confusion(summary)) for summary in report.summaries],
        subjects=tables.subjects_table(list(report.subjects)),
        curves=figures.curves(curves) if curves is not None else [],
        hardest=tables.hardest_table(list(report.hardest)),
        pictures=[(clip, _embedded(path)) for clip, path in hard if path],
    )


def map_of(clip: HardClip, predictions: Predictions, maps: Path | None) -> Path | None:
    """The clip's picture in the folder `maps`, or None.

    Looked for as DATASET_SUBJECT_CLIP.png, SUBJECT_CLIP.png and, where no other clip bears its
    name, CLIP.png; a `/` in a name is a `_` in the file's.
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


def _write_csv(report, path: Path) -> None:
    """A row a subset and seed, then `STATISTICS` over them; ratios from 0 to 1, not percent."""
    classes, runs = report.full.scores[0].classes, len(report.seeds)
    fields = ("uf1", "uar", "accuracy", "f1", "recall")
    columns = ["subset", "seed", "clips", "subjects", "UF1", "UAR", "accuracy"]
    columns += [f"{kind}_{name}" for kind in ("F1", "recall") for name in classes]
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


def _digits(values: Sequence[float]) -> list[str]:
    return ["" if math.isnan(value) else f"{value:.6f}" for value in values]
