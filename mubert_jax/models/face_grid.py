"""Patches in the coordinates of the face, as POI sees it; beyond the paper.

What a recognizer reads in a fixed place should be the same part of the face, wherever the face is
in the frame and however large. S says where it is: a grid is laid over its middle and its spread.
"""

import jax
import jax.numpy as jnp

# The share of the largest S below which a patch says nothing of where the face is.
BESIDE = 0.1
# How far the grid reaches from the middle of S, in its standard deviations. A smaller one cuts off
# chin and forehead; a larger one spends cells on what is beside the face. Swept from 1.8 to 2.4 on
# drawn people; it hardly matters.
REACH = 1.9


def face_grid(values_BxMxD: jax.Array, poi_scores_BxN: jax.Array) -> jax.Array:
    """Values (B, M, D) of M cells of a frame at M places of a grid over the face, (B, M, D).

    The middle of the grid and its size along each axis are the mean and the spread of S, without
    what is below `BESIDE`; values are interpolated between cells linearly, and repeated beyond the
    frame. Cells are patches, or smaller.
    """
    b, cells, dim = values_BxMxD.shape
    side, grid = round(cells**0.5), round(poi_scores_BxN.shape[-1] ** 0.5)
    largest_Bx1 = jnp.max(poi_scores_BxN, axis=-1, keepdims=True)
    weights_BxN = jnp.maximum(poi_scores_BxN - BESIDE * largest_Bx1, 0)
    weights_BxN /= jnp.sum(weights_BxN, axis=-1, keepdims=True)
    weights_Bxgxg = weights_BxN.reshape(b, grid, grid).astype(jnp.float32)
    down_Bxmxm, across_Bxmxm = (_hats(jnp.sum(weights_Bxgxg, axis), side) for axis in (2, 1))
    values_BxmxmxD = values_BxMxD.reshape(b, side, side, dim).astype(jnp.float32)
    placed = jnp.einsum(
        "bir,bjc,brcd->bijd",
        down_Bxmxm,
        across_Bxmxm,
        values_BxmxmxD,
        precision=jax.lax.Precision.HIGHEST,
    )
    return placed.reshape(b, cells, dim)


def _hats(share_Bxg: jax.Array, side: int) -> jax.Array:
    """The weights (B, places, cells) along an axis of `side` cells, from S along it."""
    grid = share_Bxg.shape[-1]
    patches = (jnp.arange(grid) + 0.5) * (side / grid) - 0.5
    cells = jnp.arange(side)
    middle_Bx1 = jnp.sum(share_Bxg * patches, axis=-1, keepdims=True)
    square_Bx1 = jnp.sum(share_Bxg * (patches - middle_Bx1) ** 2, axis=-1, keepdims=True)
    # 1e-6 keeps the slope of the root finite where S is one patch.
    places_Bxm = middle_Bx1 + jnp.sqrt(square_Bx1 + 1e-6) * jnp.linspace(-REACH, REACH, side)
    places_Bxm = jnp.clip(places_Bxm, 0, side - 1)
    return jnp.maximum(1 - jnp.abs(places_Bxm[..., None] - cells), 0)
