"""MagNet's parameters as named tensors in PyTorch's layout, and back.

Names are those of `models.magnet`, such as `encoder.blocks.0.conv_1.weight`; the names of its
common PyTorch port are read, too.
"""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from mubert_jax.models.magnet import LEAST_SIDE, PAPER, PORT, STRIDE, Layout, MagNet

PARTS = ("encoder", "manipulator", "decoder")
# What the port has in its names, and what ours have there.
_OF_PORT = {
    ".conv2d.": ".",
    "cba_": "conv_",
    "_cba": "_conv",
    "h_resblk": "block",
    "resblks": "blocks",
    "motion_": "shape_",
    "manipulator.g.": "manipulator.difference.",
    "manipulator.h_conv.": "manipulator.conv.",
}
# A tensor that only the port's files have.
_PORTS_OWN = "manipulator.g.conv2d.weight"


def to_tensors(params: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Name -> tensor: kernels (out, in, h, w) as `weight`, and `bias`."""
    tensors = {}
    for part in PARTS:
        for module, arrays in params[part].items():
            kernel = np.asarray(arrays["kernel"]).transpose(3, 2, 0, 1)
            tensors[f"{part}.{module}.weight"] = np.ascontiguousarray(kernel)
            if "bias" in arrays:
                tensors[f"{part}.{module}.bias"] = np.asarray(arrays["bias"])
    return tensors


def from_tensors(tensors: Mapping[str, np.ndarray]) -> tuple[Layout, dict[str, Any]]:
    """The layout that a file's tensors have, and the parameters.

    Raises:
      ValueError: they are not MagNet's, in one line.
    """
    tensors = {name.removeprefix("module."): x for name, x in tensors.items()}
    layout = PORT if _PORTS_OWN in tensors else PAPER
    if layout == PORT:
        tensors = {_ours(name): tensor for name, tensor in tensors.items()}
    wanted = shapes(layout)
    params: dict[str, Any] = {part: {} for part in PARTS}
    left = dict(tensors)
    for part in PARTS:
        for module, arrays in wanted[part].items():
            node = params[part][module] = {}
            for leaf, array in arrays.items():
                name = f"{part}.{module}.{'weight' if leaf == 'kernel' else leaf}"
                if name not in left:
                    raise ValueError(f"it lacks {name}")
                tensor = np.asarray(left.pop(name), np.float32)
                tensor = tensor.transpose(2, 3, 1, 0) if tensor.ndim == 4 else tensor
                if tensor.shape != array.shape:
                    raise ValueError(f"{name} has another shape, {tensor.shape}")
                if not np.isfinite(tensor).all():
                    raise ValueError(f"{name} is not finite")
                node[leaf] = tensor
    if left:
        raise ValueError(f"{min(left)} is no part of it")
    return layout, params


@functools.cache
def shapes(layout: Layout) -> dict[str, Any]:
    """The shapes of the parameters."""
    return jax.eval_shape(lambda: first_params(layout, jax.random.key(0)))


def first_params(layout: Layout, key: jax.Array) -> dict[str, Any]:
    """The parameters before a training."""
    side = -(-LEAST_SIDE // STRIDE) * STRIDE
    frames = np.zeros((1, side, side, 3), np.float32)
    return dict(MagNet(layout).init(key, frames, frames, np.ones(1, np.float32))["params"])


def _ours(name: str) -> str:
    for theirs, ours in _OF_PORT.items():
        name = name.replace(theirs, ours)
    return name
