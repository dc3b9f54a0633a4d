"""Dense inverse search (DIS), the optical flow of Kroeger et al. (2016)."""

import cv2

from mubert_jax.motion_maps import MotionMap
from mubert_jax.motion_maps._upsampled import upsampled


@upsampled
def dis(onset, apex):
    return cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(onset, apex, None)


METHOD = MotionMap("DIS flow", "flow", dis, unit="pixels", limit=1.0)
