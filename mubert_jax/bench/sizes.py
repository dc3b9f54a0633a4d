"""`mubert bench sizes`: the growth of a step's time and memory with image, width and depth."""

import dataclasses
from collections.abc import Sequence
from typing import Annotated, Any

import jax
import numpy as np
from rich.console import Console

from mubert_jax.bench.timed import PEAK_REPEATS, TimedStep, resized
from mubert_jax.config import Config
from mubert_jax.config_parts import StepPart
from mubert_jax.objectives import make_objective
from mubert_jax.training import flops

# The sizes that are halved and doubled, one at a time.
GROWTH = ("image_size", "dim", "depth")


def bench_sizes(
    config: Annotated[Config, StepPart], batch_sizes: Sequence[int], steps: int, console: Console
) -> list[dict[str, Any]]:
    """Times a step at the config's size, and with one of image, width, depth halved and doubled.

    All on one device at the first of `batch_sizes`; the config's own size at the others, too.

    Returns one dict per size. Shares are of the matmul peak, measured at each size; planned memory
    is XLA's plan of one step.
    """
    asked = [(config.model, size) for size in batch_sizes]
    for field in GROWTH:
        for factor in (0.5, 2):
            value = round(getattr(config.model, field) * factor)
            model = dataclasses.replace(config.model, **{field: value})
            asked.append((model, batch_sizes[0]))
    rows = []
    for model, batch_size in asked:
        changed = dataclasses.replace(config, model=model)
        rows.append(_measure(resized(changed, batch_size, mesh=(1, 1, 1)), steps))
        console.print(f"{len(rows)} of {len(asked)} sizes measured", highlight=False)
    return rows


def _measure(config: Config, steps: int) -> dict[str, Any]:
    model, batch_size = config.model, config.training.batch_size
    step = TimedStep(config)
    pairs_per_second = batch_size / float(np.median(step.seconds(steps)))
    counted = make_objective(config).flops_per_pair()
    peak = flops.matmul_peak(step.dtype, repeats=PEAK_REPEATS)
    return {
        "image": model.image_size,
        "patches": model.num_patches,
        "width": model.dim,
        "depth": model.depth,
        "batch": batch_size,
        "M parameters": sum(x.size for x in jax.tree.leaves(step.abstract_state.params)) / 1e6,
        "GFLOP per pair": counted / 1e9,
        "pairs/s": pairs_per_second,
        "of the peak": pairs_per_second * counted / peak,
        "planned GB": step.planned_bytes() / 1e9,
    }
