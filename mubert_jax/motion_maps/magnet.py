"""MagNet (Oh et al., 2018): what it makes of onset and apex, less what it makes of the onset alone.

Weights are not shipped. A run of configs/baselines/magnet.py makes some; those of the common
PyTorch port are read, too. The environment variable `MUBERT_MAGNET` names their file.
"""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from mubert_jax.data.video import grey
from mubert_jax.errors import UserError
from mubert_jax.models import magnet_weights
from mubert_jax.models.magnet import LEAST_SIDE, STRIDE, Layout, MagNet
from mubert_jax.motion_maps import MotionMap
from mubert_jax.motion_maps._weights import WeightsFile

WEIGHTS = WeightsFile(
    "MagNet",
    "MUBERT_MAGNET",
    (),
    "name a file of them in MUBERT_MAGNET, such as what mubert export makes of a run of "
    "configs/baselines/magnet.py",
)
MAGNIFICATION = 10.0

# (first, second, factor): two frames (H, W, 3) uint8 -> the second one, `factor` times as far from
# the first, (H, W, 3) float32 in grey levels from 0 to 255.
Magnifier = Callable[[np.ndarray, np.ndarray, float], np.ndarray]


def magnifier(layout: Layout, params: Mapping[str, Any]) -> Magnifier:
    """Magnifies frames of any size; it raises UserError for those that are too small."""
    network = _compiled(layout)

    def magnify(first: np.ndarray, second: np.ndarray, factor: float) -> np.ndarray:
        height, width = first.shape[:2]
        if min(height, width) < LEAST_SIDE:
            raise UserError(
                f"frames of {width}x{height} pixels are too small for MagNet, which needs "
                f"{LEAST_SIDE} or more along each side; enlarge them"
            )
        around = ((0, -height % STRIDE), (0, -width % STRIDE), (0, 0))

        def scaled(frame: np.ndarray) -> np.ndarray:
            return np.pad(frame, around, mode="edge")[None] / np.float32(127.5) - 1

        seen = network(
            {"params": params}, scaled(first), scaled(second), np.array([factor], np.float32)
        )
        return np.clip((np.asarray(seen)[0, :height, :width] + 1) * 127.5, 0, 255)

    return magnify


@functools.cache
def _compiled(layout: Layout) -> Callable[..., jax.Array]:
    return jax.jit(MagNet(layout).apply)


def magnifier_of_file(path: Path) -> Magnifier:
    """The magnifier of the weights in a file.

    Raises:
      UserError: there is no such file, it is damaged, or it holds something else.
    """
    tensors = WEIGHTS.tensors(path)
    try:
        return magnifier(*magnet_weights.from_tensors(tensors))
    except ValueError as error:
        raise UserError(f"{path} holds no MagNet: {error}") from error


_opened = functools.cache(magnifier_of_file)


def see(onset: np.ndarray, apex: np.ndarray) -> np.ndarray:
    """The magnified change in grey levels; equal frames have none."""
    magnify = _opened(WEIGHTS.required())
    moved, still = (magnify(onset, frame, MAGNIFICATION) for frame in (apex, onset))
    return grey(moved) - grey(still)


METHOD = MotionMap(
    "MagNet",
    "map",
    see,
    unit="grey levels × 10",
    limit=100.0,
    version=WEIGHTS.version,
    lacks=WEIGHTS.lacks,
)
