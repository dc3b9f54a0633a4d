"""The change of the grey levels."""

from mubert_jax.data.video import grey
from mubert_jax.motion_maps import MotionMap


def difference(onset, apex):
    return grey(apex) - grey(onset)


METHOD = MotionMap(
    "difference", "map", difference, takes_floats=True, unit="grey levels", limit=48.0
)
