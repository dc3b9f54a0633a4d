"""Images at fractional positions, by cubic convolution (Keys, 1981, with a = -1/2)."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

# An image (H, W, C) and positions y, x (H, W) in pixels -> the image there, (H, W, C) float32.
Sampler = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]


def sample(image_HxWxC: jax.Array, y_HxW: jax.Array, x_HxW: jax.Array, reach: int) -> jax.Array:
    """The image at positions (pixels) up to `reach` pixels away from their own, (H, W, C) float32.

    Edges are repeated. Positions that are further away along an axis are undefined.
    """
    shifts = functools.partial(by_shifts, reach=reach)
    return jax.lax.platform_dependent(image_HxWxC, y_HxW, x_HxW, tpu=shifts, default=by_gathers)


def by_gathers(image_HxWxC: jax.Array, y_HxW: jax.Array, x_HxW: jax.Array) -> jax.Array:
    """`sample` from the 16 pixels around each position, wherever it is."""
    height, width, channels = image_HxWxC.shape
    pixels = image_HxWxC.reshape(-1, channels)
    row, column = jnp.floor(y_HxW), jnp.floor(x_HxW)
    weights_y, weights_x = _between(y_HxW - row), _between(x_HxW - column)
    row, column = row.astype(jnp.int32), column.astype(jnp.int32)
    total = jnp.zeros((*y_HxW.shape, channels))
    for i, weight_y in enumerate(weights_y):
        start = jnp.clip(row + i - 1, 0, height - 1) * width
        for j, weight_x in enumerate(weights_x):
            place = start + jnp.clip(column + j - 1, 0, width - 1)
            total += (weight_y * weight_x)[..., None] * pixels[place]
    return total


def by_shifts(image_HxWxC: jax.Array, y_HxW: jax.Array, x_HxW: jax.Array, reach: int) -> jax.Array:
    """`sample` as a sum over shifts of the whole image: a TPU gathers single pixels slowly."""
    height, width, _ = image_HxWxC.shape
    before, after = reach + 1, reach + 2
    image_CxHxW = image_HxWxC.transpose(2, 0, 1).astype(jnp.float32)
    border = (before, after)
    padded = jnp.pad(image_CxHxW, ((0, 0), border, border), mode="edge")
    rows, columns = jnp.mgrid[:height, :width].astype(jnp.float32)
    down, right = y_HxW - rows, x_HxW - columns

    def add_rows(below: int, total: jax.Array):
        # Bound to this turn: kept from turn to turn, weights of all columns would fill the memory.
        total, right_now = jax.lax.optimization_barrier((total, right))
        strip = jax.lax.dynamic_slice_in_dim(padded, below, height, axis=1)
        across = (
            keys(right_now - (j - before)) * strip[:, :, j : j + width]
            for j in range(before + after + 1)
        )
        return total + keys(down - (below - before)) * functools.reduce(jnp.add, across)

    nothing = jnp.zeros_like(image_CxHxW)
    total = jax.lax.fori_loop(0, before + after + 1, add_rows, nothing)
    return total.transpose(1, 2, 0)


def keys(distance: jax.Array) -> jax.Array:
    """The weight of a pixel at a distance."""
    d = jnp.abs(distance)
    near = (1.5 * d - 2.5) * d * d + 1
    far = ((-0.5 * d + 2.5) * d - 4) * d + 2
    return jnp.where(d < 1, near, jnp.where(d < 2, far, 0))


def _between(t: jax.Array):
    """`keys` of the four pixels at -1, 0, 1 and 2, from a position t between 0 and 1."""
    return (
        ((2 - t) * t - 1) * t / 2,
        (3 * t - 5) * t * t / 2 + 1,
        ((4 - 3 * t) * t + 1) * t / 2,
        (t - 1) * t * t / 2,
    )
