"""Dense inverse search (DIS), the optical flow of Kroeger et al. (2016)."""

import cv2
import numpy as np

from mubert_jax.motion_maps import MotionMap
from mubert_jax.motion_maps._upsampled import upsampled


@upsampled
def dis(onset: np.ndarray, apex: np.ndarray) -> np.ndarray:
    flow = np.zeros((*onset.shape, 2), np.float32)
    return cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(onset, apex, flow)


METHOD = MotionMap("DIS flow", "flow", dis, unit="pixels", limit=1.0)
