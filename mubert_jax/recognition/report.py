"""The report on predictions: results.md, results.csv, results.html and MEGC2019 logs.

`mubert evaluate` writes it for a run's predictions or another method's. The parts below are its
tables, its figures, its content and its files.
"""

import base64
import csv
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import jinja2
import numpy as np
import pandas as pd
from markupsafe import Markup, escape
from matplotlib.ticker import MaxNLocator

from mubert_jax.data.files import replacing, write_text, writing_errors
from mubert_jax.errors import UserError
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
from mubert_jax.recognition.predictions import (
    CURVES_FILE,
    KEYS,
    PREDICTIONS_FILE,
    Facts,
    Predictions,
    load_curves,
    read_logs,
    write_logs,
)
from mubert_jax.recognition.published import Benchmark
from mubert_jax.recognition.published import published as known

MAPS_FOLDER = "maps"
RESULTS = ("results.md", "results.csv", "results.html")
TEMPLATE = Path(__file__).with_name("report.html")
THIS_RUN = "this run"
RATIOS = {"UF1 (%)": "uf1", "UAR (%)": "uar", "accuracy (%)": "accuracy"}
# Beside them, because some publications have it as "UAR".
WITH_PRECISION = RATIOS | {"mean precision (%)": "mean_precision"}
# The rows of results.csv below the seeds; low and high bound the 95 % interval over subjects.
STATISTICS = ("mean", "std", "low", "high")
# The approximate width of a letter in the figures, in pixels, by which they make room for names.
LETTER = 7.2
# The number of line colours that report.html defines for light and dark.
COLOURS = 6


@dataclass(frozen=True)
class Cell:
    """A text with an optional bar, of length 0 to 1, that is drawn behind it."""

    text: str
    bar: float | None = None


@dataclass(frozen=True)
class Table:
    """A title, a header, rows of as many cells, and a note below.

    Attributes:
      words: the number of columns, from the left, that hold words; the others hold numbers.
      own: the indices of this run's rows in a table that compares it with others.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    words: int = 1
    own: tuple[int, ...] = ()


def over_seeds(seeds: Sequence[int]) -> str:
    """The meaning of a ± in words."""
    if len(seeds) == 1:
        return f"One seed ({seeds[0]}), so no spread is known; several are needed."
    return f"Mean ± sample standard deviation over {len(seeds)} seeds."


def percent(values: np.ndarray) -> Cell:
    """The mean of values (S,) from 0 to 1 in percent, with the deviation if there are several."""
    mean = float(np.mean(values))
    if np.isnan(mean):
        return Cell("–")
    return Cell(_spread(100 * values, 2), mean)


def _spread(values: np.ndarray, digits: int) -> str:
    tail = f" ± {deviation(values):.{digits}f}" if len(values) > 1 else ""
    return f"{np.mean(values):.{digits}f}{tail}"


def _one(values: Scores, name: str) -> Cell:
    return percent(np.array([getattr(values, name)]))


def scores_table(summaries: list[Summary], baseline: tuple[str, Scores], note: str) -> Table:
    """A row per subset, and one for always predicting the most frequent class."""
    rows = [
        (
            Cell(summary.name),
            Cell(str(summary.clips)),
            Cell(str(summary.subjects)),
            *(percent(summary.values(name)) for name in WITH_PRECISION.values()),
            _interval(summary),
            Cell(", ".join(summary.absent) or "–"),
        )
        for summary in summaries
    ]
    name, scores = baseline
    cells = (_one(scores, ratio) for ratio in WITH_PRECISION.values())
    full = summaries[0]
    rows.append(
        (
            Cell(f"always “{name}”"),
            Cell(str(full.clips)),
            Cell(str(full.subjects)),
            *cells,
            Cell("–"),
            Cell(", ".join(full.absent) or "–"),
        )
    )
    note += (
        " Counts are summed over all folds before UF1 and UAR are taken. With other people: 95 % "
        "interval of UF1 from drawing the subjects anew. Mean precision is not UAR, though some "
        "have published it as such."
    )
    if any(summary.absent for summary in summaries):
        note += " A class left out has no clip in that row, and no part in its means."
    columns = ("clips of", "clips", "subjects", *WITH_PRECISION, "with other people", "left out")
    return Table("Scores", columns, tuple(rows), note)


def _interval(summary: Summary) -> Cell:
    low, high = 100 * summary.intervals["uf1"]
    return Cell("–" if np.isnan(low) else f"{low:.1f} to {high:.1f}")


def seeds_table(seeds: Sequence[int], full: Summary) -> Table:
    """A row per seed, over all clips."""
    rows = tuple(
        (Cell(str(seed)), *(_one(scores, ratio) for ratio in WITH_PRECISION.values()))
        for seed, scores in zip(seeds, full.scores, strict=True)
    )
    return Table("Every seed", ("seed", *WITH_PRECISION), rows)


def published_table(benchmark: Benchmark, full: Summary) -> Table:
    """This run among the published ones, the lowest UF1 first."""
    rows = [
        (
            row.uf1,
            (Cell(row.method), Cell(row.note), _published(row.uf1), _published(row.uar)),
        )
        for row in benchmark.rows
    ]
    uf1, uar = full.values("uf1"), full.values("uar")
    own = (Cell(THIS_RUN), Cell("from the predictions"), percent(uf1), percent(uar))
    rows.append((100 * float(uf1.mean()), own))
    rows = tuple(cells for _, cells in sorted(rows, key=lambda row: row[0]))
    return Table(
        f"Beside the published numbers: {benchmark.title}",
        ("method", "from", "UF1 (%)", "UAR (%)"),
        rows,
        "Tables are those of the paper (Micron-BERT, CVPR 2023). Nothing but this run was measured "
        "here: protocols differ, and some keep the best epoch on the test subject, which raises "
        "scores a lot.",
        words=2,
        own=tuple(i for i, row in enumerate(rows) if row[0].text == THIS_RUN),
    )


def _published(value: float) -> Cell:
    return Cell(f"{value:.2f}", value / 100)


def classes_table(full: Summary) -> Table:
    """A row per class, over all clips."""
    confusion = full.confusion
    f1, recall, precision = (full.values(name) for name in ("f1", "recall", "precision"))
    rows = tuple(
        (
            Cell(name),
            Cell(f"{confusion[i].sum():.0f}"),
            Cell(_count(confusion[:, i].sum(), len(f1))),
            percent(f1[:, i]),
            percent(recall[:, i]),
            percent(precision[:, i]),
        )
        for i, name in enumerate(full.scores[0].classes)
    )
    columns = ("class", "clips", "taken for it", "F1 (%)", "recall (%)", "precision (%)")
    return Table("Classes", columns, rows)


def confusion_table(summary: Summary) -> Table:
    """Numbers of clips, the mean over seeds: rows are the truth."""
    classes, seeds = summary.scores[0].classes, len(summary.scores)
    rows = tuple(
        (Cell(name), *(Cell(_count(count, seeds)) for count in row))
        for name, row in zip(classes, summary.confusion, strict=True)
    )
    return Table(f"Confusion: {summary.name}", ("truth ↓ taken for →", *classes), rows)


def _count(count: float, seeds: int) -> str:
    return f"{count:.0f}" if seeds == 1 else f"{count:.1f}"


def subjects_table(subjects: list[Summary]) -> Table:
    """A row per subject."""
    rows = tuple(
        (
            Cell(subject.name),
            Cell(str(subject.clips)),
            Cell(_spread(subject.values("accuracy") * subject.clips, 1)),
            *(percent(subject.values(name)) for name in RATIOS.values()),
            Cell(", ".join(subject.absent) or "–"),
        )
        for subject in subjects
    )
    return Table(
        "Subjects",
        ("subject", "clips", "right", *RATIOS, "left out"),
        rows,
        "UF1 and UAR over the classes that the subject has clips of. They do not average to the "
        "scores above.",
    )


def hardest_table(clips: list[HardClip]) -> Table:
    """A row per clip."""
    rows = tuple(
        (
            Cell(clip.subject_id),
            Cell(clip.clip),
            Cell(clip.truth),
            Cell(clip.taken_for),
            Cell(f"{clip.wrong} of {clip.seeds}"),
            Cell(f"{100 * clip.confidence:.1f}", clip.confidence),
        )
        for clip in clips
    )
    return Table(
        "Hardest clips",
        ("subject", "clip", "truth", "taken for", "seeds wrong", "confidence (%)"),
        rows,
        "Wrong with most confidence, the mean over seeds of the probability that a wrong "
        "prediction got; without probabilities, the share of seeds that were wrong.",
        words=4,
    )


def markdown(table: Table, stamps: Sequence[str]) -> str:
    """The table in Markdown, under the stamps."""
    lines = [f"## {table.title}", ""]
    for stamp in stamps:
        lines += [f"> **⚠ {stamp}**", ""]
    numbers = len(table.columns) - table.words
    lines.append(_line(table.columns))
    lines.append("|" + " --- |" * table.words + " ---: |" * numbers)
    for i, row in enumerate(table.rows):
        texts = [cell.text for cell in row]
        lines.append(_line([f"**{text}**" for text in texts] if i in table.own else texts))
    return "\n".join([*lines, "", *([table.note, ""] if table.note else [])])


def _line(texts: Iterable[str]) -> str:
    return "| " + " | ".join(text.replace("|", "\\|") for text in texts) + " |"


def confusion_figure(summary: Summary) -> Markup:
    """The confusion matrix: rows are the truth, the shade is the share of the row's clips."""
    classes, counts = summary.scores[0].classes, summary.confusion
    longest = max(len(name) for name in classes)
    left, top, side = 24 + LETTER * longest, 40, max(64, LETTER * longest + 10)
    size = side * len(classes)
    digits = 0 if len(summary.scores) == 1 else 1
    parts = [_words(left + size / 2, 12, "taken for", "middle", "faint")]
    for i, name in enumerate(classes):
        parts.append(_words(left + (i + 0.5) * side, 32, name, "middle"))
        parts.append(_words(left - 8, top + (i + 0.5) * 56 + 4, name, "end"))
        for j, count in enumerate(counts[i]):
            share = count / counts[i].sum() if counts[i].sum() else 0.0
            x, y = left + j * side, top + i * 56
            ink = "on" if share > 0.5 else "off"
            parts.append(
                f'<rect class="heat" x="{x + 1:.1f}" y="{y + 1:.1f}" width="{side - 2:.1f}" '
                f'height="54" rx="4" fill-opacity="{0.05 + 0.95 * share:.3f}"/>'
            )
            middle = x + side / 2
            if counts[i].sum():
                parts.append(_words(middle, y + 27, f"{100 * share:.0f}%", "middle", f"big {ink}"))
            parts.append(_words(middle, y + 43, f"{count:.{digits}f}", "middle", f"small {ink}"))
    title = f"Confusion of {summary.name}: rows are the truth, columns what clips were taken for"
    return _svg(left + size + 4, top + 56 * len(classes) + 4, title, parts)


def curve_figures(table: pd.DataFrame) -> list[tuple[str, Markup]]:
    """(name, picture) of every curve: the mean over folds for each seed, and the span of folds."""
    names = [name for name in table.columns if name not in KEYS]
    return [(name, _curve(table, name)) for name in names if np.isfinite(table[name]).any()]


def _curve(table: pd.DataFrame, name: str) -> Markup:
    width, height, left, right, top, bottom = 460, 250, 56, 12, 26, 34
    rows = table[np.isfinite(table[name])]
    by_epoch = rows.groupby("epoch")[name]
    low, high = by_epoch.quantile(0.1), by_epoch.quantile(0.9)
    means = rows.groupby(["seed", "epoch"])[name].mean()
    ticks_y = _ticks(min(low.min(), means.min()), max(high.max(), means.max()))
    first, last = rows["epoch"].min(), rows["epoch"].max()

    def x(epoch: float) -> float:
        return left + (width - left - right) * (epoch - first) / max(last - first, 1)

    def y(value: float) -> float:
        span = ticks_y[-1] - ticks_y[0]
        return height - bottom - (height - top - bottom) * (value - ticks_y[0]) / span

    parts = []
    for tick in ticks_y:
        parts.append(
            f'<line class="grid" x1="{left}" x2="{width - right}" '
            f'y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>'
        )
        parts.append(_words(left - 8, y(tick) + 4, f"{tick:.4g}", "end", "small off"))
    for tick in _ticks(first, last, whole=True):
        if first <= tick <= last:
            parts.append(_words(x(tick), height - 16, f"{tick:.0f}", "middle", "small off"))
    parts.append(_words((left + width - right) / 2, height - 2, "epoch", "middle", "faint"))
    there, back = _points(low, x, y), _points(high[::-1], x, y)
    parts.append(f'<polygon class="band" points="{there} {back}"/>')
    seeds = means.index.get_level_values("seed").unique()
    for i, seed in enumerate(seeds):
        parts.append(
            f'<polyline class="line c{i % COLOURS}" points="{_points(means[seed], x, y)}">'
            f"<title>seed {seed:.0f}</title></polyline>"
        )
        if i < COLOURS:
            across = width - right - 50 * (min(len(seeds), COLOURS) - 1 - i)
            parts.append(_words(across, 11, f"seed {seed:.0f}", "end", f"name c{i}"))
    title = f"{name} by epoch: a line per seed, the mean over folds; the band spans four fifths"
    return _svg(width, height, title, parts)


def _ticks(low: float, high: float, whole: bool = False) -> Sequence[float]:
    if high <= low:
        low, high = low - 0.5, high + 0.5
    return MaxNLocator(5, integer=whole).tick_values(low, high)


def _points(values: pd.Series, x: Callable[[float], float], y: Callable[[float], float]) -> str:
    return " ".join(
        f"{x(epoch):.1f},{y(value):.1f}" for epoch, value in zip(values.index, values, strict=True)
    )


def _words(x: float, y: float, text: str, anchor: str, kind: str = "off") -> str:
    return (
        f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
    )


def _svg(width: float, height: float, title: str, parts: Sequence[str]) -> Markup:
    return Markup(
        f'<svg role="img" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'height="{height:.0f}"><title>{escape(title)}</title>{"".join(parts)}</svg>'
    )


@dataclass(frozen=True, eq=False)
class Report:
    """The content of the files, before it is written.

    Attributes:
      title: the data sets and the number of classes.
      stamps: texts printed on every table.
      warnings: texts listed once.
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


def build(predictions: Predictions, facts: Facts) -> Report:
    """Computes the content of the report.

    Raises:
      UserError: `facts.published` is not known.
    """
    benchmark = known(facts.published) if facts.published else None
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


def _sets_and_classes(predictions: Predictions) -> str:
    return f"{' + '.join(predictions.datasets)}, {len(predictions.classes)} classes"


def _warnings(
    predictions: Predictions, summaries: Iterable[Summary], benchmark: Benchmark | None
) -> Iterator[str]:
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

    predictions.csv is required; recognition.json, curves.csv and maps/ are used if they exist.

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
) -> Report:
    """Writes results.md, results.csv, results.html and megc2019_seedS.txt, deterministically.

    Args:
      predictions: The predictions, loaded from a file; those in memory have more digits, so that a
        last digit of the report may differ.
      output: The folder, which is created if necessary.
      curves: The training curves, as `load_curves` returns them.
      maps: A folder of PNG files, the perception of clips; see `map_of`.

    Raises:
      UserError: `facts.published` is not known, or the files cannot be written.
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


def _opening(report: Report) -> list[Table]:
    note = over_seeds(report.seeds)
    found = [scores_table(list(report.summaries), report.baseline, note)]
    if len(report.seeds) > 1:
        found.append(seeds_table(report.seeds, report.full))
    if report.benchmark:
        found.append(published_table(report.benchmark, report.full))
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
    return "\n".join(text + [markdown(table, report.stamps) for table in shown])


def _html(
    report: Report, predictions: Predictions, curves: pd.DataFrame | None, maps: Path | None
) -> str:
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    hard = [(clip, map_of(clip, predictions, maps)) for clip in report.hardest]
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        report=report,
        tiles=[(name, percent(report.full.values(key)).text) for name, key in RATIOS.items()],
        seeds=over_seeds(report.seeds),
        colours=COLOURS,
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
