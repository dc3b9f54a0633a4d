"""`mubert bench perception --picture`: what moved, and what each method sees of it.

After Figure 7 of the paper: onset, apex, flow, magnified difference, DMA, POI, DMA × POI; and the
truth, which no real recording has.
"""

from pathlib import Path

import numpy as np

from mubert_jax.perception import render
from mubert_jax.perception.benchmark import benchmark_pairs
from mubert_jax.perception.maps import Perceiver
from mubert_jax.perception.rivals import Frames, eulerian, farneback_flow
from mubert_jax.perception.trained import Trained

# Movements that are shown, in pixels of a 224-pixel frame: hard to see on a screen.
AMPLITUDES = (0.7, 1.6)
FLOW_LIMIT = 1.0
MAGNIFIED = 10.0


def picture(trained: Trained, conditions: tuple[str, ...], align: str, path: Path):
    """A row a condition, each another person, and one where nothing moves under the last of them.

    Flow, difference and maps all see the frames after the same registration `align`.
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
    registered = np.stack([pair.registered(align) for pair in pairs])
    maps = Perceiver(trained.model, trained.params, trained.config.perception)(onset, registered)
    truth = [pair.truth.displacement * 224 / model.image_size for pair in pairs]
    frames = [Frames(a, b, None) for a, b in zip(onset, registered, strict=True)]
    flow = [farneback_flow(both) for both in frames]
    magnified = [eulerian(both, MAGNIFIED) for both in frames]
    columns = [
        render.Column("onset", onset),
        render.Column("apex", apex),
        render.Column("what moved", truth, 1.0, "pixels at 224"),
        render.Column("optical flow", flow, FLOW_LIMIT, "pixels"),
        render.Column("magnified difference", magnified, 100.0, "grey levels × 10"),
        *render.learned(maps, trained.scale or float(np.percentile(maps.dma, 99)), "m"),
    ]
    render.panel(columns, apex, titles, path)
