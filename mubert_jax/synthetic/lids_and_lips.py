"""Lids that close over the eyes, and lips that open: what a smooth displacement cannot show.

A lid hides what is behind it, and a mouth shows what was not seen. So these movements are functions
of the place where a pixel is shown: above the edge of the lid there is skin, drawn out from below
the brow, and below it the eye as it was. The eyes and the mouth are those of `drawing`.
"""

import functools

import numpy as np

from mubert_jax.synthetic.drawing import Pose
from mubert_jax.synthetic.identity import Identity

# From a lid's edge upwards, in face half-widths: the lashes, which keep their thickness.
_LASHES = 0.04
# From the edge of the eye's opening to below its lashes.
_BELOW_LASHES = 0.018
# The least skin there is between brow and lid, and how far below the brow it begins.
_LEAST_LID, _BELOW_BROW = 0.05, 0.01


class LidsAndLips:
    """The lids and the mouth of one person in one pose.

    Args:
      identity, pose: who is drawn, and where.
      size: side of the picture in pixels.
    """

    def __init__(self, identity: Identity, pose: Pose, size: int):
        self._id, self._size, self._pixels = identity, size, pose.half_width * size
        self._x, self._y = pose.to_face(size)
        self._down = np.array([-np.sin(pose.roll), np.cos(pose.roll)], np.float32)

    def close(self, displacement: np.ndarray, closed: float) -> None:
        """Adds lids that are `closed`, 0 to 1, to a displacement (size, size, 2) in pixels.

        A picture that is moved by it takes each pixel from where it is less its displacement.
        """
        rows, columns, edge, travel, brow = self._lids
        y = self._y[rows, columns]
        now = edge + closed * travel
        gone = closed * travel
        soft = np.maximum(now - _LASHES - brow, 1e-3)
        drawn_out = np.clip((y - brow) / soft, 0, 1) * gone
        self._add(displacement, rows, columns, np.where(y <= now, drawn_out, 0))

    def open(self, displacement: np.ndarray, pixels: float) -> None:
        """Adds a mouth whose lower lip is `pixels` lower, with the chin, as `close` does."""
        rows, columns, line, across, below = self._mouth
        reach = pixels / self._pixels * across
        y = self._y[rows, columns]
        opened = np.clip((y - line) / np.maximum(reach, 1e-4), 0, 1)
        self._add(displacement, rows, columns, reach * opened * below)

    def _add(self, displacement: np.ndarray, rows: slice, columns: slice, down: np.ndarray) -> None:
        displacement[rows, columns] += (down * self._pixels)[..., None] * self._down

    @functools.cached_property
    def _lids(self) -> tuple[slice, slice, np.ndarray, np.ndarray, np.ndarray]:
        """Where the eyes are, the edge of the open lid there, how far it may go, and the brow."""
        i = self._id
        near = (np.abs(np.abs(self._x) - i.eye[0]) < i.eye_size[0]) & (
            np.abs(self._y - (i.eye[1] + i.brow[1]) / 2) < 0.4
        )
        rows, columns = _box(near)
        u = (np.abs(self._x[rows, columns]) - i.eye[0]) / i.eye_size[0]
        arch = np.clip(1 - u**2, 0, None)
        upper, lower = -1.15 * arch**0.8, 0.85 * arch**0.9
        middle = i.eye[1] + 0.015 * u
        edge = middle + upper * i.eye_size[1] + _BELOW_LASHES
        brow = np.minimum(self._below_brow(np.abs(self._x[rows, columns])), edge - _LEAST_LID)
        return rows, columns, edge, (lower - upper) * i.eye_size[1], brow

    def _below_brow(self, side: np.ndarray) -> np.ndarray:
        """Where the brow ends and the lid begins, as far from the middle of the face as `side`."""
        i = self._id
        u = (side - i.brow[0]) / i.brow_size[0]
        bend = i.brow[1] + i.brow_arch * (u - 0.25) ** 2 - 0.03 * u
        return bend + 1.15 * i.brow_size[1] + _BELOW_BROW

    @functools.cached_property
    def _mouth(self) -> tuple[slice, slice, np.ndarray, np.ndarray, np.ndarray]:
        """Where the lower face is, the line between the lips, and how much goes along."""
        i = self._id
        near = (np.abs(self._x) < 0.95) & (self._y > i.mouth[1] - 0.05)
        rows, columns = _box(near & (self._y < i.height + 0.45))
        x, y = self._x[rows, columns], self._y[rows, columns]
        line = i.mouth[1] + 0.012 * np.cos(x / i.mouth_size[0] * 3.1)
        across = np.exp(-((x / (0.85 * i.mouth_size[0])) ** 2) / 2)
        below = 0.5 + 0.5 * np.cos(np.pi * np.clip((y - i.height * 0.8) / 0.5, 0, 1))
        return rows, columns, line, across, below


def _box(where: np.ndarray) -> tuple[slice, slice]:
    """The rows and columns of a mask."""
    rows, columns = np.flatnonzero(where.any(1)), np.flatnonzero(where.any(0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
