"""Which way a patch moved: a Lucas-Kanade step between DMA's queries; beyond the paper."""

from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp

# Damps the step, in units of the calibrated map per squared pixel: patches whose q changes less per
# pixel hardly move. A larger value shortens the displacements of faint texture, a smaller one lets
# noise move flat patches.
FLAT = 0.03


def displacement(
    queries: Callable[[jax.Array], jax.Array],
    current_BxHxWxC: jax.Array,
    reference_BxHxWxC: jax.Array,
) -> jax.Array:
    """How far each patch moved from the current frame to the reference, (B, N, 2) pixels.

    (x, y), to the right and down: u_i = argmin |q_i(r) - q_i(t) + u·∇q_i|² / sqrt(D) + FLAT |u|²,
    where ∇q_i is the change of q_i per pixel in the mean of both frames. It is 0 for equal frames.

    Args:
      queries: DMA's q, affine in the pixels: images -> (B, N, D).
    """
    mean_BxHxWxC = (current_BxHxWxC + reference_BxHxWxC) / 2
    first_BxNxD, second_BxNxD = queries(current_BxHxWxC), queries(reference_BxHxWxC)
    change_BxNxD, middle_BxNxD = second_BxNxD - first_BxNxD, (first_BxNxD + second_BxNxD) / 2
    x_BxNxD, y_BxNxD = (
        queries(mean_BxHxWxC + slope) - middle_BxNxD for slope in _slopes(mean_BxHxWxC)
    )

    def product(a_BxNxD: jax.Array, b_BxNxD: jax.Array):
        return jnp.sum(a_BxNxD * b_BxNxD, axis=-1) * a_BxNxD.shape[-1] ** -0.5

    xx, xy, yy = product(x_BxNxD, x_BxNxD), product(x_BxNxD, y_BxNxD), product(y_BxNxD, y_BxNxD)
    along_x, along_y = product(x_BxNxD, change_BxNxD), product(y_BxNxD, change_BxNxD)
    xx, yy = xx + FLAT, yy + FLAT
    solved = jnp.stack([xy * along_y - yy * along_x, xy * along_x - xx * along_y], axis=-1)
    return solved / (xx * yy - xy**2)[..., None]


def _slopes(images_BxHxWxC: jax.Array) -> Iterator[jax.Array]:
    """Central differences along x and along y."""
    padded = jnp.pad(images_BxHxWxC, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    yield (padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]) / 2
    yield (padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]) / 2
