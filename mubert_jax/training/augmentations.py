"""The augmentations of BYOL (Grill et al., 2020), on the device: colours, blur, solarising.

Images are (B, H, W, 3) float32 in [0, 1]; each is changed by its own key.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from mubert_jax.models.images import LUMA

# RGB -> luma and two axes of chroma (YIQ, NTSC), in whose plane hues are turned.
_TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
_TO_RGB = np.linalg.inv(_TO_YIQ)
# Standard deviations of the blur, in pixels of a 224-pixel frame.
_SIGMAS = (0.1, 2.0)


@dataclass(frozen=True)
class Augmentation:
    """How likely each change is, and how strong.

    `brightness`, `contrast` and `saturation` are largest relative changes, `hue` a share of a turn;
    all of them together happen with the probability `jitter`.
    """

    jitter: float = 0.8
    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.2
    hue: float = 0.1
    grey: float = 0.2
    blur: float = 1.0
    solarise: float = 0.0
    flip: float = 0.5


def augmented(keys_B: jax.Array, images: jax.Array, how: Augmentation) -> jax.Array:
    """Each image changed in its own way, in the order of the fields of `Augmentation`."""
    return jax.vmap(lambda key, image: _one(key, image, how))(keys_B, images)


def _one(key: jax.Array, image: jax.Array, how: Augmentation):
    keys = jax.random.split(key, 6)

    def sometimes(number: int, probability: float, changed: jax.Array, image: jax.Array):
        happens = jax.random.uniform(jax.random.fold_in(keys[number], 1)) < probability
        return jnp.where(happens, changed, image)

    image = sometimes(0, how.jitter, _jittered(keys[0], image, how), image)
    luma = jnp.broadcast_to((image @ LUMA)[..., None], image.shape)
    image = sometimes(1, how.grey, luma, image)
    if how.blur:
        image = sometimes(2, how.blur, _blurred(keys[2], image), image)
    if how.solarise:
        image = sometimes(3, how.solarise, jnp.where(image < 0.5, image, 1 - image), image)
    return sometimes(4, how.flip, image[:, ::-1], image)


def _jittered(key: jax.Array, image: jax.Array, how: Augmentation):
    most = jnp.array([how.brightness, how.contrast, how.saturation, how.hue])
    brightness, contrast, saturation, hue = jax.random.uniform(key, (4,), minval=-1) * most
    image *= 1 + brightness
    image = (image - jnp.mean(image @ LUMA)) * (1 + contrast) + jnp.mean(image @ LUMA)
    luma = (image @ LUMA)[..., None]
    image = (image - luma) * (1 + saturation) + luma
    angle = 2 * jnp.pi * hue
    turn = jnp.array(
        [
            [1.0, 0.0, 0.0],
            [0.0, jnp.cos(angle), -jnp.sin(angle)],
            [0.0, jnp.sin(angle), jnp.cos(angle)],
        ]
    )
    return jnp.clip(image @ (_TO_RGB @ turn @ _TO_YIQ).T, 0, 1)


def _blurred(key: jax.Array, image: jax.Array):
    """A Gaussian blur of a random width; edges are repeated."""
    side = image.shape[0]
    low, high = (sigma * side / 224 for sigma in _SIGMAS)
    sigma = jax.random.uniform(key, minval=low, maxval=high)
    reach = max(1, int(np.ceil(2.5 * high)))
    weights = jnp.exp(-jnp.square(jnp.arange(-reach, reach + 1) / sigma) / 2)
    weights /= weights.sum()
    for axis in (0, 1):
        width = [(0, 0)] * 3
        width[axis] = (reach, reach)
        padded = jnp.pad(image, width, mode="edge")
        shifted = (
            jax.lax.slice_in_dim(padded, i, i + side, axis=axis) for i in range(len(weights))
        )
        image = sum((w * x for w, x in zip(weights, shifted, strict=True)), jnp.zeros(()))
    return image
