"""The report's tables as data: results.md and results.html print the same cells."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mubert_jax.recognition.metrics import Scores
from mubert_jax.recognition.published import Benchmark
from mubert_jax.recognition.summary import HardClip, Summary, deviation

THIS_RUN = "this run"


@dataclass(frozen=True)
class Cell:
    """A text; `bar`, from 0 to 1, is drawn behind it."""

    text: str
    bar: float | None = None


@dataclass(frozen=True)
class Table:
    """A title, a header, rows of as many cells, and a note below.

    Attributes:
      words: how many columns from the left hold words; the others hold numbers.
      own: places of the rows that are this run's, where others are beside.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    words: int = 1
    own: tuple[int, ...] = ()


def over_seeds(seeds: Sequence[int]) -> str:
    """What stands behind a ±, in words."""
    if len(seeds) == 1:
        return f"One seed ({seeds[0]}), so no spread is known; several are needed."
    return f"Mean ± sample standard deviation over {len(seeds)} seeds."


def percent(values: np.ndarray) -> Cell:
    """Of values (S,) from 0 to 1, in percent: the mean and, of several, the deviation."""
    mean = float(np.mean(values))
    if np.isnan(mean):
        return Cell("–")
    return Cell(_spread(100 * values, 2), mean)


def _spread(values, digits) -> str:
    tail = f" ± {deviation(values):.{digits}f}" if len(values) > 1 else ""
    return f"{np.mean(values):.{digits}f}{tail}"


def _one(values: Scores, name: str) -> Cell:
    return percent(np.array([getattr(values, name)]))


RATIOS = {"UF1 (%)": "uf1", "UAR (%)": "uar", "accuracy (%)": "accuracy"}


def scores_table(summaries: list[Summary], baseline: tuple[str, Scores], note: str) -> Table:
    """A row a subset, and what naming the commonest class always would get."""
    rows = [
        (
            Cell(summary.name),
            Cell(str(summary.clips)),
            Cell(str(summary.subjects)),
            *(percent(summary.values(name)) for name in RATIOS.values()),
            _interval(summary),
            Cell(", ".join(summary.absent) or "–"),
        )
        for summary in summaries
    ]
    name, scores = baseline
    cells = (_one(scores, ratio) for ratio in RATIOS.values())
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
        "interval of UF1 from drawing the subjects anew."
    )
    if any(summary.absent for summary in summaries):
        note += " A class left out has no clip in that row, and no part in its means."
    columns = ("clips of", "clips", "subjects", *RATIOS, "with other people", "left out")
    return Table("Scores", columns, tuple(rows), note)


def _interval(summary) -> Cell:
    low, high = 100 * summary.intervals["uf1"]
    return Cell("–" if np.isnan(low) else f"{low:.1f} to {high:.1f}")


def seeds_table(seeds: Sequence[int], full: Summary) -> Table:
    """A row a seed, over all clips."""
    rows = tuple(
        (Cell(str(seed)), *(_one(scores, ratio) for ratio in RATIOS.values()))
        for seed, scores in zip(seeds, full.scores, strict=True)
    )
    return Table("Every seed", ("seed", *RATIOS), rows)


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
    """A row a class, over all clips."""
    confusion = full.confusion
    f1, recall = full.values("f1"), full.values("recall")
    rows = tuple(
        (
            Cell(name),
            Cell(f"{confusion[i].sum():.0f}"),
            Cell(_count(confusion[:, i].sum(), len(f1))),
            percent(f1[:, i]),
            percent(recall[:, i]),
        )
        for i, name in enumerate(full.scores[0].classes)
    )
    columns = ("class", "clips", "taken for it", "F1 (%)", "recall (%)")
    return Table("Classes", columns, rows)


def confusion_table(summary: Summary) -> Table:
    """Clips, the mean over seeds: rows are the truth."""
    classes, seeds = summary.scores[0].classes, len(summary.scores)
    rows = tuple(
        (Cell(name), *(Cell(_count(count, seeds)) for count in row))
        for name, row in zip(classes, summary.confusion, strict=True)
    )
    return Table(f"Confusion: {summary.name}", ("truth ↓ taken for →", *classes), rows)


def _count(count: float, seeds: int) -> str:
    return f"{count:.0f}" if seeds == 1 else f"{count:.1f}"


def subjects_table(subjects: list[Summary]) -> Table:
    """A row a subject."""
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
    """A row a clip."""
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


def _line(texts) -> str:
    return "| " + " | ".join(text.replace("|", "\\|") for text in texts) + " |"
