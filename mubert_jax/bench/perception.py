"""`mubert bench perception`: the synthetic benchmark, every row read alike, as tables."""

from collections.abc import Iterable, Mapping

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from mubert_jax.config import PerceptionConfig
from mubert_jax.motion_maps import MotionMap, chosen
from mubert_jax.perception.benchmark import (
    Reader,
    Row,
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
from mubert_jax.perception.scores import paired_difference
from mubert_jax.perception.trained import Trained
from mubert_jax.synthetic.nuisances import known_conditions

# Side of a patch where no model says it.
PATCH = 8
SCORES = {
    "auc_in_face": "AUC inside the face",
    "auc": "AUC over the frame",
    "null": "null test, 0 is best",
    "pointing": "strongest patch has moved",
    "correlation": "strength follows the amplitude (rank correlation)",
}
# What is compared: score -> what every map is multiplied by, and what the column is called.
COMPARED = {
    "auc_in_face": ("", "AUC, face"),
    "auc": ("POI", "AUC, frame, ×\N{NO-BREAK SPACE}POI"),
    "null": ("POI", "null test, ×\N{NO-BREAK SPACE}POI"),
    "pointing": ("POI", "strongest patch, ×\N{NO-BREAK SPACE}POI"),
}
# From this width on a cell is one line.
WIDE = 112


def bench_perception(
    trained: Trained | None,
    conditions: list[str],
    subjects: int,
    size: int,
    align: str,
    console: Console,
    methods: Iterable[str] | None = None,
) -> list[dict]:
    """Scores baselines without learning and, if given, a model's maps on test subjects.

    Every row is given as recorded and registered, alone and times POI; registration and POI are
    the same for all.

    Args:
      trained: its image size and patch are taken. None: baselines alone.
      conditions: names of `nuisances.CONDITIONS`.
      subjects: how many test subjects.
      size: of the frames, without a model.
      align: one of `alignment.ALIGNERS`.
      console: shows the tables as they come.
      methods: names of `motion_maps`, the baselines; None takes all that need no extra.

    Returns:
      One row a (condition, difficulty, method, registration, times), each score with its `low` and
      `high`; and one a (condition, baseline): DMA's scores less its, both registered.

    Raises:
      UserError: unknown condition or method, too few subjects.
    """
    conditions = known_conditions(conditions)
    subjects = enough_subjects(subjects)
    baselines = chosen(methods)
    patch, read, perceiver = PATCH, baseline_reader(PATCH, baselines), None
    if trained is not None:
        size, patch = trained.config.model.image_size, trained.config.model.patch_size
        perceiver = Perceiver(trained.model, trained.params, batch=1)
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
            console.print(_table(condition, name, overall, align, listed, perceiver, console.width))
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
    """Baselines and DMA, alone, × POI and × the true face; what DMA's parts do; the paper's.

    POI is that of `perceiver`, focused, for all but the rows × S·N, where it is as the attention
    has it. "DMA" × POI is read as `focus.evidence`; "DMA, plain product" × POI is not.
    """
    patch = trained.config.model.patch_size
    as_paper = PerceptionConfig(map="diagonal", poi="attention")
    literal = Perceiver(trained.model, trained.params, as_paper, batch=1)

    def read(pair, align):
        seen = learned_maps(perceiver, pair, align)
        paper = learned_maps(literal, pair, align)
        poi, dma = seen.poi[0], seen.dma[0]
        found = baseline_maps(pair, align, patch, baselines)
        learned = {"DMA": dma, "1 - diag(Â)": paper.dma[0]}
        return (
            times(found | learned, "", 1.0)
            | times(found | learned, "true face", pair.truth.face)
            | times(found | {"DMA, plain product": dma}, "POI", poi)
            | times(learned, "S·N", paper.poi[0])
            | {("DMA", "POI"): seen.dma_poi[0]}
        )

    return read


def differences(overall, align: str, listed: Iterable[str]) -> dict:
    """Baseline -> score -> DMA's less its own, both registered, paired over people."""

    def less(method, name):
        times, _ = COMPARED[name]
        ours, theirs = (overall[Row(who, align, times)] for who in ("DMA", method))
        return paired_difference(ours[name], theirs[name])

    return {method: {name: less(method, name) for name in COMPARED} for method in listed}


def _named(row: Row) -> dict:
    return {"method": row.method, "registration": row.align, "times": row.times}


def _cells(estimates) -> dict:
    cells = {}
    for name, estimate in estimates.items():
        cells |= {name: estimate.value, f"{name} low": estimate.low, f"{name} high": estimate.high}
    return cells


def _table(condition, name, overall, align, listed, perceiver, width) -> Table:
    """One score: a line per method, a column per way of reading it."""
    table = _empty(f"{condition}: {SCORES[name]}", "mean [95 % interval over people]")
    times_poi = ["POI"] if perceiver is not None else []
    for what in ("", *times_poi):
        for how in ("as recorded", "registered"):
            heading = f"{how}, ×\N{NO-BREAK SPACE}{what}" if what else how
            table.add_column(heading, justify="right", min_width=12)
    lines = [(method, ("", *times_poi), method) for method in listed]
    told = [(f"{method} × true face", ("true face",), method) for method in listed]
    lines += [line for line in told if line[2] in ("difference", "Eulerian magnification")]
    if perceiver is not None:
        lines += [
            ("DMA", ("", "POI"), "DMA"),
            ("m × POI, plain product", (None, "POI"), "DMA, plain product"),
            ("DMA × S·N, unfocused", (None, "S·N"), "DMA"),
            ("1 - diag(Â), × S·N", ("", "S·N"), "1 - diag(Â)"),
        ]
    for label, whats, method in lines:
        read = [Row(method, how, what) for what in whats for how in ("none", align)]
        cells = [_cell(overall[row][name], width) if row.times is not None else "" for row in read]
        table.add_row(label, *cells, style="bold" if label == "DMA" else None)
    return table


def _less_table(condition, less, width) -> Table:
    title = f"{condition}: DMA less each baseline, both registered"
    table = _empty(title, "paired over people; below 0 is better for DMA in the null test alone")
    for _, heading in COMPARED.values():
        table.add_column(heading, justify="right", min_width=14)
    for method, estimates in less.items():
        table.add_row(method, *(_cell(estimates[name], width, "+") for name in COMPARED))
    return table


def _empty(title, caption) -> Table:
    table = Table(title=title, caption=caption, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("method")
    return table


def _cell(estimate, width, sign="") -> str:
    if np.isnan(estimate.value):
        return "–"
    between = " " if width >= WIDE else "\n"
    shown = (round(x, 2) + 0.0 for x in (estimate.value, *estimate.interval))
    value, low, high = (f"{x:{sign}.2f}" for x in shown)
    return f"{value}{between}[{low}, {high}]"
