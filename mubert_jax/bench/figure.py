"""`mubert bench perception --picture`: what moved, and what each method sees of it.

After Figure 7 of the paper: onset, apex, motion maps, DMA, POI, DMA × POI; and the
truth, which no real recording has.
"""

import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from mubert_jax.motion_maps import MotionMap, load, registered
from mubert_jax.perception import render
from mubert_jax.perception.benchmark import BenchmarkPair, benchmark_pairs
from mubert_jax.perception.maps import Perceiver
from mubert_jax.perception.trained import Trained

# Movements that are shown, in pixels of a 224-pixel frame: hard to see on a screen.
AMPLITUDES = (0.7, 1.6)
DRAWN = ("farneback", "eulerian")


def picture(
    trained: Trained,
    conditions: Sequence[str],
    align: str,
    path: Path,
    methods: Iterable[str] | None = None,
):
    """A row a condition, each another person, and one where nothing moves under the last of them.

    The motion maps `methods` (`DRAWN` if None) and the learned maps all see the frames after the
    same registration `align`.
    """
    model = trained.config.model
    pairs, titles = [], []
    for number, condition in enumerate(conditions):
        drawn = benchmark_pairs(condition, 24, model.image_size, model.patch_size)
        fitting = ((a, b) for a, b in drawn if AMPLITUDES[0] <= a.amplitude <= AMPLITUDES[1])
        for _ in range(number + 1):
            moving, still = next(fitting)
        pairs.append(moving)
        titles.append(f"{condition}: {moving.amplitude:.1f} px")
    pairs.append(still)
    titles.append(f"{conditions[-1]}: nothing moves")

    onset = np.stack([pair.onset for pair in pairs])
    apex = np.stack([pair.apex for pair in pairs])
    aligned = np.stack([pair.registered(align) for pair in pairs])
    maps = Perceiver(trained.model, trained.params, trained.config.perception)(onset, aligned)
    truth = [pair.truth.displacement * 224 / model.image_size for pair in pairs]
    columns = [
        render.Column("onset", onset),
        render.Column("apex", apex),
        render.Column("what moved", truth, 1.0, "pixels at 224"),
        *(_column(load(name), align, pairs) for name in methods or DRAWN),
        *render.learned(maps, trained.scale or float(np.percentile(maps.dma, 99)), "m"),
    ]
    render.panel(columns, apex, titles, path)


def _column(method: MotionMap, align: str, pairs: list[BenchmarkPair]) -> render.Column:
    look = registered(method, align).strength
    seen = [look(pair.onset, pair.apex) for pair in pairs]
    limit = method.limit or float(np.percentile(seen, 99))
    return render.Column(textwrap.fill(method.title, 22), seen, limit, method.unit)
