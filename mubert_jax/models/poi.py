"""Patch of Interest (POI), section 4.6: where the contextual token looks."""

import jax
import jax.numpy as jnp

from mubert_jax.config import POIConfig


def poi_scores(contextual_row_Bxhxl: jax.Array) -> jax.Array:
    """S of eq. (11) from the contextual token's last attention row (B, h, N + 1).

    The mean over heads, of the patches only, renormalised: (B, N), each row sums to 1.
    """
    patches_BxN = jnp.mean(contextual_row_Bxhxl, axis=1)[:, 1:]
    return patches_BxN / jnp.sum(patches_BxN, axis=-1, keepdims=True)


def interest(scores_BxN: jax.Array, config: POIConfig) -> jax.Array:
    """S as it enters W = diag(Â) × S, eq. (12): S·N (mean 1), or S itself if `literal`."""
    return scores_BxN * scores_BxN.shape[-1] if config.scale == "mean_one" else scores_BxN
