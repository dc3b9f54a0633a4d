"""RAFT (Teed and Deng, 2020), with weights of torchvision, which are not shipped.

They are looked for where torchvision leaves what it downloads, small before large, and in the file
that the environment variable `MUBERT_RAFT` names.
"""

import functools
from collections.abc import Callable
from pathlib import Path

import cv2
import jax
import numpy as np

from mubert_jax.errors import UserError
from mubert_jax.models import raft, torchvision
from mubert_jax.motion_maps import MotionMap
from mubert_jax.motion_maps._weights import WeightsFile

FILES = ("raft_small_C_T_V2-01064c6d.pth", "raft_large_C_T_SKHT_V2-ff5fadd5.pth")
WEIGHTS = WeightsFile(
    "RAFT",
    "MUBERT_RAFT",
    FILES,
    f"put torchvision's {FILES[0]} into ~/.cache/torch/hub/checkpoints, or name it in MUBERT_RAFT",
)
# A tensor of either.
KNOWN = "update_block.flow_head.conv2.weight"
# How many times a frame is enlarged: RAFT works on eighths, in which micro-movements are nothing.
UPSAMPLING = 4


def see(onset: np.ndarray, apex: np.ndarray) -> np.ndarray:
    find = _opened(WEIGHTS.required())
    height, width = onset.shape[:2]
    # Sides are multiples of 8, and long enough for the pyramid.
    factor = max(UPSAMPLING, -(-raft.LEAST_SIDE // min(height, width)))
    size = tuple(-(-side * factor // raft.STRIDE) * raft.STRIDE for side in (width, height))

    def enlarged(frame: np.ndarray) -> np.ndarray:
        return cv2.resize(frame, size, interpolation=cv2.INTER_CUBIC)[None] / np.float32(127.5) - 1

    flow = np.asarray(find(enlarged(onset), enlarged(apex)))[0, 0]
    shrunk = cv2.resize(flow, (width, height), interpolation=cv2.INTER_AREA)
    return shrunk * np.array([width / size[0], height / size[1]], np.float32)


@functools.cache
def _opened(path: Path) -> Callable[[np.ndarray, np.ndarray], jax.Array]:
    """(onset, apex) -> flow of the weights in a file.

    Raises:
      UserError: there is no such file, it is damaged, or it holds something else.
    """
    tensors = WEIGHTS.tensors(path)
    if KNOWN not in tensors:
        raise UserError(f"{path} holds no RAFT of torchvision: it lacks {KNOWN}")
    sizes = raft.LARGE if "mask_predictor.conv.weight" in tensors else raft.SMALL
    model = raft.RAFT(sizes)
    images = jax.ShapeDtypeStruct((1, raft.LEAST_SIDE, raft.LEAST_SIDE, 3), np.float32)
    wanted = jax.eval_shape(model.init, jax.random.key(0), images, images)
    try:
        variables = torchvision.raft(tensors)
    except (KeyError, ValueError) as error:
        raise UserError(f"{path} holds no RAFT of torchvision: {error}") from error
    if jax.tree.map(np.shape, variables) != jax.tree.map(lambda x: x.shape, dict(wanted)):
        raise UserError(f"{path} holds no RAFT of torchvision: its tensors have other shapes")
    return jax.jit(lambda onset, apex: model.apply(variables, onset, apex))


METHOD = MotionMap(
    "RAFT",
    "flow",
    see,
    unit="pixels",
    limit=1.0,
    version=WEIGHTS.version,
    lacks=WEIGHTS.lacks,
)
