"""Movements put on a frame: what moves is known, and nothing else tells the moments apart."""

import dataclasses

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import tiny_config

from mubert_jax.config import MovementConfig
from mubert_jax.data.controlled.clip import ControlledClip
from mubert_jax.training.movements import known_movements, sample
from mubert_jax.training.recording import compressed, light, sensor_noise
from mubert_jax.training.step import make_views

SIDE, PATCH = 64, 8
# The movement and nothing else.
ALONE = MovementConfig(
    amplitude=(3.0, 3.5),
    drift=0.0,
    registered=0.0,
    gain=0.0,
    gradient=0.0,
    noise=(1e-6, 2e-6),
    compressed=0.0,
)


@pytest.fixture(scope="module")
def faces():
    return np.stack([ControlledClip(subject, 0, size=SIDE).frame(0) for subject in range(8)])


def keys(count=8, seed=0):
    return jax.random.split(jax.random.key(seed), count)


def patch_difference(known):
    change = np.abs(np.asarray(known.first) - np.asarray(known.second)).mean(-1)
    grid = SIDE // PATCH
    return change.reshape(-1, grid, PATCH, grid, PATCH).mean((2, 4)).reshape(-1, grid**2)


def test_sampling_at_pixels_is_the_image_and_between_them_follows_a_ramp():
    rows, columns = jnp.mgrid[:20, :30].astype(jnp.float32)
    image = np.random.default_rng(0).random((20, 30, 3), np.float32)
    np.testing.assert_allclose(sample(image, rows, columns), image, atol=1e-6)
    ramp = (2 * rows + 3 * columns)[..., None]
    inside = np.s_[3:-3, 3:-3]
    moved = sample(ramp, rows + 0.3, columns - 0.7)
    np.testing.assert_allclose(moved[inside], (ramp + 2 * 0.3 - 3 * 0.7)[inside], atol=1e-4)


def test_without_nuisances_still_patches_are_equal_and_moved_ones_are_not(faces):
    known = known_movements(keys(), faces, PATCH, ALONE)
    change, moved, still = patch_difference(known), np.asarray(known.moved), np.asarray(known.still)
    assert moved.any() and still.any() and not (moved & still).any()
    assert change[still].max() < 0.75
    assert change[moved].mean() > 10 * change[still].mean()


def test_registration_leaves_its_mark_everywhere_and_no_shift(faces):
    config = dataclasses.replace(ALONE, registered=1.0)
    known = known_movements(keys(), faces, PATCH, config)
    change, moved, still = patch_difference(known), np.asarray(known.moved), np.asarray(known.still)
    assert 0.05 < np.median(change[still]) < change[moved].mean() / 2


@pytest.mark.parametrize(
    "nuisance",
    [{"gain": 0.2}, {"gradient": 0.4}, {"noise": (4.0, 5.0)}, {"drift": 6.0}, {"compressed": 1.0}],
    ids=lambda nuisance: next(iter(nuisance)),
)
def test_every_nuisance_changes_still_patches(faces, nuisance):
    config = dataclasses.replace(ALONE, **nuisance)
    known = known_movements(keys(), faces, PATCH, config)
    quiet = known_movements(keys(), faces, PATCH, ALONE)
    still = np.asarray(known.still)
    np.testing.assert_array_equal(still, quiet.still)
    assert patch_difference(known)[still].mean() > 4 * patch_difference(quiet)[still].mean()


def test_a_function_of_the_key_and_the_frame(faces):
    first = known_movements(keys(), faces, PATCH, MovementConfig())
    again = known_movements(keys(), faces, PATCH, MovementConfig())
    other = known_movements(keys(seed=1), faces, PATCH, MovementConfig())
    alone = known_movements(keys()[3:4], faces[3:4], PATCH, MovementConfig())
    np.testing.assert_array_equal(first.second, again.second)
    assert np.abs(np.asarray(first.second) - np.asarray(other.second)).mean() > 0.5
    np.testing.assert_allclose(alone.second[0], first.second[3], atol=1.0)


def test_a_step_sees_them_only_if_its_loss_asks(noise_batch):
    assert make_views(tiny_config(), noise_batch)["known"] is None
    config = tiny_config(loss__movement_weight=1.0)
    asked = jax.jit(lambda batch: make_views(config, batch)["known"])(noise_batch)
    assert asked.first.shape == noise_batch["reference"].shape


@pytest.mark.parametrize("quality", [50, 75, 95])
def test_compression_is_jpegs(faces, quality):
    grey = np.repeat(cv2.cvtColor(faces[0], cv2.COLOR_RGB2GRAY)[..., None], 3, -1)
    _, data = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, quality])
    theirs = cv2.imdecode(data, cv2.IMREAD_COLOR).astype(float)
    ours = np.clip(np.round(compressed(jnp.asarray(grey, jnp.float32), quality)), 0, 255)
    damage = np.abs(theirs - grey).mean()
    assert np.abs(ours - theirs).mean() < 0.25 * damage + 0.05


def test_light_and_noise_are_as_strong_as_asked():
    gains = np.stack([light(key, (32, 32), 0.1, 0.0) for key in keys(64)])
    assert 0.08 < np.abs(gains - 1).max() <= 0.1 and np.ptp(gains, axis=(1, 2)).max() < 1e-6
    slopes = np.stack([light(key, (32, 32), 0.0, 0.1) for key in keys(64)])
    assert 0.05 < np.ptp(slopes, axis=(1, 2)).max() <= 0.1 * np.sqrt(2)
    middle = jnp.full((128, 128, 3), 127.5)
    assert np.std(sensor_noise(keys()[0], middle, 3.0)) == pytest.approx(3.0, rel=0.02)
