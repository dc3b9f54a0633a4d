"""Farnebäck's optical flow (2003), dense, from quadratic fits of neighbourhoods."""

import cv2
import numpy as np

from mubert_jax.motion_maps import MotionMap
from mubert_jax.motion_maps._upsampled import upsampled


@upsampled
def farneback(onset: np.ndarray, apex: np.ndarray) -> np.ndarray:
    flow = np.empty((*onset.shape, 2), np.float32)
    return cv2.calcOpticalFlowFarneback(
        onset,
        apex,
        flow,
        pyr_scale=0.5,
        levels=4,
        winsize=31,  # 8 pixels of the frame; more is smoother, and blurs small movements
        iterations=3,
        poly_n=7,
        poly_sigma=1.5,  # what OpenCV advises for 7 pixels
        flags=0,
    )


METHOD = MotionMap("Farnebäck flow", "flow", farneback, unit="pixels", limit=1.0)
