"""Paired augmentation: onset and apex are changed alike, so that what differs still is movement."""

import jax
import jax.numpy as jnp

from mubert_jax.config import RecognitionConfig
from mubert_jax.training.warps import sample


def augmented(key, onset_HxWxC, apex_HxWxC, config: RecognitionConfig):
    """Both frames, uint8, under one drawn flip, shift and gain of light; float32 grey levels."""
    of_flip, of_shift, of_gain = jax.random.split(key, 3)
    side = onset_HxWxC.shape[0]
    flip = config.flip & jax.random.bernoulli(of_flip)
    shift = jax.random.uniform(of_shift, (2,), minval=-1) * config.shift * side
    gain = 1 + jax.random.uniform(of_gain, minval=-1) * config.gain
    rows, columns = jnp.mgrid[:side, :side].astype(jnp.float32)
    columns = jnp.where(flip, side - 1 - columns, columns)

    def change(image_HxWxC):
        moved = sample(image_HxWxC.astype(jnp.float32), rows + shift[0], columns + shift[1])
        return jnp.clip(moved * gain, 0, 255)

    return change(onset_HxWxC), change(apex_HxWxC)
