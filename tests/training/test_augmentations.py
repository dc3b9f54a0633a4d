"""BYOL's augmentations: each is what it says, and nothing happens that was not asked for."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mubert_jax.models.images import LUMA
from mubert_jax.training.augmentations import Augmentation, augmented

NOTHING = Augmentation(jitter=0, grey=0, blur=0, solarise=0, flip=0)
IMAGES = jnp.asarray(np.random.default_rng(0).uniform(0.2, 0.7, (3, 16, 16, 3)), jnp.float32)
KEYS = jax.vmap(jax.random.key)(jnp.arange(3, dtype=jnp.uint32))


def changed(**how) -> np.ndarray:
    recipe = dataclasses.replace(NOTHING, **how)
    return np.asarray(jax.jit(lambda: augmented(KEYS, IMAGES, recipe))())


def test_nothing_asked_for_changes_nothing():
    np.testing.assert_array_equal(changed(), IMAGES)


@pytest.mark.parametrize(
    "how, expected",
    [
        ({"flip": 1}, IMAGES[:, :, ::-1]),
        ({"grey": 1}, jnp.broadcast_to((IMAGES @ LUMA)[..., None], IMAGES.shape)),
        ({"solarise": 1}, jnp.where(IMAGES < 0.5, IMAGES, 1 - IMAGES)),
    ],
)
def test_what_is_certain_happens_to_every_image(how, expected):
    np.testing.assert_allclose(changed(**how), expected, atol=1e-6)


def test_a_turned_hue_keeps_the_luma():
    jitter = {"jitter": 1, "brightness": 0, "contrast": 0, "saturation": 0, "hue": 0.1}
    turned = changed(**jitter)
    inside = ((turned > 0) & (turned < 1)).all(-1)
    assert inside.mean() > 0.9
    np.testing.assert_allclose((turned @ LUMA)[inside], (IMAGES @ LUMA)[inside], atol=0.01)
    assert np.abs(turned - IMAGES).mean() > 0.005


def test_brightness_is_one_factor_per_image():
    factors = changed(jitter=1, contrast=0, saturation=0, hue=0) / np.asarray(IMAGES)
    whole = (factors < 1 / 0.7).all((1, 2, 3))  # nothing clipped
    means = factors.mean((1, 2, 3), keepdims=True)
    np.testing.assert_allclose(factors[whole], np.broadcast_to(means, factors.shape)[whole], 0.02)
    assert len(set(np.round(means.ravel(), 3))) == 3 and (np.abs(means - 1) <= 0.4).all()


def test_a_blur_takes_detail_and_keeps_the_mean():
    side = jnp.tile(IMAGES, (1, 6, 6, 1))  # as wide as sigmas of a pixel need
    recipe = dataclasses.replace(NOTHING, blur=1)
    blurred = np.asarray(jax.jit(lambda: augmented(KEYS, side, recipe))())
    assert (blurred.std((1, 2, 3)) < 0.9 * np.asarray(side).std((1, 2, 3))).any()
    np.testing.assert_allclose(blurred.mean((1, 2)), np.asarray(side).mean((1, 2)), atol=0.01)
