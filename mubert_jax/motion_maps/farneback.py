"""Farnebäck's optical flow (2003), dense, from quadratic fits of neighbourhoods."""

import cv2

from mubert_jax.motion_maps import MotionMap
from mubert_jax.motion_maps._upsampled import upsampled


@upsampled
def farneback(onset, apex):
    return cv2.calcOpticalFlowFarneback(onset, apex, None, 0.5, 4, 31, 3, 7, 1.5, 0)


METHOD = MotionMap("Farnebäck flow", "flow", farneback, unit="pixels", limit=1.0)
