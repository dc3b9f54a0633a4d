"""The tables of a comparison of recognizers; all figures in percent."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from mubert_jax.recognition.comparison_runs import Failed
from mubert_jax.recognition.cost import Cost
from mubert_jax.recognition.figures import range_figure
from mubert_jax.recognition.methods import CLIP, Method
from mubert_jax.recognition.metrics import Scores, Summary, chance, commonest, hardest
from mubert_jax.recognition.protocols import subject_ids
from mubert_jax.recognition.published import PUBLISHED
from mubert_jax.recognition.report_tables import PROTOCOLS_DIFFER
from mubert_jax.recognition.significance import LEVEL, POWER, Difference, smallest_detectable
from mubert_jax.recognition.tables import Cell, Table, spread

# The people of the MEGC2019 composite, to whom the power of a comparison is scaled.
COMPOSITE = 68
# Clips in the table of the hardest: a choice, as many as are read as a whole.
HARDEST = 15
NONE = Cell("--")
RANKED = ("method", "UF1", "UAR", "mean precision")
RANKED += ("picked on the test subject: UF1", "first in", "CPU time")
PAIRS = ("first", "second", "UF1, first less second", "p", "p, Holm")
PAIRS += ("only first right", "only second right", "McNemar's p", "McNemar's p, Holm")
PAIRS += ("detectable here", f"with {COMPOSITE} people")


def baselines(method: Method) -> dict[str, Scores]:
    """What needs no recognizer: the commonest class, and each class alike."""
    name, scores = commonest(method.predictions)
    return {f"always “{name}”": scores, "each class alike (chance)": chance(method.predictions)}


def ranked_table(methods: Sequence[Method], failed: Sequence[Failed] = ()) -> Table:
    """A row per method, the highest UF1 first; then what needs no recognizer, and what failed."""
    rows = [
        (
            Cell(method.title, note="⚠" if method.stamps else ""),
            _mean(method.full, "uf1"),
            _mean(method.full, "uar"),
            _mean(method.full, "mean_precision"),
            Cell(_percent(method.picked["uf1"])) if "uf1" in method.picked else NONE,
            Cell(f"{100 * share:.0f}"),
            Cell(time_of(method.cost)),
        )
        for method, share in zip(methods, first_in(methods), strict=True)
    ]
    rows += [
        (
            Cell(name),
            *(Cell(_percent(x)) for x in (scores.uf1, scores.uar, scores.mean_precision)),
            *[NONE] * 3,
        )
        for name, scores in baselines(methods[0]).items()
    ]
    rows += [(Cell(one.title, note=f"failed: {one.reason}"), *[NONE] * 6) for one in failed]
    return Table(
        "Methods",
        RANKED,
        tuple(rows),
        "In percent, the mean over seeds ± their deviation where there are several; in brackets 95 "
        "% over people, who are drawn anew with all their clips. Counts are summed over all folds "
        "before any ratio is taken. First in: the share of these draws in which the method has the "
        "highest UF1. Picked on the test subject: what would have been reported had each fold kept "
        "the epoch that suits whom it is tested on; it is no result, and -- where a run has not "
        "recorded it. Mean precision is not UAR, though some have published it as such.",
        own=(0,),
    )


def drawn(table: Table, methods: Sequence[Method]) -> Table:
    """`ranked_table` with a column that shows the intervals of UF1."""
    lines = [scores.uf1 for scores in baselines(methods[0]).values()]
    start, end = axis = _axis(methods, lines)
    shown = [_range(method, axis, lines) for method in methods]
    shown += [Cell("")] * (len(table.rows) - len(shown))
    title = f"95 % over people, {100 * start:.0f} to {100 * end:.0f}"
    return replace(
        table,
        columns=(*table.columns[:2], title, *table.columns[2:]),
        rows=tuple((*row[:2], cell, *row[2:]) for row, cell in zip(table.rows, shown, strict=True)),
        note=f"{table.note} Drawn: ● UF1 with its interval, ○ as picked on the test subject; "
        "dashed lines are what needs no recognizer.",
    )


def sets_table(methods: Sequence[Method]) -> Table | None:
    """UF1 and UAR of each data set; None where there is but one."""
    names = [summary.name for summary in methods[0].summaries[1:]]
    if not names:
        return None
    rows = []
    for method in methods:
        parts = {summary.name: summary for summary in method.summaries}
        cells = (_mean(parts[name], key) for name in names for key in ("uf1", "uar"))
        rows.append((Cell(method.title), *cells))
    columns = (f"{name}: {key}" for name in names for key in ("UF1", "UAR"))
    return Table(
        "Data sets",
        ("method", *columns),
        tuple(rows),
        "Subsets of the same runs, in percent, with 95 % over their people. A class without a clip "
        "is left out of its means.",
        own=(0,),
    )


def matrix_table(methods: Sequence[Method], pairs: Sequence[Difference]) -> Table:
    """UF1 of each row's method less that of each column's."""
    largest = max(abs(pair.value) for pair in pairs) or 1.0
    cells = {}
    for pair in pairs:
        low, high = pair.interval
        for key, sign, bounds in (
            ((pair.first, pair.second), 1, (low, high)),
            ((pair.second, pair.first), -1, (-high, -low)),
        ):
            value = sign * pair.value
            star = "*" if pair.significant else ""
            shade = (0.6 if pair.significant else 0.15) * value / largest
            cells[key] = Cell(f"{100 * value:+.1f}{star}", note=_signed(bounds), shade=shade)
    order = range(len(methods))
    rows = tuple(
        (Cell(method.title), *(cells.get((i, j), Cell("")) for j in order))
        for i, method in enumerate(methods)
    )
    return Table(
        "Differences of UF1",
        ("row less column", *(method.title for method in methods)),
        rows,
        "In percent, with 95 % over people: both methods see the same people in every resampling. "
        f"* marks those whose p-value is below {LEVEL} after Holm's correction for "
        f"{len(pairs)} {'pairs' if len(pairs) > 1 else 'pair'}; the others are paler.",
    )


def pairs_table(methods: Sequence[Method], pairs: Sequence[Difference]) -> Table:
    """A row per pair: both tests, and the difference that could have been shown."""
    people = methods[0].full.subjects
    rows = []
    for pair in pairs:
        here = smallest_detectable(pair.error)
        rows.append(
            (
                Cell(methods[pair.first].title),
                Cell(methods[pair.second].title),
                Cell(f"{100 * pair.value:+.1f}", note=_signed(pair.interval)),
                Cell(_p(pair.p)),
                Cell(_p(pair.corrected)),
                Cell(str(pair.only_first)),
                Cell(str(pair.only_second)),
                Cell(_p(pair.mcnemar)),
                Cell(_p(pair.mcnemar_corrected)),
                Cell(_percent(here)),
                Cell(_percent(here * np.sqrt(people / COMPOSITE))),
            )
        )
    return Table(
        "Every pair, and what it could have shown",
        PAIRS,
        tuple(rows),
        "The first p is by the bootstrap over people. McNemar's exact test counts clips that one "
        "alone names right (under more than half of its seeds), and takes the clips of one person "
        "as independent, which they are not: where the two disagree, believe the first. "
        f"Detectable: the true difference of UF1, in percent, that {people} people show with a "
        f"chance of {100 * POWER:.0f} % at p < {LEVEL}, two-sided and uncorrected: 2.80 standard "
        f"errors over people (Bloom, 1995); with {COMPOSITE} people, as in the MEGC2019 "
        f"composite, the error is scaled by √({people}/{COMPOSITE}).",
        words=2,
    )


def hardest_table(methods: Sequence[Method]) -> Table | None:
    """A row per clip that most methods name wrong; None where there is none."""
    wrong = pd.concat([method.wrong for method in methods], axis=1).to_numpy()
    share, count = wrong.mean(axis=1), (wrong >= 0.5).sum(axis=1)
    hard = np.flatnonzero(share > 0.5)
    if not len(hard):
        return None
    taken, sure = _taken_for(methods), _confidence(methods)
    clips = methods[0].wrong.index
    sure_N = np.array([sure.get(clip, 0.0) for clip in clips])
    shown = hard[np.lexsort((-sure_N[hard], -count[hard]))][:HARDEST]
    rows = []
    for row in shown:
        dataset, subject, clip, truth = clips[row]
        named = [one.title for one, share in zip(methods, wrong[row], strict=True) if share < 0.5]
        rows.append(
            (
                Cell(str(subject_ids([dataset], [subject])[0])),
                Cell(clip),
                Cell(truth),
                Cell(taken[clips[row]]),
                Cell(", ".join(named) or "nobody"),
                Cell(f"{count[row]} of {len(methods)}", count[row] / len(methods)),
            )
        )
    return Table(
        "Hardest clips",
        ("subject", "clip", "truth", "mostly taken for", "named right by", "methods wrong"),
        tuple(rows),
        f"Of {len(wrong)} clips, {len(hard)} are wrong under most methods and seeds, "
        f"{np.sum(count == len(methods))} under every method and {np.sum(count == 0)} under none. "
        "A method is right on a clip under more than half of its seeds. Of equals, those come "
        "first that are named wrong with most confidence.",
        words=5,
    )


def figures_table(methods: Sequence[Method]) -> Table | None:
    """What is published of the methods, on whichever data set; None where nothing is."""
    rows = [
        (
            Cell(method.facts.method or method.title),
            Cell(row.method),
            Cell(benchmark.title),
            Cell(row.note),
            Cell(f"{row.uf1:.2f}"),
            Cell(f"{row.uar:.2f}"),
        )
        for method in {one.facts.published_as: one for one in methods}.values()
        for benchmark in PUBLISHED.values()
        for row in benchmark.rows
        if row.method in method.facts.published_as
    ]
    if not rows:
        return None
    return Table(
        "Published figures",
        ("method", "published as", "data set", "from", "UF1 (%)", "UAR (%)"),
        tuple(rows),
        "Of their own data sets, which need not be those above. Tables are those of the paper "
        f"(Micron-BERT, CVPR 2023). None of it was measured here: {PROTOCOLS_DIFFER}",
        words=4,
    )


def first_in(methods: Sequence[Method]) -> list[float]:
    """The share of resamplings in which each method has the highest UF1, the earlier of equals."""
    draws_MxR = np.nan_to_num(np.stack([method.draws for method in methods]))
    return [float(np.mean(draws_MxR.argmax(0) == i)) for i in range(len(methods))]


def time_of(cost: Cost | None) -> str:
    """CPU time in words."""
    if cost is None:
        return NONE.text
    for size, unit in ((3600, "h"), (60, "min")):
        if cost.cpu_seconds >= size:
            return f"{cost.cpu_seconds / size:.1f} {unit}"
    return f"{cost.cpu_seconds:.0f} s"


def _mean(summary: Summary, name: str) -> Cell:
    low, high = 100 * summary.intervals[name]
    values = spread(100 * summary.values(name), 1)
    return Cell(values, note="" if np.isnan(low) else f"[{low:.1f}, {high:.1f}]")


def _axis(methods: Sequence[Method], lines: Sequence[float]) -> tuple[float, float]:
    """Multiples of 0.1 between which all that is drawn of the methods lies."""
    drawn = [*lines, *(method.uf1 for method in methods)]
    drawn += [bound for method in methods for bound in method.full.intervals["uf1"]]
    drawn += [method.picked["uf1"] for method in methods if "uf1" in method.picked]
    tenths = 10 * np.array(drawn)
    return float(np.floor(np.nanmin(tenths)) / 10), float(np.ceil(np.nanmax(tenths)) / 10)


def _range(method: Method, axis: tuple[float, float], lines: Sequence[float]) -> Cell:
    low, high = method.full.intervals["uf1"]
    ring = method.picked.get("uf1")
    return Cell("", picture=range_figure(axis, low, method.uf1, high, lines, ring))


def _percent(value: float) -> str:
    return "–" if np.isnan(value) else f"{100 * value:.1f}"


def _signed(interval: tuple[float, float]) -> str:
    """An interval of a difference; "" for one person alone."""
    low, high = interval
    return "" if np.isnan(low) else f"[{100 * low:+.1f}, {100 * high:+.1f}]"


def _p(value: float) -> str:
    if np.isnan(value):
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _taken_for(methods: Sequence[Method]) -> Mapping[tuple, str]:
    """The wrong class that most methods and seeds name, of each clip that some name wrong."""
    tables = pd.concat([method.predictions.table for method in methods], ignore_index=True)
    wrong = tables[tables["truth"] != tables["prediction"]]
    return wrong.groupby(CLIP)["prediction"].agg(lambda names: names.mode()[0]).to_dict()


def _confidence(methods: Sequence[Method]) -> Mapping[tuple, float]:
    """The sum over methods of `HardClip.confidence`, of each clip that some name wrong."""
    found: dict[tuple, float] = {}
    for method in methods:
        for one in hardest(method.predictions, limit=method.full.clips):
            clip = one.dataset, one.subject, one.clip, one.truth
            found[clip] = found.get(clip, 0.0) + one.confidence
    return found


def tiles(methods: Sequence[Method], pairs: Sequence[Difference]) -> dict[str, str]:
    """The first things that a reader asks, and the answers."""
    best = methods[0]
    found = {f"highest UF1 (%): {best.title}": f"{100 * best.uf1:.1f}"}
    if _tested(pairs):
        people = best.full.subjects
        differ = sum(pair.significant for pair in pairs)
        found["pairs of methods that differ"] = f"{differ} of {len(pairs)}"
        shown = _percent(float(np.median(_shown(pairs))))
        found[f"difference of UF1 that {people} people show"] = f"{shown} points"
    found["clips, people"] = f"{best.full.clips}, {best.full.subjects}"
    return found


def lines(methods: Sequence[Method], pairs: Sequence[Difference]) -> Iterator[str]:
    """What a reader should take away, a sentence each."""
    if not _tested(pairs):
        return
    people, here = methods[0].full.subjects, _shown(pairs)
    found = sum(pair.significant for pair in pairs)
    yield (
        f"{found} of {len(pairs)} pairs of methods differ in UF1 (p < {LEVEL} over people, "
        "corrected for their number by Holm)."
    )
    median = float(np.median(here))
    scaled = _percent(median * np.sqrt(people / COMPOSITE))
    beside = f"; with the {COMPOSITE} people of the MEGC2019 composite, one of {scaled}"
    among = f" (the median over pairs; {_percent(here.min())} to {_percent(here.max())})"
    yield (
        f"With {people} people, a true difference of {_percent(median)} points of UF1 would be "
        f"found in {100 * POWER:.0f} % of such studies{among if len(pairs) > 1 else ''}"
        f"{beside if people != COMPOSITE else ''}."
    )


def _tested(pairs: Sequence[Difference]) -> bool:
    """Whether there is a pair, and more than one person."""
    return bool(pairs) and not np.isnan(pairs[0].error)


def _shown(pairs: Sequence[Difference]) -> np.ndarray:
    return np.array([smallest_detectable(pair.error) for pair in pairs])
