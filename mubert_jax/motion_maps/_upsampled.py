"""Optical flow of enlarged frames: movements of a fraction of a pixel become ones of a pixel."""

from collections.abc import Callable

import cv2
import numpy as np

UPSAMPLING = 4


def upsampled(find: Callable[[np.ndarray, np.ndarray], np.ndarray]):
    """(onset, apex) -> flow (H, W, 2) in pixels, found at four times the size.

    Args:
      find: of two grey frames (4H, 4W) uint8, their flow (4H, 4W, 2).
    """

    def see(onset, apex):
        flow = find(_enlarged(onset), _enlarged(apex))
        return cv2.resize(flow, onset.shape[1::-1], interpolation=cv2.INTER_AREA) / UPSAMPLING

    return see


def _enlarged(image):
    image = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return cv2.resize(image, None, fx=UPSAMPLING, fy=UPSAMPLING, interpolation=cv2.INTER_CUBIC)
