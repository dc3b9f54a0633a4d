"""Light and noise drawn anew: the same for target and swapped frame, another for the reference."""

import jax
import numpy as np
from conftest import tiny_config

from mubert_jax.config import AugmentationConfig
from mubert_jax.models.swapping import swap
from mubert_jax.training.step import make_views
from mubert_jax.training.views import IMAGENET_MEAN, IMAGENET_STD, normalise, recorded_alike


def pixels(images):
    return np.asarray(images) * IMAGENET_STD + IMAGENET_MEAN


def keys(count=4):
    return jax.vmap(jax.random.key)(np.arange(count))


def test_off_changes_nothing(noise_batch):
    frames = make_views(tiny_config(), noise_batch)
    np.testing.assert_array_equal(frames["current"], normalise(noise_batch["current"]))
    np.testing.assert_array_equal(frames["reference"], normalise(noise_batch["reference"]))
    expected = swap(frames["current"], frames["reference"], frames["swap_mask"], 8)
    np.testing.assert_array_equal(frames["swapped"], expected)


def test_target_and_swapped_share_their_light_and_only_the_swapped_is_noisy(noise_batch):
    plain = make_views(tiny_config(), noise_batch)
    light = {"augmentation__gain": 0.3, "augmentation__gradient": 0.3}
    lit = make_views(tiny_config(**light), noise_batch)
    ratio = {name: pixels(lit[name]) / pixels(plain[name]) for name in ("current", "swapped")}
    known = (pixels(plain["current"]) > 0.05) & (pixels(plain["swapped"]) > 0.05)
    np.testing.assert_allclose(ratio["current"][known], ratio["swapped"][known], rtol=1e-3)
    assert np.abs(ratio["current"][known] - 1).mean() > 0.03
    other = pixels(lit["reference"]).mean((1, 2, 3)) / pixels(plain["reference"]).mean((1, 2, 3))
    own = pixels(lit["current"]).mean((1, 2, 3)) / pixels(plain["current"]).mean((1, 2, 3))
    assert np.abs(other - own).max() > 0.02

    noisy = make_views(tiny_config(**light, augmentation__noise=8.0), noise_batch)
    np.testing.assert_array_equal(noisy["current"], lit["current"])
    noise = pixels(noisy["swapped"]) - pixels(lit["swapped"])
    assert 0.001 < noise.std() < 8 / 255
    assert len({round(float(x), 6) for x in noise.std((1, 2, 3))}) == 4


def test_strengths_are_within_what_was_asked():
    grey = np.zeros((64, 8, 8, 3), np.float32)
    config = AugmentationConfig(gain=0.2, gradient=0.1)
    (views,) = recorded_alike(keys(64), (grey,), config)
    gain = pixels(views) / pixels(grey)
    assert 0.12 < np.abs(gain.mean((1, 2, 3)) - 1).max() <= 0.21
    slope = gain.max((1, 2, 3)) - gain.min((1, 2, 3))
    assert 0.05 < slope.max() <= 0.1 * np.sqrt(2)


def test_a_function_of_the_key():
    images = np.random.default_rng(0).random((4, 8, 8, 3), np.float32)
    config = AugmentationConfig(gain=0.2, gradient=0.1, noise=4.0)
    first, again = (recorded_alike(keys(), (images,), config)[0] for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert (np.asarray(first)[0] != np.asarray(first)[1]).any()
