"""ECC registration against shifts and turns that are known."""

import cv2
import numpy as np
import pytest

from mubert_jax.data.alignment import align_ecc, align_robust
from mubert_jax.data.plan import PrepareOptions
from mubert_jax.data.prepare import prepare
from mubert_jax.data.records import decode_frame, decode_image, encode_image
from mubert_jax.data.source import RecordSource

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
@pytest.mark.parametrize("motion", ["euclidean", "affine"])
def test_a_known_motion_is_undone(moved, motion):
    template, image = view(texture()), view(texture(), **moved)
    aligned = align_ecc(image, template, motion)
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
    aligned = align_ecc(image, template)
    if aligned is not image:
        assert error(aligned, template) <= error(image, template)


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


def test_robust_gives_up_on_another_picture():
    image = np.random.default_rng(5).integers(0, 255, (96, 96, 3), np.uint8)
    assert align_robust(image, view(texture())).shape == (96, 96, 3)
