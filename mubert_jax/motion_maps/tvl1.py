"""TV-L1 optical flow (Zach et al., 2007): total variation smooths it, and outliers count little.

The flow that most recognizers of micro-expressions read. It is found at the size of the frames:
unlike the other methods, it reads floats, and finds small movements without enlarging them.
"""

import numpy as np

from mubert_jax.data.video import grey
from mubert_jax.motion_maps import MotionMap


def tvl1(onset: np.ndarray, apex: np.ndarray) -> np.ndarray:
    from skimage.registration import optical_flow_tvl1

    down, right = optical_flow_tvl1(*(grey(frame, np.float32) / 255 for frame in (onset, apex)))
    return np.stack([right, down], axis=-1)


METHOD = MotionMap(
    "TV-L1 flow", "flow", tvl1, takes_floats=True, unit="pixels", limit=1.0, extra="skimage"
)
