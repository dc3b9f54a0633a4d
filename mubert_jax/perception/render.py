"""Pictures of maps: one row per pair, and per column one absolute scale and its colour bar."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from mubert_jax.data.files import replacing, writing_errors
from mubert_jax.outputs import PICTURES
from mubert_jax.perception.maps import Maps

COLOURS = "inferno"
# The values at full colour, in grey levels of 255 and in multiples of the mean patch. They are for
# the eye alone: lower ones show weaker values, and tell strong ones apart less.
DIFFERENCE_LIMIT = 48.0
POI_LIMIT = 6.0
# An arrow is the displacement times `LENGTHENED`, so that fractions of a pixel can be seen, but at
# most `LONGEST` patches long, so that arrows do not hide one another.
LENGTHENED = 12
LONGEST = 1.5

# One (H, W, 3) or (g, g) array per row.
Rows = np.ndarray | Sequence[np.ndarray]


@dataclasses.dataclass(frozen=True, eq=False)
class Column:
    """Frames (P, H, W, 3) as they are, or maps (P, any, any) drawn over the apex.

    Attributes:
      name: Its title.
      images: What it shows.
      limit: The value at full colour, the same for all rows; None for frames.
      label: What the values are.
      arrows: Which way each patch of a map moved (P, g, g, 2); drawn where the map is not dark.
    """

    name: str
    images: Rows
    limit: float | None = None
    label: str = ""
    arrows: Rows | None = None


def frames(maps: Maps) -> list[Column]:
    """Onset and apex."""
    return [Column("onset", maps.onset), Column("apex", maps.apex)]


def learned(maps: Maps, dma_limit: float, dma_label: str) -> list[Column]:
    """DMA, POI and DMA × POI; the full colour of the last is DMA's where POI is twice its mean.

    Arrows show which way patches moved, where DMA can tell.
    """
    both, label, arrows = 2 * dma_limit, "movement × interest", None
    if maps.displacement.any():
        label, arrows = f"movement; arrows: way × {LENGTHENED}", maps.displacement
    return [
        Column("DMA", maps.dma, dma_limit, dma_label),
        Column("POI", maps.poi, POI_LIMIT, "S·N (mean patch = 1)"),
        Column("DMA × POI", maps.dma_poi, both, label, arrows),
    ]


def difference(maps: Maps) -> Column:
    """|onset - apex|."""
    return Column("|difference|", maps.difference, DIFFERENCE_LIMIT, "grey levels")


def panel(columns: Sequence[Column], behind: Rows, titles: Sequence[str], path: Path) -> None:
    """Writes one picture, with a row per pair.

    Args:
      columns: The columns, from left to right.
      behind: The frames over which each row's maps are drawn.
      titles: One label per row.
      path: The file; see `save`.
    """
    rows = len(titles)
    figure, axes = plt.subplots(
        rows,
        len(columns),
        figsize=(2.1 * len(columns) + 0.5, 2.1 * rows + 0.9),
        squeeze=False,
        layout="constrained",
    )
    for j, column in enumerate(columns):
        axes[0, j].set_title(column.name, fontsize=11)
        drawn = [_draw(axes[i, j], column, i, behind[i]) for i in range(rows)]
        if column.limit is not None:
            bar = figure.colorbar(drawn[-1], ax=axes[:, j], location="bottom", pad=0.01, aspect=15)
            bar.set_label(column.label, fontsize=8)
            bar.ax.tick_params(labelsize=7)
    for i, title in enumerate(titles):
        axes[i, 0].set_ylabel(title, fontsize=9)
    save(figure, path)


def _draw(axis: Axes, column: Column, row: int, behind: np.ndarray):
    axis.set_xticks([])
    axis.set_yticks([])
    image = column.images[row]
    if column.limit is None:
        return axis.imshow(image)
    drawn = over_frame(axis, behind, image, column.limit)
    if column.arrows is not None:
        draw_arrows(axis, behind, image, column.limit, column.arrows[row])
    return drawn


def save(figure: Figure, path: Path) -> None:
    """Writes a figure whole or not at all, in the format of its suffix or as PNG, and closes it."""
    kind = path.suffix.lower() if path.suffix.lower() in PICTURES else ".png"
    with writing_errors(path, "choose another --output"):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            figure.savefig(temporary, dpi=110, format=kind[1:])
    plt.close(figure)


def over_frame(axis: Axes, frame: np.ndarray, values: np.ndarray, limit: float) -> AxesImage:
    """Draws heat over the greyed frame: the stronger the value, the more it covers."""
    height, width = frame.shape[:2]
    extent = (0, width, height, 0)
    axis.imshow(frame.mean(-1), cmap="gray", vmin=-60, vmax=400, extent=extent)
    opacity = np.clip(values / limit, 0, 1) * 0.6 + 0.35
    return axis.imshow(
        values,
        cmap=COLOURS,
        vmin=0,
        vmax=limit,
        alpha=opacity,
        extent=extent,
        interpolation="nearest",
    )


def draw_arrows(
    axis: Axes, frame: np.ndarray, values: np.ndarray, limit: float, displacement: np.ndarray
) -> None:
    """Draws an arrow on every patch of a quarter of the full colour or more.

    Patches that moved by more than half a patch get none: a Lucas-Kanade step cannot tell which way
    they went.
    """
    side, moved = frame.shape[0] / len(values), np.linalg.norm(displacement, axis=-1)
    told = (moved > 0) & (moved <= side / 2)
    rows, columns = np.nonzero((values >= limit / 4) & told)
    lengthened = np.minimum(LENGTHENED, LONGEST * side / moved[rows, columns])
    along_x, along_y = lengthened * displacement[rows, columns].T
    axis.quiver(
        (columns + 0.5) * side,
        (rows + 0.5) * side,
        along_x,
        along_y,
        angles="xy",
        scale_units="xy",
        scale=1,
        color="#5ad1ff",
        width=0.008,
    )
    axis.set(xlim=(0, frame.shape[1]), ylim=(frame.shape[0], 0))
