"""Made-up weights of MagNet, as parameters and under the names of its PyTorch port."""

import functools

import jax
import numpy as np

from mubert_jax.models import magnet_weights
from mubert_jax.models.magnet import PORT

# Ours -> the port's, from the back of a name to its front.
_OF_PORT = {
    "shape_blocks": "motion_resblks",
    "shape_conv": "motion_cba",
    "texture_blocks": "texture_resblks",
    "texture_conv": "texture_cba",
    ".blocks": ".resblks",
    "manipulator.block": "manipulator.h_resblk",
    "manipulator.conv.": "manipulator.h_conv.",
    "manipulator.difference": "manipulator.g",
    ".conv_": ".cba_",
    ".weight": ".conv2d.weight",
}


@functools.cache
def _values(layout):
    random = np.random.default_rng(1)
    return jax.tree.map(
        lambda leaf: random.normal(
            scale=0.7 / np.sqrt(max(1, leaf.size / leaf.shape[-1])), size=leaf.shape
        ).astype(np.float32),
        magnet_weights.shapes(layout),
    )


def made_up(layout):
    """Random parameters, the same ones each time; biases, too."""
    return jax.tree.map(np.copy, _values(layout))


def port_tensors():
    """The state dict of the port that holds `made_up(PORT)`."""
    tensors = {}
    for name, tensor in magnet_weights.to_tensors(made_up(PORT)).items():
        for ours, theirs in _OF_PORT.items():
            name = name.replace(ours, theirs)
        tensors[name] = tensor
    return tensors
