"""Image files of every depth and kind: eight bits of RGB, alike within a clip."""

import cv2
import numpy as np
import pytest

from mubert_jax.data.images import ClipImages, read_image, read_images
from mubert_jax.errors import UserError

RAMP = np.arange(1024).reshape(32, 32)


def write(path, image):
    ok, encoded = cv2.imencode(path.suffix, image)
    assert ok
    path.write_bytes(encoded.tobytes())
    return path


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_deep_images_fill_eight_bits(tmp_path, bits, suffix):
    deep = (RAMP * (2**bits - 1) // 1023).astype(np.uint16)
    image = read_image(write(tmp_path / f"x{suffix}", deep))
    assert image.dtype == np.uint8 and image.shape == (32, 32, 3)
    np.testing.assert_array_equal(image[..., 0], deep >> (bits - 8))
    assert image.max() == 255


def test_colours_keep_their_order_and_alpha_is_left_out(tmp_path):
    deep = np.zeros((4, 4, 4), np.uint16)
    deep[...] = (100, 1000, 4000, 65535)
    image = read_image(write(tmp_path / "x.png", deep))
    assert image[0, 0].tolist() == [4000 >> 4, 1000 >> 4, 100 >> 4]


def test_all_images_of_a_clip_have_one_scale(tmp_path):
    dark = write(tmp_path / "dark.png", np.full((8, 8), 500, np.uint16))
    bright = write(tmp_path / "bright.png", np.full((8, 8), 4000, np.uint16))
    clip = ClipImages([dark, bright])
    assert [int(clip.read(path).max()) for path in (dark, bright, dark)] == [31, 250, 31]
    assert clip.note == "uint16 images, read as of 12 bits"
    assert [int(image.max()) for image in read_images([dark, bright])] == [31, 250]
    assert int(read_image(dark).max()) == 125


def test_eight_bits_in_a_clip_of_other_depths_are_left_as_they_are(tmp_path):
    plain = write(tmp_path / "a.png", np.full((8, 8), 77, np.uint8))
    deep = write(tmp_path / "b.png", np.full((8, 8), 4000, np.uint16))
    clip = ClipImages([plain, deep])
    assert int(clip.read(plain).max()) == 77 and clip.note == ""
    assert int(clip.read(deep).max()) == 250


@pytest.mark.parametrize(
    ("largest", "depth"), [(1.0, "0 to 1"), (0.4, "0 to 1"), (255.0, "8 bits"), (4095.0, "12 bits")]
)
@pytest.mark.parametrize("channels", [1, 3])
def test_float_images(tmp_path, largest, depth, channels):
    values = (RAMP / 1023 * largest).astype(np.float32)
    values = np.dstack([values] * channels) if channels > 1 else values
    clip = ClipImages([write(tmp_path / "x.tif", values)])
    image = clip.read(tmp_path / "x.tif")
    unit = {"0 to 1": 1.0, "8 bits": 255.0, "12 bits": 4080.0}[depth]
    assert image.shape == (32, 32, 3)
    expected = np.minimum(RAMP / 1023 * largest / unit * 255, 255)
    np.testing.assert_allclose(image[..., 0], expected, atol=0.51)
    assert clip.note == f"float32 images, read as of {depth}"


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf])
def test_values_that_are_no_colours_are_refused(tmp_path, value):
    image = np.ones((8, 8), np.float32)
    image[0, 0] = value
    with pytest.raises(UserError, match="x.tif: float32 values of .* are no colours"):
        read_image(write(tmp_path / "x.tif", image))


def test_an_image_is_turned_as_its_camera_says(tmp_path):
    """EXIF orientation 6: the first row of the file is the right-hand column of the scene."""
    upright = np.zeros((16, 32, 3), np.uint8)
    upright[:, :8] = 255
    encoded = cv2.imencode(".jpg", upright)[1].tobytes()
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    turned = encoded[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + encoded[2:]
    (tmp_path / "x.jpg").write_bytes(turned)
    image = read_image(tmp_path / "x.jpg")
    assert image.shape == (32, 16, 3)
    assert image[:6].min() > 200 and image[12:].max() < 50


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".jp2", ".webp", ".tif", ".bmp", ".avif"])
@pytest.mark.parametrize("kept", [0, 7, 300, -3])
def test_damaged_images_are_one_line_and_nothing_on_stderr(tmp_path, capfd, suffix, kept):
    rng = np.random.default_rng(0)
    path = write(tmp_path / f"x{suffix}", rng.integers(0, 256, (32, 32, 3), np.uint8))
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(UserError, match=f"x{suffix}: not an image") as error:
        read_image(path)
    assert "\n" not in str(error.value)
    assert capfd.readouterr().err == ""


def test_a_flipped_byte_in_a_png_is_found(tmp_path, capfd):
    rng = np.random.default_rng(0)
    path = write(tmp_path / "x.png", rng.integers(0, 256, (32, 32, 3), np.uint8))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="x.png: not an image, the PNG is damaged; copy it again"):
        read_image(path)
    assert capfd.readouterr().err == ""


def test_opencv_speaks_again_afterwards(tmp_path):
    before = cv2.utils.logging.getLogLevel()
    with pytest.raises(UserError):
        (tmp_path / "x.tif").write_bytes(b"II*\0" + b"\0" * 50)
        read_image(tmp_path / "x.tif")
    assert cv2.utils.logging.getLogLevel() == before
