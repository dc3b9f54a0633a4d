"""Pictures of maps: one row per pair, one absolute scale a column, a colour bar each."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from mubert_jax.data.files import replacing, writing_errors
from mubert_jax.outputs import PICTURES
from mubert_jax.perception.maps import Maps

COLOURS = "inferno"
DIFFERENCE_LIMIT = 48.0  # grey levels of 255
POI_LIMIT = 6.0  # times the mean patch
LENGTHENED = 12  # times the displacement an arrow is long,
LONGEST = 1.5  # patches at most


@dataclasses.dataclass(frozen=True, eq=False)
class Column:
    """Frames (P, H, W, 3) as they are, or maps (P, any, any) drawn over the apex.

    Attributes:
      name: its title.
      images: what it shows.
      limit: the value at full colour, the same for all rows; None for frames.
      label: what the values are.
      arrows: which way each patch of a map moved (P, g, g, 2), where the map is not dark.
    """

    name: str
    images: Sequence[np.ndarray]
    limit: float | None = None
    label: str = ""
    arrows: Sequence[np.ndarray] | None = None


def frames(maps: Maps) -> list[Column]:
    """Onset and apex."""
    return [Column("onset", maps.onset), Column("apex", maps.apex)]


def learned(maps: Maps, dma_limit: float, dma_label: str) -> list[Column]:
    """DMA, POI and DMA × POI, whose full colour is that of DMA where POI is twice its mean.

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


def panel(columns: list[Column], behind: Sequence[np.ndarray], titles: list[str], path: Path):
    """Writes one picture: a row per pair.

    Args:
      columns: from left to right.
      behind: the frame over which a row's maps are drawn.
      titles: one label a row.
      path: the file, see `save`.
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
        for i in range(rows):
            axis = axes[i, j]
            axis.set_xticks([])
            axis.set_yticks([])
            if column.limit is None:
                axis.imshow(column.images[i])
            else:
                drawn = over_frame(axis, behind[i], column.images[i], column.limit)
                if column.arrows is not None:
                    draw_arrows(axis, behind[i], column.images[i], column.limit, column.arrows[i])
        if column.limit is not None:
            bar = figure.colorbar(drawn, ax=axes[:, j], location="bottom", pad=0.01, aspect=15)
            bar.set_label(column.label, fontsize=8)
            bar.ax.tick_params(labelsize=7)
    for i, title in enumerate(titles):
        axes[i, 0].set_ylabel(title, fontsize=9)
    save(figure, path)


def save(figure, path: Path):
    """Writes a figure whole or not at all, as its suffix says, or as PNG; and closes it."""
    kind = path.suffix.lower() if path.suffix.lower() in PICTURES else ".png"
    with writing_errors(path, "choose another --output"):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            figure.savefig(temporary, dpi=110, format=kind[1:])
    plt.close(figure)


def over_frame(axis, frame, values, limit):
    """Heat over the greyed frame: the stronger the value, the more it covers."""
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


def draw_arrows(axis, frame, values, limit, displacement):
    """An arrow for every patch of a quarter of the full colour or more.

    A step of Lucas and Kanade cannot tell the way of what moved by more than half a patch.
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
