"""Frames as the networks read them, and grey levels back from these."""

import jax
import jax.numpy as jnp
import numpy as np

# The usual statistics of ImageNet's RGB images in [0, 1], as torchvision gives them.
IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
IMAGENET_STD = np.array([0.229, 0.224, 0.225], np.float32)
# Luma by ITU-R BT.601, as in OpenCV.
LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def normalise(images_uint8: jax.Array) -> jax.Array:
    """Images (..., 3) in levels of 255 -> float32, divided by 255, standardised as on ImageNet."""
    return (images_uint8.astype(jnp.float32) / 255.0 - IMAGENET_MEAN) / IMAGENET_STD


def grey_levels(images: jax.Array) -> jax.Array:
    """Normalised images (..., 3) -> luma (...) in levels of 255, float32."""
    return jnp.sum((images * IMAGENET_STD + IMAGENET_MEAN) * (255 * LUMA), axis=-1)
