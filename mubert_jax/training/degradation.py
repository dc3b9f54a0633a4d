"""The degradation model: a frame under another light, with other noise, compressed again."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy.fft import dct

# JPEG (ITU-T T.81) transforms blocks of 8 × 8.
_BLOCK = 8
# The DCT as a matrix: products of 8 × 8 cost an accelerator less than the FFT behind
# jax.scipy.fft.dctn.
_COSINES = dct(np.eye(_BLOCK, dtype=np.float32), axis=0, norm="ortho")
# RGB to YCbCr, rounded from JFIF (BT.601) and without its offset of the chrominance, and the level
# shift of luminance.
_TO_YCC = np.array([[0.299, 0.587, 0.114], [-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]])
_BLACK = np.array([128.0, 0.0, 0.0])
# Quantisation of luminance at quality 50: Table K.1 of Annex K of the JPEG standard.
_TABLE = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ]
)
# The chrominance steps are taken as 1.5 times those of luminance, not from Table K.2: close
# enough for noise.
_COLOUR = np.array([1.0, 1.5, 1.5])


def light(key: jax.Array, shape: tuple[int, ...], gain: float, gradient: float) -> jax.Array:
    """A random factor for every pixel (H, W): a gain of the whole frame and a linear gradient.

    Args:
      gain: largest relative change over the whole frame.
      gradient: largest relative change from one side of the frame to the other.
    """
    of_gain, of_gradient, of_angle = jax.random.split(key, 3)
    height, width = shape
    angle = jax.random.uniform(of_angle, maxval=2 * np.pi)
    y, x = jnp.mgrid[:height, :width]
    across = (x / width - 0.5) * jnp.cos(angle) + (y / height - 0.5) * jnp.sin(angle)
    slope = gradient * jax.random.uniform(of_gradient, minval=-1)
    return 1 + gain * jax.random.uniform(of_gain, minval=-1) + slope * across


def sensor_noise(key: jax.Array, image_HxWx3: jax.Array, deviation: jax.Array) -> jax.Array:
    """Gaussian noise for an image in grey levels of 255, stronger where the image is brighter.

    `deviation` is the standard deviation at middle grey. The variance is linear in brightness, as
    read noise and shot noise together are; the coefficients 0.4 and 1.2 are a choice and give
    0.63 of the deviation at black and 1.26 at white.
    """
    growth = jnp.sqrt(0.4 + 1.2 * jnp.clip(image_HxWx3 / 255, 0, 1))
    return deviation * growth * jax.random.normal(key, image_HxWx3.shape)


def compressed(image_HxWx3: jax.Array, quality: jax.Array) -> jax.Array:
    """Grey levels after JPEG's quantisation, without its chroma subsampling.

    Height and width are multiples of 8; `quality` is 50 to 100, scaled as libjpeg does.
    """
    height, width, _ = image_HxWx3.shape
    shape = (height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK, 3)
    blocks = (image_HxWx3 @ _TO_YCC.T - _BLACK).reshape(shape)
    scale = (200 - 2 * quality) / 100
    step = jnp.maximum(jnp.round(_TABLE[:, None, :, None] * _COLOUR * scale), 1.0)
    frequencies = jnp.einsum("ij,ajbkc,lk->aiblc", _COSINES, blocks, _COSINES)
    frequencies = jnp.round(frequencies / step) * step
    blocks = jnp.einsum("ij,aiblc,lk->ajbkc", _COSINES, frequencies, _COSINES)
    return (blocks.reshape(image_HxWx3.shape) + _BLACK) @ np.linalg.inv(_TO_YCC).T
