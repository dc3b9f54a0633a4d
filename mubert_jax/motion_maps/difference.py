"""The change of the grey levels."""

import numpy as np

from mubert_jax.data.video import grey
from mubert_jax.motion_maps import MotionMap


def difference(onset: np.ndarray, apex: np.ndarray) -> np.ndarray:
    return grey(apex) - grey(onset)


METHOD = MotionMap(
    "difference", "map", difference, takes_floats=True, unit="grey levels", limit=48.0
)
