"""From stored frames to the views that a step learns from: normalise, crop; all on the device.

Every random choice about a pair comes from the pair's own key: the run's seed folded with the
pair's global index.
"""

import jax
import jax.numpy as jnp
import numpy as np

from mubert_jax.config import AugmentationConfig, CropConfig
from mubert_jax.training.degradation import light

IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
IMAGENET_STD = np.array([0.229, 0.224, 0.225], np.float32)


def normalise(images_uint8):
    """(..., 3) grey levels of 255 -> float32, /255, ImageNet mean and standard deviation."""
    return (images_uint8.astype(jnp.float32) / 255.0 - IMAGENET_MEAN) / IMAGENET_STD


def pair_keys(key, index_B):
    """One key per pair, (B,): a function of the run's key and the pair's global index alone."""
    return jax.vmap(lambda index: jax.random.fold_in(key, index))(index_B)


def degraded_alike(keys_B, views, config: AugmentationConfig):
    """Views of one moment (each (B, H, W, C), normalised) under one new light, each with its noise.

    The first view is the target and stays free of noise where there are several.
    """
    if not (config.gain or config.gradient or config.noise):
        return views

    def one(key, images):
        of_light, of_strength, of_noise = jax.random.split(key, 3)
        gain = light(of_light, images[0].shape[:2], config.gain, config.gradient)
        strength = config.noise / 255 * jax.random.uniform(of_strength)
        lit = [(image * IMAGENET_STD + IMAGENET_MEAN) * gain[..., None] for image in images]
        clean = lit[:-1]
        noise = strength * jax.random.normal(of_noise, lit[-1].shape)
        return [(image - IMAGENET_MEAN) / IMAGENET_STD for image in (*clean, lit[-1] + noise)]

    return jax.vmap(one)(keys_B, views)


def random_crops(keys_B, images_BxHxWxC, count: int, size: int, scale, config: CropConfig):
    """`count` random resized crops of every image: a list of (B, size, size, C)."""

    def crop(i):
        keys = jax.vmap(lambda key: jax.random.fold_in(key, i))(keys_B)
        return jax.vmap(lambda key, image: _random_resized_crop(key, image, size, scale, config))(
            keys, images_BxHxWxC
        )

    return [crop(i) for i in range(count)]


def _random_resized_crop(key, image_HxWxC, size, scale, config):
    """A box of `scale` (share of the area) and `aspect`, anywhere inside, resampled to size²."""
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
