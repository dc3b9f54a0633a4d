"""Optical flow of enlarged frames: movements of a fraction of a pixel become larger ones."""

from collections.abc import Callable

import cv2
import numpy as np

# More finds smaller movements, and costs its square.
UPSAMPLING = 4

Flow = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(onset, apex) -> flow (H, W, 2)."""


def upsampled(find: Flow) -> Flow:
    """(onset, apex) -> flow (H, W, 2) in pixels, found at four times the size.

    Args:
      find: two grey frames (4H, 4W) uint8 -> their flow (4H, 4W, 2).
    """

    def see(onset: np.ndarray, apex: np.ndarray) -> np.ndarray:
        flow = find(_enlarged(onset), _enlarged(apex))
        return cv2.resize(flow, onset.shape[1::-1], interpolation=cv2.INTER_AREA) / UPSAMPLING

    return see


def _enlarged(image: np.ndarray) -> np.ndarray:
    image = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return cv2.resize(image, None, fx=UPSAMPLING, fy=UPSAMPLING, interpolation=cv2.INTER_CUBIC)
