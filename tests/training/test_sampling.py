"""Cubic sampling, by gathers and by shifts, and where a step takes which."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import fresh_state, step_of, tiny_config
from lowered import lowered_for, places_gathered

from mubert_jax.training.sampling import by_gathers, by_shifts, sample

WAYS = pytest.mark.parametrize(
    "way", [by_gathers, functools.partial(by_shifts, reach=3)], ids=["gathers", "shifts"]
)


@WAYS
def test_sampling_at_pixels_is_the_image_and_between_them_follows_a_ramp(way):
    rows, columns = jnp.mgrid[:20, :30].astype(jnp.float32)
    image = np.random.default_rng(0).random((20, 30, 3), np.float32)
    np.testing.assert_allclose(way(image, rows, columns), image, atol=1e-6)
    ramp = (2 * rows + 3 * columns)[..., None]
    inside = np.s_[3:-3, 3:-3]
    moved = way(ramp, rows + 0.3, columns - 0.7)
    np.testing.assert_allclose(moved[inside], (ramp + 2 * 0.3 - 3 * 0.7)[inside], atol=1e-4)


def keys_weight(distance):
    """Keys' cubic convolution kernel, a = -1/2."""
    d = np.abs(distance)
    near, far = 1.5 * d**3 - 2.5 * d**2 + 1, -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2
    return np.where(d <= 1, near, np.where(d < 2, far, 0))


@WAYS
def test_between_pixels_and_beyond_the_edges_a_sample_is_keys_cubic_convolution(way):
    """Up to the three pixels of reach, in every direction."""
    random = np.random.default_rng(0)
    image = random.random((6, 9, 2))
    y, x = np.mgrid[:6, :9] + random.uniform(-3, 3, (2, 6, 9))
    y[0, 0], x[0, 0], y[5, 8], x[5, 8] = -3, -3, 8, 11
    wide = np.pad(image, ((9, 9), (9, 9), (0, 0)), mode="edge")
    weights_y = keys_weight(y[..., None] - np.arange(-9, 15))
    weights_x = keys_weight(x[..., None] - np.arange(-9, 18))
    expected = np.einsum("ijr,ijc,rck->ijk", weights_y, weights_x, wide)
    found = way(jnp.asarray(image, jnp.float32), jnp.float32(y), jnp.float32(x))
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_gathers_are_seen():
    image, place = jnp.zeros((8, 8, 3)), jnp.zeros((8, 8))
    looks = functools.partial(sample, reach=1)
    assert places_gathered(lowered_for("cuda", looks, image, place, place)) == 8 * 8
    assert places_gathered(lowered_for("tpu", looks, image, place, place)) == 0


def test_a_step_on_a_tpu_gathers_no_pixels(noise_batch):
    """A TPU takes as long for a single pixel as for a tile."""
    config = tiny_config(
        model__dma__reads="motion",
        loss__agreement="mse",
        loss__warp_weight=1.0,
        loss__warp__surroundings=0.5,
        loss__expectation_weight=1.0,
    )
    state = jax.eval_shape(lambda: fresh_state(config))
    text = lowered_for("tpu", step_of(config), state, noise_batch)
    assert "stablehlo.dot_general" in text
    assert places_gathered(text) < config.model.image_size
