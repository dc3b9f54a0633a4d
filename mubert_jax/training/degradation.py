"""The degradation model: a frame under another light, with other noise, compressed anew."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy.fft import dct

_BLOCK = 8
# As a matrix: products of 8 × 8 cost an accelerator less than the FFT of jax.scipy.fft.dctn.
_COSINES = dct(np.eye(_BLOCK, dtype=np.float32), axis=0, norm="ortho")
_TO_YCC = np.array([[0.299, 0.587, 0.114], [-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]])
_BLACK = np.array([128.0, 0.0, 0.0])
# Quantisation of brightness at quality 50, Annex K of the JPEG standard; of colour, half as fine
# again at low frequencies: near enough for noise.
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
_COLOUR = np.array([1.0, 1.5, 1.5])


def light(key, shape: tuple[int, int], gain: float, gradient: float):
    """What the light does to every pixel (H, W): a gain, and one from side to side."""
    of_gain, of_gradient, of_angle = jax.random.split(key, 3)
    height, width = shape
    angle = jax.random.uniform(of_angle, maxval=2 * np.pi)
    y, x = jnp.mgrid[:height, :width]
    across = (x / width - 0.5) * jnp.cos(angle) + (y / height - 0.5) * jnp.sin(angle)
    slope = gradient * jax.random.uniform(of_gradient, minval=-1)
    return 1 + gain * jax.random.uniform(of_gain, minval=-1) + slope * across


def sensor_noise(key, image_HxWx3, deviation):
    """Noise of a grey-level image; `deviation` is that of middle grey, light grows it."""
    growth = jnp.sqrt(0.4 + 1.2 * jnp.clip(image_HxWx3 / 255, 0, 1))
    return deviation * growth * jax.random.normal(key, image_HxWx3.shape)


def compressed(image_HxWx3, quality):
    """Grey levels after JPEG's quantisation, without its halving of the colours.

    Height and width are multiples of 8; `quality` is 50 to 100.
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
