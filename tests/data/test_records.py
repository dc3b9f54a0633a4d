"""The two record kinds and the images in them."""

import dataclasses
import subprocess
import sys

import cv2
import numpy as np
import pytest

from mubert_jax.data.records import (
    FrameRecord,
    PairRecord,
    decode_frame,
    decode_image,
    decode_pair,
    describe,
    encode_frame,
    encode_image,
    encode_pair,
    load_protos,
)
from mubert_jax.errors import UserError

FRAME = FrameRecord(b"\x89PNG...", "s1/clip é", 2**40, "s1")
PAIR = PairRecord(
    onset=b"onset",
    apex=b"apex",
    label=2,
    emotion="surprise",
    subject="casme2/sub01",
    clip="EP02_01f",
    dataset="casme2",
    onset_frame=46,
    apex_frame=59,
    offset_frame=-1,
    fps=200.0,
    action_units="4+7",
    face_box=(-3, 4, 100, 100),
)


def test_records_come_back_as_they_were():
    assert decode_frame(encode_frame(FRAME)) == FRAME
    seen = dataclasses.replace(FRAME, face=(0.5, 0.625, 0.25, 0.375))
    assert decode_frame(encode_frame(seen)) == seen
    assert decode_pair(encode_pair(PAIR)) == PAIR


def test_describe_tells_video_frame_and_subject_of_both_kinds():
    assert describe(encode_frame(FRAME)) == ("s1/clip é", 2**40, "s1")
    assert describe(encode_pair(PAIR)) == ("casme2/sub01/EP02_01f", 46, "casme2/sub01")


def test_the_bytes_are_the_same_in_every_process():
    code = (
        "import sys; from mubert_jax.data.records import FrameRecord, encode_frame;"
        "sys.stdout.buffer.write(encode_frame(FrameRecord(b'image', 'v', 3, 's')))"
    )
    runs = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
        for _ in range(3)
    }
    assert runs == {encode_frame(FrameRecord(b"image", "v", 3, "s"))}


@pytest.mark.parametrize(
    ("decode", "record", "words"),
    [
        (decode_frame, b"\xff\xff", "not a tf.train.Example"),
        (decode_frame, encode_pair(PAIR), "no usable feature 'image'.*FrameRecord"),
        (decode_pair, encode_frame(FRAME), "no usable feature 'onset'.*PairRecord"),
        (decode_frame, b"", "no usable feature 'image'"),
    ],
)
def test_a_record_of_another_kind_is_refused(decode, record, words):
    with pytest.raises(UserError, match=words):
        decode(record)


def test_png_is_lossless_and_rgb():
    image = np.random.default_rng(0).integers(0, 256, (16, 20, 3), np.uint8)
    np.testing.assert_array_equal(decode_image(encode_image(image, "png")), image)


def test_jpeg_is_close_and_rgb():
    image = np.zeros((32, 32, 3), np.uint8)
    image[..., 0] = 200
    decoded = decode_image(encode_image(image, "jpeg")).astype(int)
    assert np.abs(decoded - image).max() <= 3


def test_the_channel_order_is_the_one_of_the_file():
    blue_green_red = np.full((4, 4, 3), (10, 20, 30), np.uint8)
    encoded = cv2.imencode(".png", blue_green_red)[1].tobytes()
    assert decode_image(encoded)[0, 0].tolist() == [30, 20, 10]


def test_grey_images_become_three_channels():
    encoded = cv2.imencode(".png", np.full((4, 4), 77, np.uint8))[1].tobytes()
    assert decode_image(encoded)[0, 0].tolist() == [77, 77, 77]


@pytest.mark.parametrize("content", [b"", b"no image"])
def test_bytes_that_are_no_image_are_refused(content):
    with pytest.raises(UserError, match=f"^{len(content)} bytes are not a PNG or JPEG image"):
        decode_image(content)


def test_records_of_before_say_nothing_of_faces():
    examples, _ = load_protos()
    seen = dataclasses.replace(FRAME, face=(0.5, 0.5, 0.25, 0.25))
    example = examples.Example.FromString(encode_frame(seen))
    del example.features.feature["face"]
    assert decode_frame(example.SerializeToString()) == FRAME
