"""The change of the grey levels that a robust least-squares fit of light and drift leaves."""

import numpy as np

from mubert_jax.data.alignment import fit_motion_and_light
from mubert_jax.data.video import grey
from mubert_jax.motion_maps import MotionMap


def compensated(onset: np.ndarray, apex: np.ndarray, face: np.ndarray) -> np.ndarray:
    """What a fit over the face leaves, in grey levels."""
    return fit_motion_and_light(grey(onset), grey(apex), face).residual


METHOD = MotionMap(
    "difference, light and drift removed",
    "map",
    compensated,
    reads_face=True,
    unit="grey levels",
    limit=48.0,
)
