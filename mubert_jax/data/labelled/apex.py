"""The apex of a clip that nobody annotated: where the face differs most from its onset."""

from collections.abc import Sequence

import numpy as np

from mubert_jax.data.alignment import face_ellipse, fit_motion_and_light
from mubert_jax.data.video import grey

SIDE = 64
"""Side in pixels of the crops that are compared; larger ones took 8 times as long and found the
same apexes."""


def changes(onset: np.ndarray, frames: Sequence[np.ndarray]) -> np.ndarray:
    """How much the face of each frame differs from the onset's, in grey levels.

    Shift, turn and light of the whole head are fitted and removed first: a head that drifts differs
    most at the end of every clip.

    Args:
      onset: (H, W, 3) uint8 RGB, cropped to the face.
      frames: T frames of the same size.

    Returns:
      (T,) float64: mean absolute residual inside the face, smoothed over three frames.
    """
    start = grey(onset)
    face = face_ellipse(onset.shape[:2])
    raw = np.array(
        [
            np.abs(fit_motion_and_light(grey(frame), start, face).residual[face]).mean()
            for frame in frames
        ]
    )
    padded = np.pad(raw, 1, mode="edge")
    return (padded[:-2] + padded[1:-1] + padded[2:]) / 3


def automatic_apex(onset: np.ndarray, frames: Sequence[np.ndarray]) -> int:
    """Which of `frames` is the apex, counted from 0; arguments as for `changes`."""
    return int(np.argmax(changes(onset, frames)))
