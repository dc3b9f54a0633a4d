"""Registration of a batch: what `align_robust` finds, pair by pair, and what a batch adds to it."""

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from lowered import lowered_for, places_gathered

from mubert_jax import registration
from mubert_jax.data.alignment import (
    CAUCHY_SCALE,
    SIGMA_OF_MEDIAN,
    align_robust,
    face_ellipse,
    fit_motion_and_light,
    move,
)
from mubert_jax.data.video import grey
from mubert_jax.registration import Box, Phase, box_of, cubic, linear, register
from mubert_jax.synthetic.clip import SyntheticClip
from mubert_jax.synthetic.conditions import CONDITIONS

SIDE = 64
FACE = face_ellipse((SIDE, SIDE))
# Shift in pixels and turn in radians, gain and its gradients.
MOTION, LIGHT = np.array([1.3, -0.8, 0.02]), np.array([0.93, 0.06, -0.09])
registered_in_box = jax.jit(lambda *pictures: register(*pictures, box_of(FACE)))


def texture(seed=0, blur=2.0):
    noise = np.random.default_rng(seed).normal(size=(SIDE, SIDE, 3))
    smooth = cv2.GaussianBlur(noise, (0, 0), blur)
    return np.clip(128 + 45 * smooth / smooth.std(), 0, 255).astype(np.uint8)


def levels(images):
    return np.clip(np.round(np.asarray(images)), 0, 255).astype(np.uint8)


def moved_and_lit(image, motion=MOTION, light=LIGHT):
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE - 0.5
    gain = light[0] + light[1] * x + light[2] * y
    return levels(move(image.astype(np.float32), np.array(motion)) * gain[..., None])


def clip_pair(condition):
    clip = SyntheticClip(1000, 0, 0, CONDITIONS[condition], SIDE)
    return clip.frame(clip.course.apex), clip.frame(clip.course.onset)


def faces(count):
    return np.broadcast_to(FACE, (count, SIDE, SIDE)).astype(np.float32)


def pictures():
    """Name -> (source, target) of one batch: people, known movements, and what has no fit."""
    noise = np.random.default_rng(1).integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)
    black = np.zeros_like(noise)
    return {
        "drift": clip_pair("drift"),
        "all": clip_pair("all"),
        "known": (texture(), moved_and_lit(texture())),
        "equal": (texture(1), texture(1)),
        "another": (texture(2), texture(3)),
        "noise": (noise, texture()),
        "to black": (texture(), black),
        "black": (black, black),
    }


NAMES = ("drift", "all", "known", "equal", "another", "noise", "to black", "black")


@pytest.fixture(scope="module")
def batch():
    return [np.stack(column) for column in zip(*pictures().values(), strict=True)]


@pytest.fixture(scope="module")
def found(batch):
    images, fit = registered_in_box(*batch, faces(len(NAMES)))
    return np.asarray(images), jax.tree.map(np.asarray, fit)


@pytest.mark.parametrize("name", ["drift", "all", "known", "equal"])
def test_a_pair_is_registered_as_align_robust_does(batch, found, name):
    row = NAMES.index(name)
    source, target = (pictures[row] for pictures in batch)
    expected = fit_motion_and_light(grey(source), grey(target), FACE)
    images, fit = found
    # A turn moves the edge by half of the side times as many pixels.
    away = np.abs(fit.motion[row] - expected.motion) * [1, 1, SIDE / 2]
    assert away.max() < 0.05
    apart = np.abs(levels(images[row]).astype(int) - align_robust(source, target))
    assert (apart > 1).mean() < 0.03
    assert fit.taken[row]


def test_known_movement_and_light_are_found(batch, found):
    images, fit = found
    row = NAMES.index("known")
    np.testing.assert_allclose(fit.motion[row], MOTION, atol=0.01)
    np.testing.assert_allclose(fit.light[row], LIGHT, atol=3e-3)
    inside = slice(SIDE // 4, -SIDE // 4)
    left = np.abs(images[row] - batch[1][row])[inside, inside].mean()
    assert left < 0.05 * np.abs(batch[0][row].astype(float) - batch[1][row])[inside, inside].mean()


def test_pictures_without_a_fit_come_back_as_they_were(batch, found):
    images, fit = found
    assert np.isfinite(images).all() and np.isfinite(fit.motion).all()
    for name in ("another", "noise", "to black"):
        row = NAMES.index(name)
        assert not fit.taken[row], name
        source, target = (pictures[row] for pictures in batch)
        np.testing.assert_array_equal(images[row], source)
        assert align_robust(source, target) is source
    for name in ("equal", "black"):
        row = NAMES.index(name)
        np.testing.assert_allclose(images[row], batch[0][row], atol=1e-3)
        np.testing.assert_allclose(fit.motion[row], 0, atol=1e-6)


def test_a_pair_does_not_depend_on_the_others(batch, found):
    """In other company, and with the weights at another scale."""
    order = np.roll(np.arange(len(NAMES)), 3)
    sources, targets = (pictures[order] for pictures in batch)
    images, fit = registered_in_box(sources, targets, 7 * faces(len(NAMES)))
    np.testing.assert_allclose(images, found[0][order], atol=0.02)
    np.testing.assert_array_equal(fit.taken, found[1].taken[order])


def test_it_gives_up_where_align_robust_does():
    """Shifts and turns that move a corner by less or more, and more and more of another picture."""
    smooth, other = texture(blur=14.0), texture(9)
    motions = [(SIDE * 0.13, 0, 0), (0, 0, 2 * 0.13), (SIDE * 0.17, 0, 0), (0, 0, 2 * 0.17)]
    moved = [(smooth, moved_and_lit(smooth, motion, (1, 0, 0))) for motion in motions]
    kept = texture().astype(float)
    mixed = [(levels((1 - share) * kept + share * other), texture())
             for share in (0.2, 0.35, 0.6, 0.7)]  # fmt: skip
    source, target = (np.stack(column) for column in zip(*moved, *mixed, strict=True))
    _, fit = registered_in_box(source, target, faces(len(source)))
    expected = [align_robust(*pair) is not pair[0] for pair in zip(source, target, strict=True)]
    assert expected == [True, True, False, False] * 2
    assert fit.taken.tolist() == expected


def test_derivatives_are_finite_and_right(batch, monkeypatch):
    """A source g times as bright needs 1/g of the gain; also where there is no fit."""
    monkeypatch.setattr(registration, "PHASES", (Phase(3, 2, 1, cubic),))  # compiled in less time

    def gains(bright, weights):
        sources = bright[:, None, None, None] * batch[0]
        images, fit = register(sources, batch[1], weights, box_of(FACE))
        return fit.light[:, 0].sum() + 0.0 * images.sum(), fit.light[:, 0]

    both = jax.jit(jax.grad(gains, argnums=(0, 1), has_aux=True))(
        jnp.ones(len(NAMES)), faces(len(NAMES))
    )
    (bright, per_weight), light = jax.tree.map(np.asarray, both)
    assert np.isfinite(bright).all() and np.isfinite(per_weight).all()
    rows = [NAMES.index(name) for name in ("drift", "known", "equal")]
    np.testing.assert_allclose(bright[rows], -light[rows], rtol=0.02)
    assert np.abs(per_weight[NAMES.index("drift")]).max() > 0


def test_weights_say_where_to_look():
    """What has weight is registered, whatever the rest does."""
    right = np.zeros((SIDE, SIDE), bool)
    right[8:-8, SIDE // 2 + 4 : -8] = True
    there = np.arange(SIDE)[None, :, None] >= SIDE // 2
    target = np.where(there, moved_and_lit(texture()), texture(5))
    source = np.where(there, texture(), texture(5))
    weights = np.stack([right, right[:, ::-1]])
    pair = [np.stack([picture] * 2) for picture in (source, target)]
    _, fit = jax.jit(register)(*pair, weights)
    np.testing.assert_allclose(fit.motion[0], MOTION, atol=0.03)
    np.testing.assert_allclose(fit.motion[1], 0, atol=0.01)


@pytest.mark.parametrize("way", [registration.by_gathers, registration.by_products])
@pytest.mark.parametrize("kernel, how", [(cubic, cv2.INTER_CUBIC), (linear, cv2.INTER_LINEAR)])
def test_pictures_are_sampled_as_opencv_does(kernel, how, way):
    """At 32nds of a pixel, to which OpenCV rounds, inside and outside of the frame."""
    random = np.random.default_rng(0)
    image = random.uniform(0, 255, (2, 7, 9, 3)).astype(np.float32)
    y, x = (random.integers(-64, 384, (2, 5, 6)).astype(np.float32) / 32 for _ in range(2))
    found = way(image, y, x, kernel)
    for row in range(2):
        expected = cv2.remap(image[row], x[row], y[row], how, borderMode=cv2.BORDER_REPLICATE)
        np.testing.assert_allclose(found[row], expected, atol=1e-2)


def test_a_tpu_gathers_no_pixels():
    """It takes as long for a single pixel as for a tile."""
    pictures = jax.ShapeDtypeStruct((1, 16, 16, 3), jnp.float32)
    weights = jax.ShapeDtypeStruct((1, 16, 16), jnp.float32)
    texts = (lowered_for(kind, register, pictures, pictures, weights) for kind in ("tpu", "cuda"))
    of_tpu, of_gpu = map(places_gathered, texts)
    assert of_tpu < 16 < 16 * 16 <= of_gpu


def test_the_box_around_weights():
    weights = np.zeros((5, 8))
    weights[1, 2] = weights[3, 6] = 0.1
    assert box_of(weights) == Box(top=1, bottom=4, left=2, right=7)
    with pytest.raises(ValueError, match="no weight"):
        box_of(np.zeros((2, 2)))


def test_slopes_need_a_pixel_around_a_box_where_there_is_one():
    assert registration._around(Box(3, 5, 2, 7), 9, 9) == Box(2, 6, 1, 8)
    assert registration._around(Box(0, 6, 1, 9), 6, 9) == Box(0, 6, 0, 9)


def weighted_median(values_BxP, weights_BxP):
    order = np.argsort(values_BxP, axis=1)
    values, weights = (np.take_along_axis(x, order, 1) for x in (values_BxP, weights_BxP))
    half = np.argmax(np.cumsum(weights, 1) >= weights.sum(1, keepdims=True) / 2, axis=1)
    return np.take_along_axis(values, half[:, None], 1)


def test_a_spread_is_known_to_a_hundredth_of_itself():
    """Of many values, a quarter of which have no weight."""
    random = np.random.default_rng(0)
    values = random.uniform(0, 1, (60, 4000)) ** 3 * random.uniform(1, 250, (60, 1))
    weights = random.integers(0, 4, values.shape)
    found = registration._median_deviation(values, weights) / weighted_median(values, weights)
    assert 1 - 1e-5 < found.min() and found.max() < 1.013
    deviations = np.abs(values - weighted_median(values, weights))
    spread = registration._spread(values, weights) / weighted_median(deviations, weights)[:, 0]
    assert 1 - 1e-3 < spread.min() and spread.max() < 1.014


def test_a_pixel_counts_half_if_cauchys_scale_is_left_of_it_and_wholly_if_nothing_is():
    """Half of the pixels are left with 10 levels or less, and one is at the scale of that."""
    left = np.array([[0.0, 10.0, -10.0, 50.0, -CAUCHY_SCALE * SIGMA_OF_MEDIAN * 10.0]], np.float32)
    counts = np.asarray(registration._cauchy(left, np.ones_like(left)))[0]
    np.testing.assert_allclose(counts[[0, 4]], [1.0, 0.5], rtol=1e-4)
    np.testing.assert_allclose(counts[1], counts[2])
    assert counts[3] < 0.5 < counts[1] < 1
