"""Pictures of maps: one row a pair, one absolute scale a column, a colour bar each."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402

from mubert_jax.perception.maps import Maps  # noqa: E402

COLOURS = "inferno"
DIFFERENCE_LIMIT = 48.0  # grey levels of 255
POI_LIMIT = 4.0  # times the mean patch


def panel(maps: Maps, titles: list[str], dma_limit: float, dma_label: str, path: Path):
    """Writes onset, apex, |difference|, DMA, POI, DMA × POI of every pair as one PNG.

    Args:
      titles: one label a pair.
      dma_limit: movement at full colour in both DMA columns; the same for all rows, so a still pair
        stays dark.
      dma_label: what the DMA columns show.
    """
    columns = [
        ("onset", None, None, ""),
        ("apex", None, None, ""),
        ("|difference|", maps.difference, DIFFERENCE_LIMIT, "grey levels"),
        ("DMA", maps.dma, dma_limit, dma_label),
        ("POI", maps.poi, POI_LIMIT, "S·N (mean patch = 1)"),
        ("DMA × POI", maps.dma_poi, dma_limit, f"{dma_label} × S·N"),
    ]
    rows = len(maps)
    figure, axes = plt.subplots(
        rows,
        len(columns),
        figsize=(2.1 * len(columns) + 0.5, 2.1 * rows + 0.9),
        squeeze=False,
        layout="constrained",
    )
    for j, (name, values, limit, label) in enumerate(columns):
        axes[0, j].set_title(name, fontsize=11)
        for i in range(rows):
            axis = axes[i, j]
            axis.set_xticks([])
            axis.set_yticks([])
            if values is None:
                axis.imshow((maps.onset, maps.apex)[j][i])
            else:
                drawn = _over_frame(axis, maps.apex[i], values[i], limit)
        if values is not None:
            bar = figure.colorbar(drawn, ax=axes[:, j], location="bottom", pad=0.01, aspect=15)
            bar.set_label(label, fontsize=8)
            bar.ax.tick_params(labelsize=7)
    for i, title in enumerate(titles):
        axes[i, 0].set_ylabel(title, fontsize=9)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _over_frame(axis, frame, values, limit):
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
