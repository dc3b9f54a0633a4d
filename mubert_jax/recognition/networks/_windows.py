"""Convolutions and pools over windows that are laid out in memory.

XLA's small convolutions, their gradients above all, are slow on a CPU; a product of matrices is
not. The results are those of `nn.Conv` and `nn.max_pool`.
"""

import functools
from collections.abc import Iterator

import flax.linen as nn
import jax
import jax.numpy as jnp


def shifted(x: jax.Array, side: int, stride: int = 1, padding: int = 0) -> Iterator[jax.Array]:
    """The side² pixels of each window, in rows, (B, H', W', C) each; zeros beyond the border."""
    around = ((0, 0), (padding, padding), (padding, padding), (0, 0))
    yield from _shifted(jnp.pad(x, around), side, stride)


def _shifted(x: jax.Array, side: int, stride: int) -> Iterator[jax.Array]:
    height, width = (size - side + 1 for size in x.shape[1:3])
    for down in range(side):
        for right in range(side):
            yield x[:, down : down + height : stride, right : right + width : stride]


def max_pool(x: jax.Array, side: int, stride: int, padding: int = 0) -> jax.Array:
    """The largest value of each window, as `nn.max_pool` gives it."""
    around = ((0, 0), (padding, padding), (padding, padding), (0, 0))
    padded = jnp.pad(x, around, constant_values=-jnp.inf) if padding else x
    return functools.reduce(jnp.maximum, _shifted(padded, side, stride))


class Conv(nn.Module):
    """`nn.Conv` with stride 1: (B, H, W, C) -> (B, H', W', features).

    H' = H + 2·padding + 1 - side, and so W'.
    """

    features: int
    side: int
    padding: int = 0
    kernel_init: nn.initializers.Initializer = nn.initializers.lecun_normal()

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = self.side, self.side, x.shape[-1], self.features
        kernel = self.param("kernel", self.kernel_init, shape)
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        windows = jnp.concatenate(list(shifted(x, self.side, padding=self.padding)), axis=-1)
        return windows @ kernel.reshape(-1, self.features) + bias
