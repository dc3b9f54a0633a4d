"""Which way a patch moved: a step of Lucas and Kanade between DMA's queries; beyond the paper."""

from collections.abc import Callable

import jax.numpy as jnp

# Of the squared change of q a pixel, in the calibrated map's unit: flatter patches stay put.
FLAT = 0.03


def displacement(queries: Callable, current_BxHxWxC, reference_BxHxWxC):
    """How far each patch moved from the current frame to the reference, (B, N, 2) pixels.

    (x, y), to the right and down: u_i = argmin |q_i(r) - q_i(t) + u·∇q_i|² / sqrt(D) + FLAT |u|²,
    with ∇q_i the change of q_i a pixel in the mean of both frames. It is 0 for equal frames.

    Args:
      queries: DMA's q, affine in the pixels: images -> (B, N, D).
    """
    mean_BxHxWxC = (current_BxHxWxC + reference_BxHxWxC) / 2
    first_BxNxD, second_BxNxD = queries(current_BxHxWxC), queries(reference_BxHxWxC)
    change_BxNxD, middle_BxNxD = second_BxNxD - first_BxNxD, (first_BxNxD + second_BxNxD) / 2
    x_BxNxD, y_BxNxD = (
        queries(mean_BxHxWxC + slope) - middle_BxNxD for slope in _slopes(mean_BxHxWxC)
    )

    def product(a_BxNxD, b_BxNxD):
        return jnp.sum(a_BxNxD * b_BxNxD, axis=-1) * a_BxNxD.shape[-1] ** -0.5

    xx, xy, yy = product(x_BxNxD, x_BxNxD), product(x_BxNxD, y_BxNxD), product(y_BxNxD, y_BxNxD)
    along_x, along_y = product(x_BxNxD, change_BxNxD), product(y_BxNxD, change_BxNxD)
    xx, yy = xx + FLAT, yy + FLAT
    solved = jnp.stack([xy * along_y - yy * along_x, xy * along_x - xx * along_y], axis=-1)
    return solved / (xx * yy - xy**2)[..., None]


def _slopes(images_BxHxWxC):
    """Central differences along x and along y."""
    padded = jnp.pad(images_BxHxWxC, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    yield (padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]) / 2
    yield (padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]) / 2
