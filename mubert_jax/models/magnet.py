"""MagNet (Oh et al., 2018): the movement from one frame to another, shown so many times as large.

Frames are (B, H, W, 3) in [-1, 1], their sides multiples of 4 of at least `LEAST_SIDE` pixels.
"""

from dataclasses import dataclass

import flax.linen as nn
import jax
import jax.numpy as jnp

# Textures have a quarter of the frame's sides.
STRIDE = 4
# Shorter sides are too short for the reflection around the widest convolution, at half of them.
LEAST_SIDE = 8
# Residual blocks begin near the identity: a stack of 15 would multiply what passes through it.
SMALL = 0.1


@dataclass(frozen=True)
class Layout:
    """What the paper's network and its common PyTorch port differ in; the defaults are the paper's.

    Attributes:
      biases: whether convolutions have them.
      shape_conv: whether a convolution is before the blocks of the shape, as one is before those of
        the texture.
      texture_conv: whether one follows where the texture is enlarged.
      difference_side: of the kernel that reads the difference of two shapes.
      less_one: whether a factor of α multiplies that by α - 1, to which the movement itself is
        added, and not by α.
    """

    biases: bool = True
    shape_conv: bool = False
    texture_conv: bool = True
    difference_side: int = 7
    less_one: bool = True


PAPER = Layout()
PORT = Layout(biases=False, shape_conv=True, texture_conv=False, difference_side=3, less_one=False)


class MagNet(nn.Module):
    """What `encode`, `manipulate` and `decode` do one after the other: (B, H, W, 3)."""

    layout: Layout = PAPER

    def setup(self) -> None:
        self.encoder = Encoder(self.layout)
        self.manipulator = Manipulator(self.layout)
        self.decoder = Decoder(self.layout)

    def __call__(self, first: jax.Array, second: jax.Array, factor: jax.Array) -> jax.Array:
        """`second`, `factor` (B,) times as far from `first`."""
        texture, shape = self.encode(jnp.concatenate([first, second]))
        before, after = jnp.split(shape, 2)
        return self.decode(texture[len(first) :], self.manipulate(before, after, factor))

    def encode(self, images: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Texture (B, H/4, W/4, 32) and shape (B, H/2, W/2, 32)."""
        return self.encoder(images)

    def manipulate(self, before: jax.Array, after: jax.Array, factor: jax.Array) -> jax.Array:
        """The shape `after`, `factor` (B,) times as far from the shape `before`."""
        return self.manipulator(before, after, factor)

    def decode(self, texture: jax.Array, shape: jax.Array) -> jax.Array:
        """The frame of this texture and shape."""
        return self.decoder(texture, shape)


class Encoder(nn.Module):
    layout: Layout

    @nn.compact
    def __call__(self, images: jax.Array) -> tuple[jax.Array, jax.Array]:
        conv = _Convolutions(self.layout.biases)
        x = nn.relu(conv(images, 16, 7, "conv_1"))
        x = nn.relu(conv(x, 32, 3, "conv_2", stride=2))
        x = conv.blocks(x, 3, "blocks")
        texture = nn.relu(conv(x, 32, 3, "texture_conv", stride=2))
        shape = nn.relu(conv(x, 32, 3, "shape_conv")) if self.layout.shape_conv else x
        return conv.blocks(texture, 2, "texture_blocks"), conv.blocks(shape, 2, "shape_blocks")


class Manipulator(nn.Module):
    layout: Layout

    @nn.compact
    def __call__(self, before: jax.Array, after: jax.Array, factor: jax.Array) -> jax.Array:
        conv = _Convolutions(self.layout.biases)
        moved = nn.relu(conv(after - before, 32, self.layout.difference_side, "difference"))
        moved *= (factor - self.layout.less_one)[:, None, None, None]
        return after + conv.block(conv(moved, 32, 3, "conv"), "block")


class Decoder(nn.Module):
    layout: Layout

    @nn.compact
    def __call__(self, texture: jax.Array, shape: jax.Array) -> jax.Array:
        conv = _Convolutions(self.layout.biases)
        texture = _twice(texture)
        if self.layout.texture_conv:
            texture = nn.relu(conv(texture, 32, 3, "texture_conv"))
        x = conv.blocks(jnp.concatenate([texture, shape], axis=-1), 9, "blocks")
        return conv(nn.relu(conv(_twice(x), 32, 3, "conv_1")), 3, 7, "conv_2")


@dataclass(frozen=True)
class _Convolutions:
    """Convolutions of the module in whose call they are made; frames are reflected around them."""

    biases: bool

    def __call__(
        self, x: jax.Array, width: int, side: int, name: str, stride: int = 1, first: float = 1.0
    ):
        """`first` is the variance of what it gives before a training, over that of x."""
        around = (side // 2, side // 2)
        padded = jnp.pad(x, ((0, 0), around, around, (0, 0)), mode="reflect")
        return nn.Conv(
            width,
            (side, side),
            (stride, stride),
            "VALID",
            use_bias=self.biases,
            kernel_init=nn.initializers.variance_scaling(first, "fan_in", "truncated_normal"),
            name=name,
        )(padded)

    def block(self, x: jax.Array, name: str):
        """A residual block as wide as x."""
        width = x.shape[-1]
        y = nn.relu(self(x, width, 3, f"{name}.conv_1"))
        return x + self(y, width, 3, f"{name}.conv_2", first=SMALL)

    def blocks(self, x: jax.Array, count: int, name: str):
        for i in range(count):
            x = self.block(x, f"{name}.{i}")
        return x


def _twice(x: jax.Array) -> jax.Array:
    """(B, h, w, C) -> (B, 2h, 2w, C), the nearest pixel of each."""
    return x.repeat(2, axis=1).repeat(2, axis=2)
