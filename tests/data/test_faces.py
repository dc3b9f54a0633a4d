"""One box a clip: a detector that jitters or errs moves nothing."""

import numpy as np
import pytest

from mubert_jax.data.faces import (
    Box,
    Detection,
    HaarDetector,
    YuNetDetector,
    center_box,
    clip_box,
    crop_and_resize,
    make_detector,
)
from mubert_jax.data.plan import PrepareOptions
from mubert_jax.data.prepare import prepare
from mubert_jax.data.records import decode_frame, decode_image, encode_image
from mubert_jax.data.source import RecordSource
from mubert_jax.errors import UserError

FRAMES = [np.zeros((100, 200, 3), np.uint8)] * 15


class Scripted:
    """A detector that returns one list of detections a call."""

    def __init__(self, *results: list[Detection]):
        self._results = list(results)

    def __call__(self, image):
        return self._results.pop(0)


def face(x=60.0, y=20.0, side=40.0, score=1.0) -> Detection:
    return Detection(x, y, side, side, score)


def test_the_box_is_the_median_with_its_margin():
    found = [[face(x=60 + jitter)] for jitter in range(-7, 8)]
    assert clip_box(FRAMES, Scripted(*found), margin=0.0) == Box(60, 20, 40)
    assert clip_box(FRAMES, Scripted(*found), margin=0.5) == Box(40, 0, 80)


def test_a_detection_that_is_not_square_gives_a_square_box_around_its_centre():
    found = [[Detection(60, 10, 20, 40, 1.0)]] * 15
    assert clip_box(FRAMES, Scripted(*found), margin=0.0) == Box(50, 10, 40)


def test_stray_false_positives_are_ignored():
    stray = face(x=150, y=50, side=48, score=99.0)
    found = [[face(), stray] if n % 4 == 0 else [face()] for n in range(15)]
    found[1] = [stray]
    found[2] = []
    assert clip_box(FRAMES, Scripted(*found), margin=0.0) == Box(60, 20, 40)


def test_a_large_false_positive_does_not_outweigh_a_small_face_seen_more_often():
    found = [[face(x=10, y=0, side=100)]] * 4 + [[face(side=20)]] * 11
    assert clip_box(FRAMES, Scripted(*found), margin=0.0) == Box(60, 20, 20)


def test_of_two_steady_faces_the_larger_is_taken():
    found = [[face(x=150, side=30), face()]] * 15
    assert clip_box(FRAMES, Scripted(*found), margin=0.0) == Box(60, 20, 40)


def test_no_face_in_any_frame_gives_no_box():
    assert clip_box(FRAMES, Scripted(*[[]] * 15), margin=0.3) is None


def test_frames_of_another_size_count_in_pixels_of_the_first():
    frames = [FRAMES[0], np.zeros((50, 100, 3), np.uint8)]
    found = [[face()], [face(x=30, y=10, side=20)]]
    assert clip_box(frames, Scripted(*found), margin=0.0) == Box(60, 20, 40)


def test_all_frames_of_a_clip_are_cropped_by_one_box(make_images, tmp_path, quiet, monkeypatch):
    """The detector jitters by several pixels; a still clip must stay still."""
    y, x = np.mgrid[:64, :64]
    still = np.stack([3 * x, 3 * y, x + y], axis=2).astype(np.uint8)
    folder = tmp_path / "in" / "still"
    folder.mkdir(parents=True)
    for number in range(20):
        (folder / f"img{number}.png").write_bytes(encode_image(still, "png"))
    random = np.random.default_rng(0)

    def jitter(image):
        return [face(*(np.array([12, 16, 30]) + random.integers(-4, 5, 3)).tolist())]

    monkeypatch.setattr("mubert_jax.data.prepare.make_detector", lambda name: jitter)
    options = PrepareOptions(size=32, margin=0.1)
    prepare("frames", tmp_path / "in", tmp_path / "out", options, quiet)
    source = RecordSource(tmp_path / "out")
    images = [decode_image(decode_frame(source[i]).image) for i in range(len(source))]
    assert len(images) == 20
    assert all((image == images[0]).all() for image in images)
    row = (tmp_path / "out" / "report.csv").read_text().splitlines()[1].split(",")
    box = Box(*(int(value) for value in row[-3:]))
    np.testing.assert_array_equal(images[0], crop_and_resize(still, box, 32))


@pytest.mark.parametrize(
    ("box", "corner"),
    [(Box(-5, -3, 20), (0, 0)), (Box(90, 90, 20), (99, 99)), (Box(-10, 85, 30), (99, 0))],
)
def test_a_box_beyond_the_border_repeats_the_edge(box, corner):
    image = np.random.default_rng(0).integers(0, 256, (100, 100, 3), np.uint8)
    crop = crop_and_resize(image, box, box.side)
    rows = np.clip(np.arange(box.y, box.y + box.side), 0, 99)
    columns = np.clip(np.arange(box.x, box.x + box.side), 0, 99)
    np.testing.assert_array_equal(crop, image[rows][:, columns])
    assert (crop == image[corner]).all(axis=2).sum() > 1


@pytest.mark.parametrize("side", [16, 100])
def test_a_crop_has_the_size_asked_for(side):
    image = np.zeros((100, 120, 3), np.uint8)
    crop = crop_and_resize(image, Box(0, 0, side), 32)
    assert crop.shape == (32, 32, 3)
    assert crop.dtype == np.uint8
    assert crop.flags.c_contiguous


def test_shrinking_averages_and_keeps_the_mean():
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    crop = crop_and_resize(image, None, 8)
    means = image.reshape(8, 8, 8, 8, 3).mean(axis=(1, 3))
    assert np.abs(crop - means).max() <= 0.5 + 1e-6


def test_the_centred_square():
    assert center_box(np.zeros((100, 200, 3))) == Box(50, 0, 100)
    assert center_box(np.zeros((31, 20, 3))) == Box(0, 5, 20)


def test_haar_finds_nothing_in_an_empty_image():
    assert HaarDetector()(np.zeros((80, 80, 3), np.uint8)) == []


def test_a_detector_that_is_missing_or_no_network_says_what_to_give(tmp_path):
    assert isinstance(make_detector("haar"), HaarDetector)
    with pytest.raises(UserError, match="gone.onnx: no such detector file.*--detector haar"):
        make_detector(str(tmp_path / "gone.onnx"))
    (tmp_path / "no.onnx").write_bytes(b"not a network")
    with pytest.raises(UserError, match="no.onnx: not a YuNet face detector"):
        YuNetDetector(tmp_path / "no.onnx")
