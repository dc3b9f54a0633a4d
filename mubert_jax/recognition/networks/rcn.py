"""RCN-A (Xia et al., 2020): a recurrent convolution and attention without parameters; 15 or 56 k.

The attention is where the classifier's own weights see a class in the first convolution.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from mubert_jax.config import Config
from mubert_jax.errors import UserError
from mubert_jax.flow_maps import LEVELS
from mubert_jax.recognition.backbone import Backbone
from mubert_jax.recognition.networks._light import FlaxNetwork, FlowOptions, descent
from mubert_jax.recognition.networks._windows import Conv, max_pool

# The learning rate is halved after so many epochs.
EPOCHS = 10
# Convolutions of shared weights after the first one.
TURNS = 2
# As in PyTorch, whose momentum of 0.1 is the share of the new statistics.
NORM_EPSILON, NORM_MOMENTUM = 1e-5, 0.9
REFERENCE = """\
@article{xia2020rcn,
  author = {Xia, Zhaoqiang and Peng, Wei and Khor, Huai-Qian and Feng, Xiaoyi and Zhao, Guoying},
  title = {Revealing the Invisible with Model and Data Shrinking for Composite-database
    Micro-expression Recognition},
  journal = {IEEE Transactions on Image Processing},
  volume = {29},
  pages = {8590--8605},
  year = {2020},
}
"""


@dataclass(frozen=True)
class Options(FlowOptions):
    """What `config.recognition.options` may hold."""

    # 32 channels and 5 × 5 cells are 15 k parameters, 64 and 7 × 7 are 56 k.
    channels: int = 32
    cells: int = 5


class RCN(FlaxNetwork):
    """Trained by SGD with momentum 0.9, whose rate is halved every ten epochs.

    It reads stretched maps divided by 255, as 0..1, and those in pixels as they are.
    """

    Options = Options
    title = "RCN-A"
    reference = REFERENCE
    published_as = ("RCN-A", "RCN")

    def __init__(self, config: Config, backbone: Backbone | None = None):
        super().__init__(config, backbone)
        for name in ("channels", "cells"):
            if (value := getattr(self.options, name)) < 1:
                raise UserError(f"config.recognition.options.{name} is {value}; choose 1 or more")

    def maps(self, inputs: dict[str, Any]) -> Any:
        stretched = self.options.normalise == "per-channel"
        return super().maps(inputs) / (LEVELS if stretched else 1.0)

    def module(self) -> nn.Module:
        return Recurrent(self.options.channels, self.options.cells, self.classes)

    def optimizer(self, steps: int) -> optax.GradientTransformation:
        config = self.config.recognition
        halving = max(1, EPOCHS * steps // config.epochs)
        schedule = optax.exponential_decay(config.learning_rate, halving, 0.5, staircase=True)
        return descent(optax.trace(0.9), schedule)


class Recurrent(nn.Module):
    """(maps (B, 28, 28, 3), train) -> logits (B, classes)."""

    channels: int
    cells: int
    classes: int

    @nn.compact
    def __call__(self, maps: jax.Array, train: bool) -> jax.Array:
        conv = partial(Conv, self.channels, kernel_init=_he_fan_out)
        norm = partial(nn.BatchNorm, not train, momentum=NORM_MOMENTUM, epsilon=NORM_EPSILON)

        def halved(x: jax.Array) -> jax.Array:
            return nn.Dropout(0.5, deterministic=not train)(max_pool(x, 2, 2))

        first = conv(5, name="conv")(maps)
        x = halved(nn.relu(norm(name="norm")(first)))
        kernel = self.param(
            "kernel", nn.initializers.normal(0.01), (self.cells**2, self.channels, self.classes)
        )
        bias = self.param("bias", nn.initializers.zeros, (self.classes,))
        attention = class_activation(adaptive_mean(x, self.cells), kernel)
        y = nn.relu(norm(name="feed_forward_norm")(conv(1, name="feed_forward")(x)))
        recurrent, turned = conv(3, 1, name="recurrent"), norm(name="recurrent_norm")
        for _ in range(TURNS):
            y = nn.relu(turned(recurrent(x + y)))
        cells = adaptive_mean(halved(y), self.cells) * attention[..., None]
        return jnp.einsum("bnf,nfc->bc", cells, kernel) + bias


def class_activation(x_BxNxF: jax.Array, kernel_NxFxC: jax.Array) -> jax.Array:
    """Where the classes are seen, (B, N): the mean over them of maps that are stretched to 0..1."""
    seen_BxNxC = jnp.einsum("bnf,nfc->bnc", x_BxNxF, kernel_NxFxC)
    above = seen_BxNxC - seen_BxNxC.min(1, keepdims=True)
    highest = above.max(1, keepdims=True)
    return jnp.mean(above / jnp.where(highest > 0, highest, 1.0), axis=-1)


def adaptive_mean(x_BxHxWxF: jax.Array, cells: int) -> jax.Array:
    """Means over `cells` × `cells` places, (B, cells², F), which overlap where they must.

    A place along a side of H is from ⌊i·H/cells⌋ to ⌈(i+1)·H/cells⌉, as in PyTorch.
    """
    rows, columns = (_places(size, cells) for size in x_BxHxWxF.shape[1:3])
    means = jnp.einsum("ih,bhwf,jw->bijf", rows, x_BxHxWxF, columns)
    return means.reshape(len(means), cells**2, -1)


def _places(size: int, cells: int) -> np.ndarray:
    first, last = (np.arange(cells) * size // cells, -(-np.arange(1, cells + 1) * size // cells))
    at = np.arange(size)
    inside = ((at >= first[:, None]) & (at < last[:, None])).astype(np.float32)
    return inside / inside.sum(1, keepdims=True)


def _he_fan_out(key: jax.Array, shape: tuple[int, ...], dtype: jnp.dtype = jnp.float32):
    he = nn.initializers.variance_scaling(2.0, "fan_out", "normal")
    return he(key, shape, dtype)
