"""The picture of a flow set: u, v and optical strain, of one clip and on average, per class."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from mubert_jax.data.alignment import face_ellipse
from mubert_jax.data.labelled_clips import LabelledClips
from mubert_jax.perception import render

# As many classes as a page shows; CAS(ME)³ has 7.
_ROWS = 8
# Blue is below 0, red above.
_SIGNED = "RdBu_r"
# Title, colours and what they mean, of each column of maps.
_COLUMNS = (
    ("u", _SIGNED, "left ← → right"),
    ("v", _SIGNED, "up ← → down"),
    ("optical strain", render.COLOURS, "share of the largest"),
    ("mean u", _SIGNED, "left ← → right"),
    ("mean v", _SIGNED, "up ← → down"),
    ("mean strain", _SIGNED, "less ← than usual → more"),
)


def draw(
    flow_PxSxSx3: np.ndarray,
    clips: LabelledClips,
    onset: Callable[[int], np.ndarray] | None,
    path: Path,
) -> None:
    """Writes a picture with a row per class: one clip, then the means over its clips.

    The clip is the one that is most like the mean. As the scale of u and v differs from clip to
    clip, each map is shown as a share of its own largest value. The mean strain is less that of all
    clips, since the outline of the face has the most in every class.

    Args:
      flow_PxSxSx3: the maps of P clips.
      onset: the number of a clip -> its first frame, (H, W, 3) uint8 RGB; None without frames.
    """
    shown = [row for row in range(len(clips.classes)) if (clips.label == row).any()][:_ROWS]
    shares = np.stack([as_shares(maps) for maps in flow_PxSxSx3])
    usual = shares.mean(axis=0)
    first = 0 if onset is None else 1
    figure, axes = plt.subplots(
        len(shown) + 1,
        first + len(_COLUMNS),
        figsize=(1.7 * (first + len(_COLUMNS)) + 0.5, 1.75 * len(shown) + 0.8),
        height_ratios=[1.0] * len(shown) + [0.06],
        squeeze=False,
        layout="constrained",
    )
    for cells, row in zip(axes, shown, strict=False):
        of_class = np.flatnonzero(clips.label == row)
        mean = shares[of_class].mean(axis=0)
        best = int(of_class[np.argmax([_likeness(shares[i], mean) for i in of_class])])
        cells[0].set_ylabel(f"{clips.classes[row]}\n{len(of_class)} clips", fontsize=10)
        if onset is not None:
            _show(cells[0], "onset" if row == shown[0] else "", onset(best))
        mean[..., 2] -= usual[..., 2]
        maps = *np.moveaxis(shares[best], -1, 0), *np.moveaxis(_stretched(mean), -1, 0)
        for i, (title, colours, _) in enumerate(_COLUMNS):
            smooth = "bicubic" if i > 2 else "nearest"
            _show(cells[first + i], title if row == shown[0] else "", maps[i], colours, smooth)
    for i, (_, _, said) in enumerate(_COLUMNS):
        bar = figure.colorbar(
            axes[0, first + i].images[0], cax=axes[-1, first + i], orientation="horizontal"
        )
        bar.set_label(said, fontsize=8)
        bar.set_ticks([])
    if onset is not None:
        axes[-1, 0].axis("off")
    render.save(figure, path)


def as_shares(maps_SxSx3: np.ndarray) -> np.ndarray:
    """u and v from -1 to 1, 0 being what most of the border has, and strain from 0 to 1."""
    maps = maps_SxSx3.astype(np.float64)
    border = np.ones(maps.shape[:2], bool)
    border[1:-1, 1:-1] = False
    maps[..., :2] -= np.median(maps[border][:, :2], axis=0)
    maps[..., 2] -= maps[..., 2].min()
    return _stretched(maps)


def _stretched(maps_SxSx3: np.ndarray) -> np.ndarray:
    """Each channel over its largest magnitude."""
    most = np.abs(maps_SxSx3).max(axis=(0, 1))
    return maps_SxSx3 / np.where(most > 0, most, 1.0)


def _likeness(one: np.ndarray, other: np.ndarray) -> float:
    """The correlation of u and v of two maps where a face usually is, less how the head moved."""
    face = face_ellipse(one.shape[:2])
    one, other = (x[face, :2] - x[face, :2].mean(axis=0) for x in (one, other))
    lengths = np.linalg.norm(one) * np.linalg.norm(other)
    return float((one * other).sum() / lengths) if lengths else -1.0


def _show(
    axis: Axes,
    title: str,
    picture: np.ndarray,
    colours: str = _SIGNED,
    smooth: Literal["nearest", "bicubic"] = "nearest",
) -> None:
    low = -1 if colours == _SIGNED else 0
    axis.imshow(picture, cmap=colours, vmin=low, vmax=1, interpolation=smooth)
    axis.set(xticks=[], yticks=[])
    axis.set_title(title, fontsize=11)
