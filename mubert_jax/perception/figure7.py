"""`mubert figure7`: Figure 7 of the paper, onset and apex beside what each method sees of them."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.colors import hsv_to_rgb

from mubert_jax import motion_maps
from mubert_jax.data.pairs import LabelledPairs
from mubert_jax.errors import UserError
from mubert_jax.motion_maps import MotionMap
from mubert_jax.perception import render
from mubert_jax.perception.maps import Maps

# What the paper shows, and what takes its place, without learning, where its weights are not at
# hand.
SHOWN = {"raft": "farneback", "magnet": "eulerian"}
# The percentile of a map's values at full colour, where it has no scale of its own: a few outliers
# do not darken the rest.
FULL_COLOUR = 99


@dataclass(frozen=True, eq=False)
class Shown:
    """Frames of P rows, (P, S, S, 3) uint8, and a title of each."""

    onset: np.ndarray
    apex: np.ndarray
    titles: tuple[str, ...]


def of_set(directory: Path, image_size: int, rows: int) -> Shown:
    """Labelled pairs, a clip of another person per row while there are any.

    Raises:
      UserError: as `LabelledPairs`.
    """
    pairs = LabelledPairs(directory, image_size)
    by_person: dict[str, list[int]] = {}
    for number, subject in enumerate(pairs.subject):
        by_person.setdefault(subject, []).append(number)
    turns = itertools.zip_longest(*by_person.values())
    chosen = [number for turn in turns for number in turn if number is not None][:rows]
    titles = tuple(f"{pairs.subject[i]}\n{pairs.classes[pairs.label[i]]}" for i in chosen)
    return Shown(pairs.onset[chosen], pairs.apex[chosen], titles)


def methods(names: Sequence[str] | None) -> tuple[dict[str, MotionMap], list[str]]:
    """The motion maps of the figure, and what a reader has to be told about them.

    Args:
      names: those that were asked for; None takes those of `SHOWN`.

    Raises:
      UserError: as `motion_maps.load`.
    """
    if names is not None:
        return motion_maps.chosen(names), []
    taken, notes = [], []
    for name, in_its_place in SHOWN.items():
        try:
            motion_maps.load(name)
            taken.append(name)
        except UserError as error:
            taken.append(in_its_place)
            notes.append(f"{motion_maps.load(in_its_place).title} in its place: {error}")
    return motion_maps.chosen(taken), notes


def draw(
    maps: Maps,
    titles: Sequence[str],
    seen_by: dict[str, MotionMap],
    scale: float | None,
    output: Path,
) -> None:
    """Writes the picture: a row per pair; every method sees the frames of `maps`, registered.

    Args:
      scale: the movement at full colour of DMA; None takes the strongest hundredth of these pairs.
    """
    limit = scale or float(np.percentile(maps.dma, FULL_COLOUR)) or 1.0
    label = "m" if scale else "m, own scale"
    columns = [
        *render.frames(maps),
        *(_column(method, maps) for method in seen_by.values()),
        *render.learned(maps, limit, label),
    ]
    render.panel(columns, maps.apex, titles, output)


def _column(method: MotionMap, maps: Maps) -> render.Column:
    """A flow by its colours, another map as heat over the apex."""
    seen = [method(*pair) for pair in zip(maps.onset, maps.apex, strict=True)]
    strengths = [motion_maps.length(one) for one in seen]
    limit = method.limit or float(np.percentile(strengths, FULL_COLOUR)) or 1.0
    if method.gives == "flow":
        title = f"{method.title}\nhue: way, full at {limit:g} px"
        return render.Column(title, [flow_colours(one, limit) for one in seen])
    return render.Column(method.title, strengths, limit, method.unit)


def flow_colours(flow: np.ndarray, limit: float) -> np.ndarray:
    """A flow (H, W, 2) as colours (H, W, 3) in [0, 1], after Baker et al. (2011).

    White is no movement, red is to the right, and the hue turns with the direction; at `limit`
    pixels a colour is full.
    """
    turn = np.arctan2(flow[..., 1], flow[..., 0]) / (2 * np.pi) % 1
    length = np.clip(motion_maps.length(flow) / limit, 0, 1)
    return hsv_to_rgb(np.stack([turn, length, np.ones_like(turn)], axis=-1))
