"""A 3 × 3 convolution, ReLU and 3 × 3 max-pool of many folds over the same images, with gradient.

All folds read the same windows, so their convolutions are one product of matrices. Windows are
stored by their place in the window of the pool: the pool is then a maximum of nine slabs, and clips
are processed a few at a time, so that slabs stay in the cache of a processor. A batch norm between
ReLU and pool needs no more than sums: it changes which value of a pool is taken only by its sign.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

# Places in a window of the convolution, and in one of the pool.
PLACES = 9
# Windows of the pool along a side, for 28 pixels, and numbers per window: 3 × 3 × 3 and a one.
POOLED, NUMBERS = 10, 28


class Windows(NamedTuple):
    """The windows of P clips, in chunks of B clips; the last chunk is filled up with empty ones.

    Attributes:
      values: (chunks, 9, B · 100, 28), 3 × 3 × 3 numbers and a one. Pools are ordered as (clip,
        quarter, 25): the quarters are the places within 2 × 2 pools, for a mean over them.
      outside: (9, B · 100, 1), -inf where a pool reaches beyond the image, 0 elsewhere.
    """

    values: jax.Array
    outside: jax.Array

    @property
    def clips(self) -> int:
        """Clips per chunk, B."""
        return self.outside.shape[1] // POOLED**2


def windows_of(maps_Px28x28x3: np.ndarray, clips: int) -> Windows:
    """The windows of maps, so many clips per chunk."""
    count = len(maps_Px28x28x3)
    chunks = -(-count // clips)
    around = ((0, chunks * clips - count), (1, 1), (1, 1), (0, 0))
    padded = np.pad(np.asarray(maps_Px28x28x3, np.float32), around)
    side = maps_Px28x28x3.shape[1]
    shifts = [padded[:, y : y + side, x : x + side] for y in range(3) for x in range(3)]
    there = np.zeros((len(padded), side, side, 1), np.float32)
    there[:count] = 1
    windows = np.concatenate([*shifts, there], axis=-1)
    outside = np.where(_by_place(np.ones_like(there[:clips])) > 0, 0, -np.inf)
    values = _by_place(windows).reshape(PLACES, chunks, clips * POOLED**2, NUMBERS)
    return Windows(
        jnp.asarray(values.swapaxes(0, 1)), jnp.asarray(outside.reshape(PLACES, -1, 1), jnp.float32)
    )


def _by_place(windows: np.ndarray) -> np.ndarray:
    """(P, 28, 28, F) -> (9, P, 4, 25, F): places in a pool, clips, quarters, pools of 2 × 2."""
    padded = np.pad(windows, ((0, 0), (1, 1), (1, 1), (0, 0)))
    half = POOLED // 2
    split = padded.reshape(len(windows), half, 2, 3, half, 2, 3, -1)  # clip, y, Y, dy, x, X, dx
    return split.transpose(3, 6, 0, 2, 5, 1, 4, 7).reshape(PLACES, len(windows), 4, half**2, -1)


@jax.custom_vjp
def pooled(
    kernel_28xN: jax.Array, sign_N: jax.Array, windows: Windows, train_CxBxN: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The pools of ReLU(windows · kernel), and the sums of what is pooled over training clips.

    Args:
      kernel_28xN: The kernels of all folds, a channel per column; the last row is the bias.
      sign_N: 1 where a pool takes the largest value, -1 where it takes the smallest.
      train_CxBxN: 1 for clips whose values are summed, per channel, 0 for others.

    Returns:
      The pools (C, B · 100, N), and the sums of values and of squares (N,).
    """
    best, _, total, squares = _forward(kernel_28xN, sign_N, windows, train_CxBxN)
    return best, total, squares


def _forward(kernel: jax.Array, sign: jax.Array, windows: Windows, train: jax.Array):
    clips, channels = windows.clips, kernel.shape[1]

    def of_chunk(sums: tuple[jax.Array, jax.Array], chunk: tuple[jax.Array, jax.Array]):
        values, trained = chunk

        def summed(x: jax.Array) -> jax.Array:
            return jnp.sum(x.reshape(clips, -1, channels).sum(1) * trained, axis=0)

        slabs = [jax.nn.relu(values[place] @ kernel) for place in range(PLACES)]
        total = functools.reduce(jnp.add, slabs)
        squares = functools.reduce(jnp.add, (slab * slab for slab in slabs))
        best = sign * slabs[0] + windows.outside[0]
        found = jnp.zeros(best.shape, jnp.int8)
        for place in range(1, PLACES):
            candidate = sign * slabs[place] + windows.outside[place]
            found = jnp.where(candidate > best, jnp.int8(place), found)
            best = jnp.maximum(candidate, best)
        sums = sums[0] + summed(total), sums[1] + summed(squares)
        return sums, (sign * best, found)

    nothing = jnp.zeros(channels), jnp.zeros(channels)
    (total, squares), (best, found) = jax.lax.scan(of_chunk, nothing, (windows.values, train))
    return best, found, total, squares


def _pooled_forward(kernel: jax.Array, sign: jax.Array, windows: Windows, train: jax.Array):
    best, found, total, squares = _forward(kernel, sign, windows, train)
    return (best, total, squares), (kernel, windows, train, found)


def _pooled_backward(kept: tuple, gradients: tuple[jax.Array, jax.Array, jax.Array]):
    kernel, windows, train, found = kept
    of_best, of_total, of_squares = gradients
    per_clip = found.shape[1] // windows.clips

    def of_chunk(gradient: jax.Array, chunk: tuple[jax.Array, ...]):
        values, trained, place_of, of_pool = chunk
        constant = jnp.repeat(trained * of_total, per_clip, axis=0)
        slope = jnp.repeat(trained * (2 * of_squares), per_clip, axis=0)
        for place in range(PLACES):
            x = values[place] @ kernel
            of_value = jnp.where(place_of == place, of_pool, 0) + constant + slope * x
            gradient += values[place].T @ jnp.where(x > 0, of_value, 0)
        return gradient, None

    chunks = windows.values, train, found, of_best
    gradient, _ = jax.lax.scan(of_chunk, jnp.zeros_like(kernel), chunks)
    return gradient, None, None, None


pooled.defvjp(_pooled_forward, _pooled_backward)
