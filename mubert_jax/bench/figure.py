"""`mubert bench perception --picture`: what moved, and what each method sees of it.

After Figure 7 of the paper: onset, apex, motion maps, DMA, POI and DMA × POI, and the true
movement, which is not known of a real recording.
"""

import itertools
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from mubert_jax.motion_maps import MotionMap, load
from mubert_jax.perception import render
from mubert_jax.perception.benchmark import as_registered, benchmark_pairs
from mubert_jax.perception.maps import Perceiver
from mubert_jax.perception.registering import ByInterest
from mubert_jax.perception.trained import Trained

# Range of the movements that are shown, in pixels of a 224-pixel frame: hard to see on a screen.
AMPLITUDES = (0.7, 1.6)
DRAWN = ("farneback", "eulerian")
# The people among whom one with such a movement is sought, as many as the benchmark's default.
SUBJECTS = 24
# The percentile of a map's values at full colour, where it has no scale of its own: a few outliers
# do not darken the rest.
FULL_COLOUR = 99
# Letters per line of a column's title: as wide as the column.
TITLE = 22


def picture(
    trained: Trained,
    conditions: Sequence[str],
    align: str,
    path: Path,
    methods: Iterable[str] | None = None,
) -> None:
    """Draws a row per condition, each of another person, and one of the last without movement.

    The motion maps `methods` (`DRAWN` if None) and the learned maps all see the frames after the
    same registration `align`.
    """
    model = trained.config.model
    shown = []
    for number, condition in enumerate(conditions):
        drawn = benchmark_pairs(condition, SUBJECTS, model.image_size, model.patch_size)
        fitting = ((a, b) for a, b in drawn if AMPLITUDES[0] <= a.amplitude <= AMPLITUDES[1])
        shown.append(next(itertools.islice(fitting, number, None)))
    _, still = shown[-1]
    pairs = [*(moving for moving, _ in shown), still]
    titles = [
        f"{condition}: {moving.amplitude:.1f} px"
        for condition, (moving, _) in zip(conditions, shown, strict=True)
    ]
    titles.append(f"{conditions[-1]}: nothing moves")

    onset = [pair.onset for pair in pairs]
    apex = [pair.apex for pair in pairs]
    by_interest = ByInterest(trained.model, trained.params)
    aligned = [pair.registered(align, by_interest) for pair in pairs]
    reading = as_registered(trained.config.perception)
    maps = Perceiver(trained.model, trained.params, reading)(np.stack(onset), np.stack(aligned))
    truth = [pair.truth.displacement * 224 / model.image_size for pair in pairs]
    columns = [
        render.Column("onset", onset),
        render.Column("apex", apex),
        render.Column("what moved", truth, 1.0, "pixels at 224"),
        *(_column(load(name), onset, aligned) for name in methods or DRAWN),
        *render.learned(maps, trained.scale or float(np.percentile(maps.dma, FULL_COLOUR)), "m"),
    ]
    render.panel(columns, apex, titles, path)


def _column(method: MotionMap, onsets: list[np.ndarray], apexes: list[np.ndarray]) -> render.Column:
    seen = [method.strength(*pair) for pair in zip(onsets, apexes, strict=True)]
    limit = method.limit or float(np.percentile(seen, FULL_COLOUR))
    return render.Column(textwrap.fill(method.title, TITLE), seen, limit, method.unit)
