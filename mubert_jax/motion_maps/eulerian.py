"""Linear Eulerian magnification of the middle bands of a Laplacian pyramid (Wu et al., 2012).

Two frames cannot be filtered in time: the change itself is magnified.
"""

import cv2
import numpy as np

from mubert_jax.data.video import grey
from mubert_jax.motion_maps import MotionMap

MAGNIFICATION = 10.0  # only the scale of the map, as it is linear; its `limit` goes with it
# Bands of an octave each, without the finest, which holds most of the noise. More of them take in
# larger structures, and changes of the light with them.
LEVELS = 4


def eulerian(onset: np.ndarray, apex: np.ndarray) -> np.ndarray:
    """The change in grey levels, `MAGNIFICATION` times."""
    change = grey(apex) - grey(onset)
    total, low = np.zeros_like(change), change
    for level in range(LEVELS):
        smooth = cv2.GaussianBlur(low, (0, 0), 2.0**level)
        if level > 0:
            total += low - smooth
        low = smooth
    return MAGNIFICATION * total


METHOD = MotionMap("Eulerian magnification", "map", eulerian, unit="grey levels × 10", limit=100.0)
