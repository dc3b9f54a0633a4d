"""Light and noise drawn anew: the same for target and swapped frame, another for the reference;
and crops, whose places are drawn.
"""

import jax
import numpy as np
import pytest
from conftest import tiny_config, views_of

from mubert_jax.config import AugmentationConfig, CropConfig
from mubert_jax.models.images import IMAGENET_MEAN, IMAGENET_STD, normalise
from mubert_jax.models.swapping import swap
from mubert_jax.training.degradation import light
from mubert_jax.training.views import degraded_alike, pair_keys, random_crops


def pixels(images):
    return np.asarray(images) * IMAGENET_STD + IMAGENET_MEAN


def keys(count=4):
    return jax.vmap(jax.random.key)(np.arange(count))


def test_off_changes_nothing(noise_batch):
    frames = views_of(tiny_config(), noise_batch)
    np.testing.assert_array_equal(frames.current, normalise(noise_batch["current"]))
    np.testing.assert_array_equal(frames.reference, normalise(noise_batch["reference"]))
    expected = swap(frames.current, frames.reference, frames.swap_mask, 8)
    np.testing.assert_array_equal(frames.swapped, expected)


def test_target_and_swapped_share_their_light_and_only_the_swapped_is_noisy(noise_batch):
    plain = views_of(tiny_config(), noise_batch)
    light = {"augmentation__gain": 0.3, "augmentation__gradient": 0.3}
    lit = views_of(tiny_config(**light), noise_batch)
    ratio = {
        name: pixels(getattr(lit, name)) / pixels(getattr(plain, name))
        for name in ("current", "swapped")
    }
    known = (pixels(plain.current) > 0.05) & (pixels(plain.swapped) > 0.05)
    np.testing.assert_allclose(ratio["current"][known], ratio["swapped"][known], rtol=1e-3)
    assert np.abs(ratio["current"][known] - 1).mean() > 0.03
    other = pixels(lit.reference).mean((1, 2, 3)) / pixels(plain.reference).mean((1, 2, 3))
    own = pixels(lit.current).mean((1, 2, 3)) / pixels(plain.current).mean((1, 2, 3))
    assert np.abs(other - own).max() > 0.02

    noisy = views_of(tiny_config(**light, augmentation__noise=8.0), noise_batch)
    np.testing.assert_array_equal(noisy.current, lit.current)
    noise = pixels(noisy.swapped) - pixels(lit.swapped)
    assert 0.001 < noise.std() < 8 / 255
    assert len({round(float(x), 6) for x in noise.std((1, 2, 3))}) == 4


def test_strengths_are_within_what_was_asked():
    grey = np.zeros((64, 8, 8, 3), np.float32)
    config = AugmentationConfig(gain=0.2, gradient=0.1)
    (views,) = degraded_alike(keys(64), (grey,), config)
    gain = pixels(views) / pixels(grey)
    assert 0.12 < np.abs(gain.mean((1, 2, 3)) - 1).max() <= 0.21
    slope = gain.max((1, 2, 3)) - gain.min((1, 2, 3))
    assert 0.05 < slope.max() <= 0.1 * np.sqrt(2)


def test_a_function_of_the_key():
    images = np.random.default_rng(0).random((4, 8, 8, 3), np.float32)
    config = AugmentationConfig(gain=0.2, gradient=0.1, noise=4.0)
    first, again = (degraded_alike(keys(), (images,), config)[0] for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert (np.asarray(first)[0] != np.asarray(first)[1]).any()


def test_normalised_by_hand():
    grey = np.array([[0, 128, 255]], np.uint8)
    expected = (grey / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(normalise(grey), expected, rtol=1e-5)


@pytest.mark.parametrize("asked", ["gain", "gradient", "noise"])
def test_one_kind_of_change_suffices(asked):
    images = np.random.default_rng(0).random((4, 8, 8, 3), np.float32)
    (changed,) = degraded_alike(keys(), (images,), AugmentationConfig(**{asked: 0.5}))
    assert np.abs(np.asarray(changed) - images).max() > 1e-4


def test_only_the_last_view_is_noisy_and_its_noise_has_up_to_the_deviation_asked_for():
    config = AugmentationConfig(noise=51.0)
    view = np.random.default_rng(0).random((64, 16, 16, 3), np.float32)
    target, noisy = degraded_alike(keys(64), (view, view), config)
    np.testing.assert_allclose(target, view, atol=1e-5)
    deviation = (pixels(noisy) - pixels(view)).std((1, 2, 3)) / (51 / 255)
    assert deviation.min() < 0.1 and 0.9 < deviation.max() < 1.06
    assert abs(deviation.mean() - 0.5) < 0.1


def test_light_and_noise_by_hand():
    config = AugmentationConfig(gain=0.2, gradient=0.1, noise=8.0)
    view = np.random.default_rng(0).random((1, 16, 12, 3), np.float32)
    of_light, of_strength, of_noise = jax.random.split(jax.random.key(0), 3)
    gain = light(of_light, (16, 12), 0.2, 0.1)[..., None]
    strength = 8 / 255 * jax.random.uniform(of_strength)
    noise = strength * jax.random.normal(of_noise, (16, 12, 3))
    target, noisy = degraded_alike(keys(1), (view, view), config)
    np.testing.assert_allclose(pixels(target), pixels(view) * gain, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(pixels(noisy) - pixels(target), noise[None], rtol=1e-3, atol=1e-6)


def test_a_pairs_key_is_its_seeds_and_its_indexs():
    index = np.array([3, 5, 3], np.uint32)
    words = np.stack(
        [jax.random.key_data(pair_keys(jax.random.key(seed), index)) for seed in (0, 1)]
    )
    assert (words[:, 0] == words[:, 2]).all()
    assert len(np.unique(words.reshape(-1, words.shape[-1]), axis=0)) == 4


def test_boxes_of_crops_have_the_area_and_the_aspect_asked_for_and_lie_anywhere():
    rows, columns = np.mgrid[:24, :36].astype(np.float32)
    image = np.stack([rows, columns], -1)
    count, size = 300, 40
    config = CropConfig(aspect=(0.5, 2.0))
    images = np.broadcast_to(image, (count, *image.shape))
    first, second = random_crops(keys(count), images, 2, size, (0.2, 0.4), config)
    assert np.abs(np.asarray(first) - np.asarray(second)).max((1, 2, 3)).min() > 0.1
    middle = np.asarray(first, np.float64)[:, 10:30:19, 10:30:19]
    # Shares of the frame's sides, by the way over 19 pixels of the crop.
    height = (middle[:, 1, 0, 0] - middle[:, 0, 0, 0]) / 19 * size / 24
    width = (middle[:, 0, 1, 1] - middle[:, 0, 0, 1]) / 19 * size / 36
    area, aspect = height * width, height / width
    assert 0.199 < area.min() < 0.21 and 0.39 < area.max() < 0.401
    assert 0.499 < aspect.min() < 0.52 and 1.95 < aspect.max() < 2.001
    assert np.abs(np.log(aspect).mean()) < 0.08
    places = []
    for axis, side, share in ((0, 24, height), (1, 36, width)):
        start = middle[:, :, :, axis].mean((1, 2)) + 0.5 - share * side / 2
        places.append(start / (side - share * side))
        assert -0.01 < places[-1].min() < 0.02 and 0.98 < places[-1].max() < 1.01
        assert abs(places[-1].mean() - 0.5) < 0.06
    assert np.abs(np.corrcoef(*places)[0, 1]) < 0.2


@pytest.mark.parametrize("axis, aspect", [(0, (2.0, 3.0)), (1, (0.3, 0.5))])
def test_a_box_is_never_larger_than_the_frame(axis, aspect):
    image = np.mgrid[:8, :8][axis][None, ..., None].astype(np.float32)
    images = np.broadcast_to(image, (50, 8, 8, 1))
    (crops,) = random_crops(keys(50), images, 1, 8, (1.0, 1.0), CropConfig(aspect=aspect))
    # As long as the frame along one side, and shorter along the other.
    np.testing.assert_allclose(crops, images, atol=1e-4)
