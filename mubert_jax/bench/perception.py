"""`mubert bench perception`: the tables of the synthetic benchmark, whose rows are read alike."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from mubert_jax.config import PerceptionConfig
from mubert_jax.errors import UserError
from mubert_jax.motion_maps import MotionMap, chosen
from mubert_jax.perception.benchmark import (
    BenchmarkPair,
    Reader,
    Row,
    as_registered,
    baseline_maps,
    baseline_reader,
    baseline_rows,
    benchmark_pairs,
    enough_subjects,
    evaluate,
    learned_maps,
    mass_on_face,
    times,
)
from mubert_jax.perception.maps import Perceiver
from mubert_jax.perception.registering import ByInterest
from mubert_jax.perception.scores import Estimate, paired_difference
from mubert_jax.perception.trained import Trained
from mubert_jax.synthetic.conditions import known_conditions

# The paper's side of a patch, in pixels, for a benchmark without a model.
PATCH = 8
SCORES = {
    "auc_in_face": "AUC inside the face",
    "auc": "AUC over the frame",
    "null": "null test, 0 is best",
    "pointing": "strongest patch has moved",
    "correlation": "strength follows the amplitude (rank correlation)",
}
# By score that is compared: what every map is multiplied by, and the title of the column.
COMPARED = {
    "auc_in_face": ("", "AUC, face"),
    "auc": ("POI", "AUC, frame, ×\N{NO-BREAK SPACE}POI"),
    "null": ("POI", "null test, ×\N{NO-BREAK SPACE}POI"),
    "pointing": ("POI", "strongest patch, ×\N{NO-BREAK SPACE}POI"),
}
# Terminal width, in columns, from which on a cell takes one line instead of two: about what the
# tables then need.
WIDE = 112
# Letters of an interval, "[0.12, 0.34]", and of one with signs.
INTERVAL, SIGNED_INTERVAL = 12, 14


def bench_perception(
    trained: Trained | None,
    conditions: Sequence[str],
    subjects: int,
    size: int,
    align: str,
    console: Console,
    methods: Iterable[str] | None = None,
) -> list[dict[str, Any]]:
    """Scores baselines without learning and, if given, a model's maps on test subjects.

    Every map is scored as recorded and registered, alone and times POI; registration and POI are
    the same for all.

    Args:
      trained: the model, which sets the size of the frames and patches; None for baselines alone.
      conditions: names of `conditions.CONDITIONS`.
      subjects: the number of test subjects.
      size: the side of the frames without a model, in pixels.
      align: one of `alignment.ALIGNERS`, or "poi": by the model's POI, the baselines' frames, too.
      console: where the tables are shown, each as it is ready.
      methods: names of `motion_maps`, the baselines; None takes all that need no extra.

    Returns:
      One row per (condition, difficulty, method, registration, times), each score with its `low`
      and `high`; and one per (condition, baseline) of DMA's scores less the baseline's, both
      registered.

    Raises:
      UserError: unknown condition or method, too few subjects, "poi" without a model.
    """
    conditions = known_conditions(conditions)
    subjects = enough_subjects(subjects)
    baselines = chosen(methods)
    if align == "poi" and trained is None:
        raise UserError("--align=poi registers by a checkpoint's POI; add --checkpoint=FROM")
    patch, read, perceiver = PATCH, baseline_reader(PATCH, baselines), None
    if trained is not None:
        size, patch = trained.config.model.image_size, trained.config.model.patch_size
        reading = as_registered(PerceptionConfig())
        perceiver = Perceiver(trained.model, trained.params, reading, batch=1)
        read = everything(trained, perceiver, baselines)
    rows, listed = [], baseline_rows(baselines)
    for condition in conditions:
        pairs = list(benchmark_pairs(condition, subjects, size, patch))
        found = evaluate(read, pairs, ("none", align))
        for row, difficulties in found.items():
            rows += [
                {"condition": condition, "difficulty": difficulty} | _named(row) | _cells(estimates)
                for difficulty, estimates in difficulties.items()
            ]
        overall = {row: difficulties["all"] for row, difficulties in found.items()}
        for name in SCORES:
            learned = perceiver is not None
            console.print(_table(condition, name, overall, align, listed, learned, console.width))
        if perceiver is not None:
            less = differences(overall, align, listed)
            console.print(_less_table(condition, less, console.width))
            rows += [
                {"condition": condition, "less": method} | _cells(estimates)
                for method, estimates in less.items()
            ]
            share = mass_on_face(perceiver, pairs)
            console.print(f"POI on the face: {share:.2f} of its mass\n", highlight=False)
            rows.append({"condition": condition, "POI on the face": share})
    return rows


def everything(
    trained: Trained, perceiver: Perceiver, baselines: Mapping[str, MotionMap]
) -> Reader:
    """Reads baselines and DMA, alone, × POI and × the true face, DMA's parts, and the paper's maps.

    POI is that of `perceiver`, focused; the rows × S·N take it straight from the attention. "DMA" ×
    POI is read by `focus.evidence`; "DMA, plain product" × POI is their product. DMA by motion
    tokens has no diag(Â), and so no row of 1 - diag(Â).
    """
    patch = trained.config.model.patch_size
    has_diagonal = trained.config.model.dma.has_diagonal
    map = "diagonal" if has_diagonal else "calibrated"
    as_paper = PerceptionConfig(map=map, align="none", poi="attention")
    by_interest = ByInterest(trained.model, trained.params)
    literal = Perceiver(trained.model, trained.params, as_paper, batch=1)

    def read(pair: BenchmarkPair, align: str) -> dict[tuple[str, str], np.ndarray]:
        seen = learned_maps(perceiver, pair, align, by_interest)
        paper = learned_maps(literal, pair, align, by_interest)
        poi, dma = seen.poi[0], seen.dma[0]
        found = baseline_maps(pair, align, patch, baselines, by_interest)
        learned = {"DMA": dma, "1 - diag(Â)": paper.dma[0]} if has_diagonal else {"DMA": dma}
        return (
            times(found | learned, "", 1.0)
            | times(found | learned, "true face", pair.truth.face)
            | times(found | {"DMA, plain product": dma}, "POI", poi)
            | times(learned, "S·N", paper.poi[0])
            | {("DMA", "POI"): seen.dma_poi[0]}
        )

    return read


def differences(
    overall: Mapping[Row, Mapping[str, Estimate]], align: str, listed: Iterable[str]
) -> dict[str, dict[str, Estimate]]:
    """DMA's scores less a baseline's, by baseline and score; both registered, paired by person."""

    def less(method: str, name: str) -> Estimate:
        what, _ = COMPARED[name]
        ours, theirs = (overall[Row(who, align, what)] for who in ("DMA", method))
        return paired_difference(ours[name], theirs[name])

    return {method: {name: less(method, name) for name in COMPARED} for method in listed}


def _named(row: Row) -> dict[str, Any]:
    return {"method": row.method, "registration": row.align, "times": row.times}


def _cells(estimates: Mapping[str, Estimate]) -> dict[str, float]:
    cells = {}
    for name, estimate in estimates.items():
        cells |= {name: estimate.value, f"{name} low": estimate.low, f"{name} high": estimate.high}
    return cells


def _table(
    condition: str,
    name: str,
    overall: Mapping[Row, Mapping[str, Estimate]],
    align: str,
    listed: Sequence[str],
    learned: bool,
    width: int,
) -> Table:
    """The table of one score: a line per method, a column per way of reading it."""
    table = _empty(f"{condition}: {SCORES[name]}", "mean [95 % interval over people]")
    times_poi = ["POI"] if learned else []
    for what in ("", *times_poi):
        for how in ("as recorded", "registered"):
            heading = f"{how}, ×\N{NO-BREAK SPACE}{what}" if what else how
            table.add_column(heading, justify="right", min_width=INTERVAL)
    lines = [(method, ("", *times_poi), method) for method in listed]
    told = [(f"{method} × true face", ("true face",), method) for method in listed]
    lines += [line for line in told if line[2] in ("difference", "Eulerian magnification")]
    if learned:
        lines += [
            ("DMA", ("", "POI"), "DMA"),
            ("m × POI, plain product", (None, "POI"), "DMA, plain product"),
            ("DMA × S·N, unfocused", (None, "S·N"), "DMA"),
            ("1 - diag(Â), × S·N", ("", "S·N"), "1 - diag(Â)"),
        ]
        lines = [line for line in lines if Row(line[2], align, line[1][-1]) in overall]
    for label, whats, method in lines:
        cells = [
            "" if what is None else _cell(overall[Row(method, how, what)][name], width)
            for what, how in itertools.product(whats, ("none", align))
        ]
        table.add_row(label, *cells, style="bold" if label == "DMA" else None)
    return table


def _less_table(condition: str, less: Mapping[str, Mapping[str, Estimate]], width: int) -> Table:
    title = f"{condition}: DMA less each baseline, both registered"
    table = _empty(title, "paired over people; below 0 is better for DMA in the null test alone")
    for _, heading in COMPARED.values():
        table.add_column(heading, justify="right", min_width=SIGNED_INTERVAL)
    for method, estimates in less.items():
        table.add_row(method, *(_cell(estimates[name], width, "+") for name in COMPARED))
    return table


def _empty(title: str, caption: str) -> Table:
    table = Table(title=title, caption=caption, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("method")
    return table


def _cell(estimate: Estimate, width: int, sign: str = "") -> str:
    if np.isnan(estimate.value):
        return "–"
    between = " " if width >= WIDE else "\n"
    shown = (round(x, 2) + 0.0 for x in (estimate.value, *estimate.interval))
    value, low, high = (f"{x:{sign}.2f}" for x in shown)
    return f"{value}{between}[{low}, {high}]"
