"""Dual-Inception (Zhou et al., 2019): two towers of Inception blocks, on u and on v; 6.45 M."""

from dataclasses import dataclass

import flax.linen as nn
import jax
import jax.numpy as jnp

from mubert_jax.recognition.networks._light import AdamNetwork, FlowOptions
from mubert_jax.recognition.networks._windows import Conv, max_pool

# Kernels of each branch in the two blocks of a tower.
KERNELS = (6, 16)
REFERENCE = """\
@inproceedings{zhou2019dualinception,
  author = {Zhou, L. and Mao, Q. and Xue, L.},
  title = {Dual-Inception Network for Cross-Database Micro-Expression Recognition},
  booktitle = {14th IEEE International Conference on Automatic Face and Gesture Recognition (FG)},
  pages = {1--5},
  year = {2019},
}
"""


@dataclass(frozen=True)
class Options(FlowOptions):
    """What `config.recognition.options` may hold."""

    # Width of the hidden layer.
    hidden: int = 1024


class DualInception(AdamNetwork):
    """Trained by Adam at a constant rate; strain is not read.

    As published it reads the flow between the onset and the middle frame; here it is the flow of
    the clips, as for every other network.
    """

    Options = Options
    title = "Dual-Inception"
    reference = REFERENCE
    published_as = ("Dual-Inception",)

    def module(self) -> nn.Module:
        return Towers(self.options.hidden, self.classes)


class Inception(nn.Module):
    """Four branches and a pool: (B, H, W, C) -> (B, H/2, W/2, 4·kernels)."""

    kernels: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        def conv(x: jax.Array, side: int, name: str) -> jax.Array:
            return nn.relu(Conv(self.kernels, side, side // 2, name=name)(x))

        branches = [
            conv(x, 1, "one"),
            conv(conv(x, 1, "before_three"), 3, "three"),
            conv(conv(x, 1, "before_five"), 5, "five"),
            conv(max_pool(x, 3, 1, 1), 1, "after_pool"),
        ]
        return max_pool(jnp.concatenate(branches, axis=-1), 2, 2)


class Towers(nn.Module):
    """(maps (B, 28, 28, 3), train) -> logits (B, classes)."""

    hidden: int
    classes: int

    @nn.compact
    def __call__(self, maps: jax.Array, train: bool) -> jax.Array:
        towers = []
        for channel, name in enumerate("uv"):
            x = maps[..., channel : channel + 1]
            for number, kernels in enumerate(KERNELS, 1):
                x = Inception(kernels, name=f"{name}_block{number}")(x)
            towers.append(x.reshape(len(x), -1))
        x = jnp.concatenate(towers, axis=-1)
        x = nn.relu(nn.Dense(self.hidden, name="hidden")(x))
        return nn.Dense(self.classes, name="head")(x)
