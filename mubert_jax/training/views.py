"""From stored frames to the views that a step learns from: degrade and crop, on the device.

Every random choice about a pair comes from the pair's own key: the run's key folded with the pair's
global index.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from mubert_jax.config import AugmentationConfig, CropConfig
from mubert_jax.models.images import IMAGENET_MEAN, IMAGENET_STD
from mubert_jax.training.degradation import light


def pair_keys(key: jax.Array, index_B: jax.Array) -> jax.Array:
    """One key per pair, (B,): a function of the run's key and the pair's global index alone."""
    return jax.vmap(lambda index: jax.random.fold_in(key, index))(index_B)


def degraded_alike(
    keys_B: jax.Array, views: Sequence[jax.Array], config: AugmentationConfig
) -> Sequence[jax.Array]:
    """Views of one moment, each (B, H, W, 3) and normalised, under one new light for all of them.

    Noise is added to the last view only: of two views the first is the target and stays clean.
    """
    if not (config.gain or config.gradient or config.noise):
        return views

    def one(key: jax.Array, images: Sequence[jax.Array]) -> list[jax.Array]:
        of_light, of_strength, of_noise = jax.random.split(key, 3)
        gain = light(of_light, images[0].shape[:2], config.gain, config.gradient)
        strength = config.noise / 255 * jax.random.uniform(of_strength)
        lit = [(image * IMAGENET_STD + IMAGENET_MEAN) * gain[..., None] for image in images]
        clean = lit[:-1]
        noise = strength * jax.random.normal(of_noise, lit[-1].shape)
        return [(image - IMAGENET_MEAN) / IMAGENET_STD for image in (*clean, lit[-1] + noise)]

    return jax.vmap(one)(keys_B, views)


def random_crops(
    keys_B: jax.Array,
    images_BxHxWxC: jax.Array,
    count: int,
    size: int,
    scale: tuple[float, float],
    config: CropConfig,
) -> list[jax.Array]:
    """`count` random resized crops (B, size, size, C) of every image."""

    def crop(i: int) -> jax.Array:
        keys = jax.vmap(lambda key: jax.random.fold_in(key, i))(keys_B)
        return jax.vmap(lambda key, image: _random_resized_crop(key, image, size, scale, config))(
            keys, images_BxHxWxC
        )

    return [crop(i) for i in range(count)]


def _random_resized_crop(
    key: jax.Array,
    image_HxWxC: jax.Array,
    size: int,
    scale: tuple[float, float],
    config: CropConfig,
):
    """A random box inside the image, resampled to size²: `scale` is its share of the area.

    The aspect is drawn on a logarithmic scale, as in torchvision's RandomResizedCrop.
    """
    of_area, of_aspect, of_row, of_column = jax.random.split(key, 4)
    height, width, channels = image_HxWxC.shape
    area = jax.random.uniform(of_area, minval=scale[0], maxval=scale[1])
    low, high = np.log(config.aspect)
    aspect = jnp.exp(jax.random.uniform(of_aspect, minval=low, maxval=high))
    box_height = jnp.minimum(jnp.sqrt(area * aspect), 1.0) * height
    box_width = jnp.minimum(jnp.sqrt(area / aspect), 1.0) * width
    top = jax.random.uniform(of_row) * (height - box_height)
    left = jax.random.uniform(of_column) * (width - box_width)
    zoom = jnp.stack([size / box_height, size / box_width])
    translation = -jnp.stack([top, left]) * zoom
    return jax.image.scale_and_translate(
        image_HxWxC, (size, size, channels), (0, 1), zoom, translation, "linear"
    )
