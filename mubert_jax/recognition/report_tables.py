"""The tables of a report on predictions."""

from collections.abc import Mapping, Sequence

import numpy as np

from mubert_jax.recognition.metrics import HardClip, Scores, Summary
from mubert_jax.recognition.optimism import Optimism
from mubert_jax.recognition.published import Benchmark
from mubert_jax.recognition.tables import Cell, Table, percent, spread

THIS_RUN = "this run"
HERE = "from the predictions"
PROTOCOLS_DIFFER = (
    "protocols differ, and some keep the best epoch on the test subject, which raises scores a lot."
)
RATIOS = {"UF1 (%)": "uf1", "UAR (%)": "uar", "accuracy (%)": "accuracy"}
# Beside them, because some publications have it as "UAR".
WITH_PRECISION = RATIOS | {"mean precision (%)": "mean_precision"}


def over_seeds(seeds: Sequence[int]) -> str:
    """The meaning of a ± in words."""
    if len(seeds) == 1:
        return f"One seed ({seeds[0]}), so no spread is known; several are needed."
    return f"Mean ± sample standard deviation over {len(seeds)} seeds."


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


def published_table(benchmark: Benchmark, measured: Mapping[str, Summary]) -> Table:
    """What was measured here, by its name, among the published rows, the lowest UF1 first."""
    rows = [
        (
            row.uf1,
            (Cell(row.method), Cell(row.note), _published(row.uf1), _published(row.uar)),
        )
        for row in benchmark.rows
    ]
    for name, full in measured.items():
        uf1, uar = full.values("uf1"), full.values("uar")
        own = (Cell(name), Cell(HERE), percent(uf1), percent(uar))
        rows.append((100 * float(uf1.mean()), own))
    rows = tuple(cells for _, cells in sorted(rows, key=lambda row: row[0]))
    return Table(
        f"Beside the published numbers: {benchmark.title}",
        ("method", "from", "UF1 (%)", "UAR (%)"),
        rows,
        "Tables are those of the paper (Micron-BERT, CVPR 2023). Nothing but "
        f"{' and '.join(measured)} was measured here: {PROTOCOLS_DIFFER}",
        words=2,
        own=tuple(i for i, row in enumerate(rows) if row[1].text == HERE),
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
            Cell(spread(subject.values("accuracy") * subject.clips, 1)),
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


def optimism_table(optimism: Optimism) -> Table:
    """A row per score, the mean over seeds, after the last epoch and as picked."""
    rows = []
    for name, honest in optimism.honest.items():
        picked = optimism.picked[name]
        more = spread(100 * (picked - honest), 2)
        sign = "" if more.startswith("-") else "+"
        cells = percent(honest), percent(picked), Cell(sign + more)
        rows.append((Cell(name.upper()), *cells))
    return Table(
        "What picking the epoch would have reported",
        ("over all clips", "honest (%)", "picked on the test subject (%)", "more"),
        tuple(rows),
        "Not a result. Picked: each fold keeps the epoch after which most of its own test clips "
        "are named right, the earliest of several, and the counts of all folds are summed. Honest: "
        "every fold after its last epoch, as in all other tables.",
    )
