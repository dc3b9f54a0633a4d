"""Blockwise Swapping, Algorithm 1 and Figure 4."""

import jax
import jax.numpy as jnp

from mubert_jax.config import SwappingConfig
from mubert_jax.models.vit import patchify, unpatchify


def draw_block(
    key: jax.Array, missing: jax.Array, grid: int, config: SwappingConfig
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """One block of Algorithm 1, in patches: int32 (top, left, height, width), inside the grid.

    Its size is uniform in [min_block, missing] (min_block where less is missing), its aspect ratio
    log-uniform in [min_aspect, 1 / min_aspect], so that neither direction is favoured, and its
    place uniform over all places where it fits. Sides are rounded and clamped to the grid.
    """
    of_size, of_aspect, of_row, of_column = jax.random.split(key, 4)
    largest = jnp.maximum(missing, config.min_block)
    size = jax.random.uniform(of_size, minval=config.min_block, maxval=largest)
    log_aspect = jnp.log(config.min_aspect)
    aspect = jnp.exp(jax.random.uniform(of_aspect, minval=log_aspect, maxval=-log_aspect))
    height = jnp.clip(jnp.round(jnp.sqrt(size * aspect)), 1, grid).astype(jnp.int32)
    width = jnp.clip(jnp.round(jnp.sqrt(size / aspect)), 1, grid).astype(jnp.int32)
    top = jax.random.randint(of_row, (), 0, grid - height + 1)
    left = jax.random.randint(of_column, (), 0, grid - width + 1)
    return top, left, height, width


def blockwise_mask(key: jax.Array, grid: int, config: SwappingConfig) -> jax.Array:
    """Draws which patches come from the reference frame: (grid²,) bool, rows first.

    Blocks are added until the swapped patches, counted once each however many blocks cover them,
    reach ratio·N. No block is larger than what is missing, down to min_block, so the share ends
    within one smallest block of the ratio.
    """
    target = config.ratio * grid**2
    rows, columns = jnp.arange(grid)[:, None], jnp.arange(grid)[None, :]

    def unfinished(carry: tuple[jax.Array, jax.Array]):
        return jnp.sum(carry[1]) < target

    def add_block(carry: tuple[jax.Array, jax.Array]):
        key, mask = carry
        key, block_key = jax.random.split(key)
        top, left, height, width = draw_block(block_key, target - jnp.sum(mask), grid, config)
        inside_rows = (rows >= top) & (rows < top + height)
        inside_columns = (columns >= left) & (columns < left + width)
        return key, mask | (inside_rows & inside_columns)

    start = key, jnp.zeros((grid, grid), bool)
    return jax.lax.while_loop(unfinished, add_block, start)[1].reshape(-1)


def swap(
    current_BxHxWxC: jax.Array, reference_BxHxWxC: jax.Array, mask_BxN: jax.Array, patch_size: int
) -> jax.Array:
    """I_{t/s}: the reference's pixels where the mask is set, the current frame's elsewhere."""
    current = patchify(current_BxHxWxC, patch_size)
    reference = patchify(reference_BxHxWxC, patch_size)
    return unpatchify(jnp.where(mask_BxN[..., None], reference, current), patch_size)
