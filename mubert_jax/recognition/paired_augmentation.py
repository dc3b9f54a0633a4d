"""Augmentation of labelled pairs: onset and apex are changed alike."""

import math
from functools import partial

import jax
import jax.numpy as jnp

from mubert_jax.config import RecognitionConfig
from mubert_jax.training.sampling import sample


@partial(jax.jit, static_argnames="config")
def copies_of(
    keys_B: jax.Array,
    copy: int,
    onset_BxHxWxC: jax.Array,
    apex_BxHxWxC: jax.Array,
    config: RecognitionConfig,
) -> tuple[jax.Array, ...]:
    """A copy of each pair, float32; copy 0 is the pair itself."""

    def of_pair(key: jax.Array, onset: jax.Array, apex: jax.Array) -> tuple[jax.Array, ...]:
        changed = augmented(jax.random.fold_in(key, copy), onset, apex, config)
        frames = (onset.astype(jnp.float32), apex.astype(jnp.float32))
        return tuple(jnp.where(copy > 0, a, b) for a, b in zip(changed, frames, strict=True))

    return jax.vmap(of_pair)(keys_B, onset_BxHxWxC, apex_BxHxWxC)


def augmented(
    key: jax.Array, onset_HxWxC: jax.Array, apex_HxWxC: jax.Array, config: RecognitionConfig
) -> tuple[jax.Array, jax.Array]:
    """Both frames under one random flip, shift and gain of light; float32, levels of 255.

    They are changed alike, so that they still differ by movement alone.
    """
    of_flip, of_shift, of_gain = jax.random.split(key, 3)
    side = onset_HxWxC.shape[0]
    flip = config.flip & jax.random.bernoulli(of_flip)
    shift = jax.random.uniform(of_shift, (2,), minval=-1) * config.shift * side
    gain = 1 + jax.random.uniform(of_gain, minval=-1) * config.gain
    rows, columns = jnp.mgrid[:side, :side].astype(jnp.float32)
    down, right = shift[0], jnp.where(flip, -shift[1], shift[1])
    reach = math.ceil(config.shift * side)

    def change(image_HxWxC: jax.Array) -> jax.Array:
        image = jnp.where(flip, image_HxWxC[:, ::-1], image_HxWxC).astype(jnp.float32)
        moved = sample(image, rows + down, columns + right, reach)
        return jnp.clip(moved * gain, 0, 255)

    return change(onset_HxWxC), change(apex_HxWxC)
