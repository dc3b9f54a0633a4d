"""How DMA and POI are read together, beyond the paper: where the face is, and what moved there."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from mubert_jax.models.dma import motion_log_odds

# Chosen on synthetic people that are neither trained nor tested on.
# The standard deviation of the window that smooths S, as a share of the frame's side.
WIDTH = 0.1
# The share of its peak at which the smoothed S counts half, and how fast it counts all or nothing
# above or below.
HALF = 0.75
SHARPNESS = 20
# The power of the probability that a patch moved, by which m is multiplied.
CONFIDENCE = 2


def focus(scores_BxN: jax.Array) -> jax.Array:
    """S (B, N) of eq. (11), smoothed and nearly all or nothing: S'·N, mean 1.

    One attention row is uneven over the face, patch by patch, and keeps a little for everything
    else; read like this, it is even on the face and nearly 0 elsewhere.
    """
    side = round(scores_BxN.shape[-1] ** 0.5)
    place = jnp.arange(side)
    window = jnp.exp(-(((place[:, None] - place) / (WIDTH * side)) ** 2) / 2)
    window /= window.sum(1, keepdims=True)
    grid = scores_BxN.reshape(-1, side, side)
    smooth_BxN = jnp.einsum("ij,bjk,lk->bil", window, grid, window).reshape(scores_BxN.shape)
    share_BxN = smooth_BxN / jnp.max(smooth_BxN, axis=-1, keepdims=True)
    looked_at_BxN = jax.nn.sigmoid(SHARPNESS * jnp.log(share_BxN / HALF + 1e-9))
    return looked_at_BxN / jnp.mean(looked_at_BxN, axis=-1, keepdims=True)


def evidence(
    map_BxN: jax.Array,
    focus_BxN: jax.Array,
    log_odds: Callable[[jax.Array, jax.Array], jax.Array] = motion_log_odds,
) -> jax.Array:
    """W = m · P(moved)² · S'·N, (B, N): what moved, where POI looks.

    P(moved) is what the calibrated map m was trained to give, by `log_odds` of the map and the
    noise (B, 1). The noise is measured where POI looks, so that a moving background does not hide
    the face.
    """
    floor_Bx1 = weighted_median(map_BxN, focus_BxN)
    moved_BxN = jax.nn.sigmoid(log_odds(map_BxN, floor_Bx1))
    return map_BxN * moved_BxN**CONFIDENCE * focus_BxN


def weighted_median(values_BxN: jax.Array, weights_BxN: jax.Array) -> jax.Array:
    """(B, 1): the smallest value that half of the weight is at or below."""
    order = jnp.argsort(values_BxN, axis=-1)
    weight_BxN = jnp.cumsum(jnp.take_along_axis(weights_BxN, order, axis=-1), axis=-1)
    half = jnp.argmax(weight_BxN >= weight_BxN[:, -1:] / 2, axis=-1, keepdims=True)
    return jnp.take_along_axis(jnp.take_along_axis(values_BxN, order, axis=-1), half, axis=-1)
