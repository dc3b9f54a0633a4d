"""`mubert bench flow`: how far optical flow is from known movements, in pixels."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from mubert_jax import motion_maps
from mubert_jax.config import PerceptionConfig
from mubert_jax.errors import UserError
from mubert_jax.motion_maps import MotionMap
from mubert_jax.perception.benchmark import (
    DIFFICULTIES,
    FEWEST,
    BenchmarkPair,
    as_registered,
    benchmark_pairs,
    enough_subjects,
    learned_maps,
)
from mubert_jax.perception.maps import Perceiver
from mubert_jax.perception.scores import Estimate, moved_patches, resampled
from mubert_jax.perception.trained import Trained
from mubert_jax.synthetic.clip import patch_means
from mubert_jax.synthetic.conditions import known_conditions

# What says that nothing moves: its error is the length of the movement.
NOTHING = "no movement"


@dataclass(frozen=True)
class Errors:
    """End-point errors of one flow of one pair, in pixels of a 224-pixel frame.

    Attributes:
      moved: the mean over patches of the face that moved; NaN if there are none.
      still: the mean over those that are still.
    """

    moved: float
    still: float


def bench_flow(
    trained: Trained,
    conditions: Sequence[str],
    subjects: int,
    align: str,
    console: Console,
    methods: Iterable[str] | None = None,
) -> list[dict[str, Any]]:
    """Compares flows and DMA's displacement with the movements of test subjects, patch by patch.

    All see the same frames, registered; a flow counts as it is and less its median over the true
    face, which removes what registration leaves of the head.

    Args:
      trained: the model, which sets the size of the frames and of the patches.
      methods: names of `motion_maps` that give flow; None takes all that need no extra.

    Returns:
      One row per (condition, difficulty, method): the end-point error over patches that moved and
      over still ones, each with its `low` and `high`.

    Raises:
      UserError: unknown condition or method, a method that gives no flow, too few subjects.
    """
    conditions, subjects = known_conditions(conditions), enough_subjects(subjects)
    flows = _flows(methods)
    model = trained.config.model
    reading = as_registered(PerceptionConfig())
    perceiver = Perceiver(trained.model, trained.params, reading, batch=1)
    rows = []
    for condition in conditions:
        drawn = benchmark_pairs(condition, subjects, model.image_size, model.patch_size)
        pairs = [moving for moving, _ in drawn]
        errors: dict[str, list[Errors]] = {}
        for pair in pairs:
            for name, flow in _seen(pair, align, flows, perceiver, model.patch_size).items():
                errors.setdefault(name, []).append(end_point_errors(flow, pair, model.image_size))
        rows += _summaries(condition, pairs, errors)
        console.print(_table(condition, [row for row in rows if row["condition"] == condition]))
    return rows


def _flows(methods: Iterable[str] | None) -> dict[str, MotionMap]:
    chosen = motion_maps.chosen(methods)
    if methods is None:
        return {name: method for name, method in chosen.items() if method.gives == "flow"}
    for name, method in chosen.items():
        if method.gives != "flow":
            raise UserError(f"--methods {name}: it gives no flow, but a map; see bench perception")
    return chosen


def _seen(
    pair: BenchmarkPair,
    align: str,
    flows: Mapping[str, MotionMap],
    perceiver: Perceiver,
    patch_size: int,
) -> dict[str, np.ndarray]:
    """Name -> flow (g, g, 2) in pixels of the frame, a patch the mean of its pixels."""
    apex, face = pair.registered(align), pair.truth.face > 0.5
    seen = {NOTHING: np.zeros_like(pair.truth.flow)}
    for method in flows.values():
        x_HxW, y_HxW = np.moveaxis(method(pair.onset, apex), -1, 0)
        flow = np.stack([patch_means(x, patch_size) for x in (x_HxW, y_HxW)], axis=-1)
        seen[method.title] = flow
        seen[f"{method.title} - face's median"] = flow - np.median(flow[face], axis=0)
    displacement = learned_maps(perceiver, pair, align).displacement[0]
    if displacement.any():
        seen["DMA's displacement"] = displacement
    return seen


def end_point_errors(flow_gxgx2: np.ndarray, pair: BenchmarkPair, side: int) -> Errors:
    """How far a flow, in pixels of a frame with this side, is from the true one inside the face."""
    error = np.linalg.norm(flow_gxgx2 - pair.truth.flow, axis=-1) * 224 / side
    moved, still = (marks & (pair.truth.face > 0.5) for marks in moved_patches(pair.truth))
    return Errors(
        *(float(error[marks].mean()) if marks.any() else np.nan for marks in (moved, still))
    )


def _summaries(
    condition: str, pairs: Sequence[BenchmarkPair], errors: Mapping[str, Sequence[Errors]]
) -> list[dict[str, Any]]:
    amplitudes = np.array([pair.amplitude for pair in pairs])
    subjects = np.array([pair.subject for pair in pairs])
    # In a few pairs, nothing that moved shows; that is so for all methods.
    shows = np.isfinite([error.moved for error in errors[NOTHING]])
    rows = []
    for difficulty, (low, high) in DIFFICULTIES.items():
        chosen = shows & (amplitudes >= low) & (amplitudes < high)
        if len(np.unique(subjects[chosen])) < FEWEST:
            continue
        for method, found in errors.items():
            row = {"condition": condition, "difficulty": difficulty, "method": method}
            for name in ("moved", "still"):
                values = np.array([getattr(one, name) for one in found])[chosen]
                estimate = _mean(values, subjects[chosen])
                row |= {
                    name: estimate.value,
                    f"{name} low": estimate.low,
                    f"{name} high": estimate.high,
                }
            rows.append(row)
    if not rows:
        raise UserError(f"{condition}: nothing that moved shows in {FEWEST} people; add --subjects")
    return rows


def _mean(values: np.ndarray, subjects: np.ndarray) -> Estimate:
    return resampled(lambda rows: float(np.nanmean(values[rows])), subjects)


def _table(condition: str, rows: Sequence[Mapping[str, Any]]) -> Table:
    """A line per method, a column per difficulty; then what it sees where nothing moves."""
    table = Table(
        title=f"{condition}: end-point error, pixels (at 224)",
        caption="patches of the face that moved, then those that are still; [95 % over people]",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    table.add_column("method")
    difficulties = list(dict.fromkeys(row["difficulty"] for row in rows))
    for name in difficulties:
        table.add_column(name, justify="right", min_width=12)
    table.add_column("still", justify="right", min_width=5)
    cells: dict[str, list[str]] = {}
    for row in rows:
        cells.setdefault(row["method"], []).append(_cell(row))
    for row in rows:
        if row["difficulty"] == difficulties[0]:
            cells[row["method"]].append(f"{row['still']:.2f}")
    for method, shown in cells.items():
        table.add_row(method, *shown)
    return table


def _cell(row: Mapping[str, Any]) -> str:
    return f"{row['moved']:.2f}\n[{row['moved low']:.2f}, {row['moved high']:.2f}]"
