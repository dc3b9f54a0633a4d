"""ECC registration against shifts and turns that are known."""

import cv2
import numpy as np
import pytest

from mubert_jax.data import alignment
from mubert_jax.data.alignment import (
    MotionAndLight,
    align_ecc,
    align_robust,
    aligned,
    face_ellipse,
    fit_motion_and_light,
    move,
)
from mubert_jax.data.plan import PrepareOptions
from mubert_jax.data.prepare import prepare
from mubert_jax.data.records import decode_frame, decode_image, encode_image
from mubert_jax.data.source import RecordSource
from mubert_jax.data.video import grey

SIDE = 96


def texture(seed: int = 0) -> np.ndarray:
    """Smooth blobs, larger than the view so that shifts bring in true pixels."""
    noise = np.random.default_rng(seed).normal(size=(SIDE + 40, SIDE + 40, 3))
    smooth = cv2.GaussianBlur(noise, None, 4)
    return np.clip(128 + 400 * smooth, 0, 255)


def view(texture: np.ndarray, x: float = 0.0, y: float = 0.0, degrees: float = 0.0) -> np.ndarray:
    centre = texture.shape[1] / 2, texture.shape[0] / 2
    warp = cv2.getRotationMatrix2D(centre, degrees, 1.0)
    warp[:, 2] += x - 20, y - 20
    moved = cv2.warpAffine(texture, warp, (SIDE, SIDE), flags=cv2.INTER_CUBIC)
    return np.clip(moved, 0, 255).round().astype(np.uint8)


def error(a: np.ndarray, b: np.ndarray) -> float:
    """Mean absolute difference away from the border, in grey levels."""
    return float(np.abs(a.astype(float) - b)[12:-12, 12:-12].mean())


@pytest.mark.parametrize(
    "moved", [{"x": 3.0, "y": -2.0}, {"x": 0.4, "y": 0.3}, {"degrees": 3.0}, {"x": 2, "degrees": 2}]
)
def test_a_known_motion_is_undone(moved):
    template, image = view(texture()), view(texture(), **moved)
    aligned = align_ecc(image, template)
    assert aligned.shape == template.shape
    assert aligned.dtype == np.uint8
    assert error(aligned, template) < 1.0
    assert error(aligned, template) < 0.2 * error(image, template)


def test_a_local_change_survives():
    template = view(texture())
    changed = view(texture(), x=2.0, y=1.0)
    changed[40:46, 50:56] = 255
    aligned = align_ecc(changed, template)
    difference = np.abs(aligned.astype(float) - template).mean(axis=2)
    y, x = np.unravel_index(cv2.blur(difference, (5, 5)).argmax(), difference.shape)
    assert abs(y - 42) <= 4
    assert abs(x - 51) <= 4


def test_an_image_that_fits_already_is_hardly_touched():
    template = view(texture())
    assert error(align_ecc(template, template), template) < 0.1


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((SIDE, SIDE, 3), np.uint8),
        np.random.default_rng(1).integers(0, 256, (SIDE, SIDE, 3), np.uint8),
        view(texture(), x=30.0),
        view(texture(5)),
    ],
    ids=["black", "noise", "too far", "another"],
)
def test_what_cannot_be_aligned_well_is_never_made_worse(image):
    template = view(texture())
    assert error(align_ecc(image, template), template) <= error(image, template)


@pytest.mark.parametrize(
    "image", [np.zeros((SIDE, SIDE, 3), np.uint8), view(texture(), x=18.0)], ids=["black", "far"]
)
def test_what_cannot_be_aligned_comes_back_as_it_was(image):
    assert align_ecc(image, view(texture())) is image


def test_prepare_registers_every_frame_to_the_first(tmp_path, quiet):
    folder = tmp_path / "in" / "drift"
    folder.mkdir(parents=True)
    frames = [view(texture(), x=0.5 * number) for number in range(6)]
    for number, frame in enumerate(frames):
        (folder / f"img{number}.png").write_bytes(encode_image(frame, "png"))
    for align in ("none", "ecc"):
        options = PrepareOptions(size=SIDE, crop="none", align=align)
        prepare("frames", tmp_path / "in", tmp_path / align, options, quiet)
    none, ecc = (
        [decode_image(decode_frame(source[i]).image) for i in range(6)]
        for source in (RecordSource(tmp_path / align) for align in ("none", "ecc"))
    )
    np.testing.assert_array_equal(ecc[0], frames[0])
    np.testing.assert_array_equal(none[5], frames[5])
    assert error(ecc[5], ecc[0]) < 0.2 * error(none[5], none[0])


def lit(image, gain=1.0, slope=0.0):
    columns = np.mgrid[: len(image), : image.shape[1]][1] / image.shape[1] - 0.5
    light = (gain + slope * columns)[..., None]
    return np.clip(np.round(image * light), 0, 255).astype(np.uint8)


def middle(a, b):
    inside = slice(len(a) // 4, -len(a) // 4)
    return error(a[inside, inside], b[inside, inside])


@pytest.mark.parametrize(
    "moved", [{"x": 3.0, "y": -2.0}, {"x": 0.4, "y": 0.3}, {"degrees": 2.0}, {"x": 1, "degrees": 1}]
)
@pytest.mark.parametrize("light", [{}, {"gain": 0.9, "slope": 0.15}])
def test_robust_undoes_motion_and_light(moved, light):
    template, image = view(texture()), lit(view(texture(), **moved), **light)
    aligned = align_robust(image, template)
    assert aligned.shape == template.shape and aligned.dtype == np.uint8
    assert middle(aligned, template) < 0.2 * middle(image, template)


def test_robust_leaves_what_moves_by_itself():
    """An eighth of the face brightens; the rest is registered as if they had not."""
    template, image = view(texture()), view(texture(), x=1.0)
    rest = template.copy()
    image[40:56, 36:60] = np.clip(image[40:56, 36:60].astype(int) + 60, 0, 255)
    aligned = align_robust(image, template)
    left = np.abs(aligned.astype(float) - rest)
    assert left[58:70, 36:60].mean() < 1.5 and left[42:54, 38:58].mean() > 30


def test_robust_is_not_held_by_a_still_background():
    size = 96
    rows, columns = np.mgrid[:size, :size] / size - 0.5
    face = ((columns / 0.32) ** 2 + (rows / 0.4) ** 2 < 1)[..., None]
    still, head = view(texture()), view(texture()[::-1].copy())
    moved = view(texture()[::-1].copy(), x=1.5)
    template, image = np.where(face, head, still), np.where(face, moved, still)
    aligned = align_robust(image, template)
    assert middle(aligned, template) < 0.3 * middle(image, template)
    assert middle(align_ecc(image, template), template) > middle(aligned, template)


def near_the_limit(template, most, constant, along, down):
    """A warp that moves one corner `most` pixels, the others less, and the image it undoes."""
    height, width = template.shape[:2]
    warp = np.eye(2, 3, dtype=np.float32)
    warp[0] += np.float32([most * along / width, most * down / height, most * constant])
    size = (width, height)
    return warp, cv2.warpAffine(template, warp, size, borderMode=cv2.BORDER_REPLICATE)


@pytest.mark.parametrize(
    "corner",
    [(1, -0.5, -0.5), (0.5, 0.5, -0.5), (0.5, -0.5, 0.5), (0.4, 0.3, 0.3)],
    ids=["top left", "top right", "bottom left", "bottom right"],
)
def test_no_corner_moves_by_more_than_the_limit(corner, monkeypatch):
    """15 % of the longer side, 100 pixels."""
    template = cv2.resize(view(texture()), (100, 60))
    for most, taken in ((14.99, True), (15.01, False)):
        warp, image = near_the_limit(template, most, *corner)
        monkeypatch.setattr(cv2, "findTransformECC", lambda *_, warp=warp: (1.0, warp))
        assert (align_ecc(image, template) is not image) == taken


def test_what_does_not_raise_the_correlation_is_not_taken(monkeypatch):
    template = view(texture())
    monkeypatch.setattr(cv2, "findTransformECC", lambda *_: (1.0, np.eye(2, 3, dtype=np.float32)))
    image = view(texture(), x=1.0)
    assert align_ecc(image, template) is image


def fit_is(monkeypatch, motion, gain):
    fit = MotionAndLight(np.array(motion), gain, np.zeros_like(gain))
    monkeypatch.setattr(alignment, "fit_motion_and_light", lambda *_: fit)


@pytest.mark.parametrize(
    "within, beyond",
    [
        ((14.99, 0, 0), (15.01, 0, 0)),
        ((0, -14.99, 0), (0, -15.01, 0)),
        ((0, 0, 0.2999), (0, 0, -0.3001)),
        ((4.99, 2, -0.2), (5.01, 2, 0.2)),
    ],
    ids=["x", "y", "turn", "both"],
)
@pytest.mark.parametrize("shape", [(60, 100, 3), (100, 60, 3)])
def test_a_robust_fit_beyond_the_limit_is_not_taken(within, beyond, shape, monkeypatch):
    image = np.zeros(shape, np.uint8)
    for motion, taken in ((within, True), (beyond, False)):
        fit_is(monkeypatch, motion, np.ones(shape[:2]))
        assert (align_robust(image, image) is not image) == taken


def test_another_picture_is_left_as_it_came():
    """A cut to another scene, and a still that no fit can explain."""
    noise = np.random.default_rng(1).integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)
    template = view(texture())
    for image in (view(texture()[::-1, ::-1].copy()), noise, np.zeros_like(template)):
        assert align_robust(image, template) is image


@pytest.mark.parametrize("share, taken", [(0.70, True), (0.71, False)])
def test_a_robust_fit_that_leaves_most_of_the_contrast_is_not_taken(share, taken, monkeypatch):
    image = np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype(np.uint8)
    left = 7 - share * grey(image)
    fit = MotionAndLight(np.zeros(3), np.ones((40, 40)), left)
    monkeypatch.setattr(alignment, "fit_motion_and_light", lambda *_: fit)
    assert (align_robust(image, image) is not image) == taken


def test_light_is_multiplied_and_kept_in_eight_bits(monkeypatch):
    gain = np.array([[-0.1, 0.0, 0.503], [1.0, 1.275, 2.0]])
    fit_is(monkeypatch, (0, 0, 0), gain)
    found = align_robust(np.full((2, 3, 3), 200, np.uint8), np.zeros((2, 3, 3), np.uint8))
    assert found[..., 1].tolist() == [[0, 0, 101], [200, 255, 255]]


def test_move_shifts_and_turns_about_the_middle():
    """Of whole pixels, against plain indices: x' = x + 1 - θ(y - H/2), y' = y - 2 + θ(x - W/2)."""
    height, width = 12, 16
    image = np.random.default_rng(0).random((height, width, 2)).astype(np.float32)
    moved = move(image, np.array([1, -2, 0.5]))
    seen = 0
    for y in range(0, height, 2):
        for x in range(0, width, 2):
            there = y - 2 + (x - width // 2) // 2, x + 1 - (y - height // 2) // 2
            if 0 <= there[0] < height and 0 <= there[1] < width:
                np.testing.assert_allclose(moved[y, x], image[there], atol=1e-6)
                seen += 1
    assert seen > 20


def test_the_fit_finds_motion_light_and_what_moved_by_itself():
    source = view(texture())[..., 1].astype(np.float64)
    motion = np.array([0.8, -0.5, 0.02])
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE - 0.5
    light = 0.93 + 0.06 * x - 0.09 * y
    target = light * move(source.astype(np.float32), motion)
    target[44:50, 60:66] += 40
    fit = fit_motion_and_light(source, target, np.ones_like(source, bool))
    np.testing.assert_allclose(fit.motion, motion, atol=0.01)
    np.testing.assert_allclose(fit.gain, light, atol=2e-3)
    expected = np.zeros_like(source)
    expected[44:50, 60:66] = 40
    np.testing.assert_allclose(fit.residual[2:-2, 2:-2], expected[2:-2, 2:-2], atol=1)


def test_one_step_of_the_fit_comes_near():
    source = view(texture())[..., 1].astype(np.float64)
    motion = np.array([0.1, -0.05, 0.01])
    target = move(source.astype(np.float32), motion).astype(np.float64)
    fit = fit_motion_and_light(source, target, np.ones_like(source, bool), rounds=1)
    np.testing.assert_allclose(fit.motion[:2], motion[:2], atol=0.02)
    np.testing.assert_allclose(fit.motion[2], motion[2], atol=2e-3)


@pytest.mark.parametrize("scale", [1e-1, 1.0, 30.0])
def test_robust_least_squares_is_at_rest_where_cauchys_weights_are_its_own(scale):
    """w = 1 / (1 + (r / 2.385 σ)²), σ = 1.4826 · median |r|: the weighted gradient is 0."""
    random = np.random.default_rng(0)
    terms = random.normal(size=(200, 3))
    target = terms @ [1.0, -2.0, 0.5] + random.normal(size=200)
    target[:60] += 8
    found = alignment._cauchy(terms, scale * target, rounds=200)
    left = scale * target - terms @ found
    sigma = 1.4826 * np.median(np.abs(left))
    weight = 1 / (1 + (left / (2.385 * sigma)) ** 2)
    np.testing.assert_allclose(terms.T @ (weight * left) / scale, 0, atol=1e-6)


def test_equal_pictures_fit_with_nothing_left():
    source = view(texture())[..., 0].astype(np.float64)
    fit = fit_motion_and_light(source, source, np.ones_like(source, bool))
    np.testing.assert_array_equal(fit.motion, 0)
    np.testing.assert_array_equal(fit.residual, 0)


def test_the_ellipse_of_the_face():
    face = face_ellipse((100, 50))
    rows, columns = np.flatnonzero(face.any(1)), np.flatnonzero(face.any(0))
    assert (rows[0], rows[-1], columns[0], columns[-1]) == (16, 87, 11, 38)
    assert face.sum() == pytest.approx(np.pi * 0.36 * 0.28 * 5000, rel=0.01)
    assert face[:, ::-1].tolist() == face.tolist()


def test_registration_is_asked_for_by_name():
    template, image = view(texture()), view(texture(), x=2.0)
    assert aligned("none", image, template) is image
    for how, align in (("ecc", align_ecc), ("robust", align_robust)):
        np.testing.assert_array_equal(aligned(how, image, template), align(image, template))
        assert aligned(how, image, template) is not image
