"""`mubert bench registration`: pairs registered one by one on the CPU and in batches by JAX."""

import itertools
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from rich.console import Console

from mubert_jax.config import PerceptionConfig
from mubert_jax.data.alignment import align_robust
from mubert_jax.perception.benchmark import benchmark_pairs
from mubert_jax.perception.maps import Perceiver
from mubert_jax.perception.registering import ByInterest, by_ellipse
from mubert_jax.perception.trained import Trained

# The condition with everything that a registration has to cope with.
CONDITION = "all"
# Registrations with which `perceive` is timed.
ALIGN = ("none", "robust", "poi")
REFERENCE = "one by one, robust"


def bench_registration(
    trained: Trained, batch_size: int, turns: int, console: Console
) -> list[dict[str, Any]]:
    """Times a model's registrations, by themselves and as a part of looking, in turns.

    Args:
      trained: the model, which sets the size of the frames.
      batch_size: pairs in a batch, drawn with `CONDITION`; each turn registers them once.
      turns: how many are timed, after one that compiles.
      console: where the progress is shown.

    Returns:
      A row per way: pairs per second of the median turn, of the slowest, and as many times those of
      `alignment.align_robust`, the median of the turns' ratios.
    """
    model = trained.config.model
    drawn = benchmark_pairs(CONDITION, batch_size, model.image_size, model.patch_size)
    pairs = [moving for moving, _ in itertools.islice(drawn, batch_size)]
    onset, apex = (np.stack([getattr(p, name) for p in pairs]) for name in ("onset", "apex"))
    ways = _ways(trained, onset, apex)
    for way in ways.values():
        way()
    seconds = {name: [] for name in ways}
    for turn in range(turns):
        console.print(f"turn {turn + 1} of {turns}", highlight=False)
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - start)
    reference = np.array(seconds[REFERENCE])
    return [
        {
            "way": name,
            "image": model.image_size,
            "batch": batch_size,
            "pairs/s": batch_size / float(np.median(times)),
            "pairs/s, slowest turn": batch_size / max(times),
            f"ratio to {REFERENCE}": float(np.median(reference / times)),
        }
        for name, times in seconds.items()
    ]


def _ways(trained: Trained, onset: np.ndarray, apex: np.ndarray) -> dict[str, Callable[[], object]]:
    """Name -> a function that registers all pairs, or looks at them, and waits for the end."""
    together = jax.jit(by_ellipse)
    by_interest = ByInterest(trained.model, trained.params)
    ways: dict[str, Callable[[], object]] = {
        REFERENCE: lambda: [align_robust(b, a) for a, b in zip(onset, apex, strict=True)],
        "in a batch, robust": lambda: jax.block_until_ready(together(onset, apex)),
        "in a batch, poi with its encoder": lambda: by_interest(onset, apex),
    }
    for align in ALIGN:
        reading = PerceptionConfig(align=align)
        perceiver = Perceiver(trained.model, trained.params, reading, batch=len(onset))
        ways[f"perceive, {align}"] = lambda perceiver=perceiver: perceiver(onset, apex)
    return ways
