"""Videos and folders of images as clips: order, names, subjects, and what goes wrong."""

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from mubert_jax.data.sets import available_sets, load_set
from mubert_jax.data.video import (
    announced_frames,
    frame_number,
    is_video,
    read_image,
    read_video,
    sample_video,
)
from mubert_jax.errors import UserError


def grey(image: np.ndarray) -> int:
    """The frame number that `make_video` painted, as Motion-JPEG kept it."""
    return round(float(image.mean()) / 10)


def test_frames_of_a_video_come_in_order_from_zero(make_video, tmp_path):
    path = make_video(tmp_path / "x.avi", frames=12)
    frames = list(read_video(path))
    assert [number for number, _ in frames] == list(range(12))
    assert [grey(image) for _, image in frames] == list(range(12))
    assert frames[0][1].shape == (48, 64, 3)
    assert announced_frames(path) == 12


def test_a_video_can_be_read_twice_and_left_early(make_video, tmp_path):
    path = make_video(tmp_path / "x.avi", frames=5)
    frames = read_video(path)
    next(frames)
    frames.close()
    assert len(list(read_video(path))) == 5


@pytest.mark.parametrize(("frames", "count"), [(20, 5), (3, 15), (1, 15)])
def test_a_sample_spreads_over_the_video_and_starts_at_its_first_frame(
    make_video, tmp_path, frames, count
):
    images = sample_video(make_video(tmp_path / "x.avi", frames=frames), count)
    numbers = [grey(image) for image in images]
    assert numbers[0] == 0
    assert numbers[-1] == frames - 1
    assert len(set(numbers)) == len(numbers) == min(frames, count)


@pytest.mark.parametrize(
    "read", [lambda path: list(read_video(path)), lambda p: sample_video(p, 3)]
)
@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("gone.mp4", None, "no such video file"),
        ("text.mp4", b"hello" * 100, "cannot be read as a video; re-encode"),
        ("empty.mp4", b"", "cannot be read as a video; re-encode"),
    ],
)
def test_a_file_that_is_no_video_says_so(tmp_path, read, name, content, words):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=f"{name}: {words}"):
        read(path)
    assert announced_frames(path) == 0


@pytest.mark.parametrize("count", [0, 1, 3, 10**6, 2**31 - 1])
def test_a_header_that_lies_about_the_number_of_frames_changes_nothing(make_video, tmp_path, count):
    path = make_video(tmp_path / "x.avi", frames=20)
    content = bytearray(path.read_bytes())
    for at, field in ((b"avih", 24), (b"strh", 40)):  # dwTotalFrames, dwLength
        start = content.index(at) + 8 + field - 8 * (at == b"avih")
        content[start : start + 4] = count.to_bytes(4, "little")
    path.write_bytes(content)
    assert [grey(image) for _, image in read_video(path)] == list(range(20))
    assert announced_frames(path) <= path.stat().st_size
    images = [grey(image) for image in sample_video(path, 5)]
    assert images[0] == 0


def test_a_video_cut_short_gives_the_frames_before_the_cut(make_video, tmp_path):
    path = make_video(tmp_path / "x.avi", frames=20)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 6 // 10])
    numbers = [number for number, _ in read_video(path)]
    assert numbers == list(range(len(numbers))) and 2 <= len(numbers) < 20
    images = [grey(image) for image in sample_video(path, 2)]
    assert images == [0, numbers[-1]]


def test_frames_that_cannot_be_decoded_keep_their_numbers(make_video, tmp_path, monkeypatch):
    """The first, some in the middle and the last; a decoder fails at them and goes on."""
    path = make_video(tmp_path / "x.avi", frames=12)
    bad = {0, 1, 5, 11}

    class Damaged:
        def __init__(self, *args):
            self._frames = [image for _, image in whole]
            self._at = -1

        def isOpened(self):  # noqa: N802
            return True

        def get(self, what):
            return 12.0

        def read(self):
            self._at += 1
            if self._at in bad or self._at >= 12:
                return False, None
            return True, self._frames[self._at]

        def release(self):
            pass

    whole = list(read_video(path))
    monkeypatch.setattr("mubert_jax.data.video.cv2.VideoCapture", Damaged)
    found = list(read_video(path))
    assert [number for number, _ in found] == [n for n in range(12) if n not in bad]
    assert all(grey(image) == number for number, image in found)


@pytest.mark.parametrize(("times", "numbers"), [("even", [0, 1, 4, 5]), ("uneven", [0, 1, 3, 4])])
def test_frames_passed_over_in_silence_are_counted_by_even_time_stamps(
    make_video, tmp_path, monkeypatch, times, numbers
):
    """One read fails, and one frame more is lost, as FFmpeg's decoders with threads do it."""
    path = make_video(tmp_path / "x.avi", frames=1)
    ((_, image),) = read_video(path)
    reads = [0.0, 40.0 if times == "even" else 70.0, None, 160.0, 200.0]

    class Skipping:
        def __init__(self, *args):
            self._reads = iter(reads)
            self._time = 0.0

        def isOpened(self):  # noqa: N802
            return True

        def get(self, what):
            return {cv2.CAP_PROP_FPS: 25.0, cv2.CAP_PROP_POS_MSEC: self._time}.get(what, 0.0)

        def read(self):
            self._time = next(self._reads, None)
            return (False, None) if self._time is None else (True, image)

        def release(self):
            pass

    monkeypatch.setattr("mubert_jax.data.video.cv2.VideoCapture", Skipping)
    assert [number for number, _ in read_video(path)] == numbers


def test_a_video_turned_by_its_header_is_turned_once(tmp_path):
    path = tmp_path / "x.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25.0, (64, 48))
    for _ in range(8):
        frame = np.zeros((48, 64, 3), np.uint8)
        frame[:, :16] = 255
        writer.write(frame)
    writer.release()
    content = path.read_bytes()
    track = content.index(b"tkhd")
    upright = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    turned = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    at = content.index(upright, track)
    path.write_bytes(content[:at] + turned + content[at + 36 :])
    images = [image for _, image in read_video(path)] + sample_video(path, 4)
    assert {image.shape for image in images} == {(64, 48, 3)}
    for image in images:
        assert image[:8].mean() > 200 and image[24:].mean() < 50


@pytest.mark.parametrize("name", ["caf\udce9.avi", "a\nb.avi", "\U0001f600.avi", "12:30:05.avi"])
def test_a_video_of_any_name_is_read(make_video, tmp_path, monkeypatch, name):
    made = make_video(tmp_path / "x.avi", 4)
    made.rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert len(list(read_video(name))) == 4
    assert len(sample_video(name, 2)) == 2
    assert announced_frames(Path(name)) == 4


@pytest.mark.parametrize(
    ("name", "content", "video"),
    [
        ("a.ts", b"const x: number = 1;\n" * 20, False),
        ("a.mts", b"/** Gives all */ export const G = 1;" * 20, False),
        ("a.ts", (b"G" + bytes(187)) * 3, True),
        ("a.MTS", (b"\0\0\0\1G" + bytes(187)) * 3, True),
        ("a.ts", b"", True),
        ("a.mp4", b"text", True),
    ],
)
def test_typescript_is_no_video(tmp_path, name, content, video):
    (tmp_path / name).write_bytes(content)
    assert is_video(tmp_path / name) == video


def test_a_video_without_frames_says_so(make_video, tmp_path):
    path = make_video(tmp_path / "x.avi", frames=0)
    with pytest.raises(UserError, match="x.avi: .*re-encode"):
        list(read_video(path))


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("img2.png", 2),
        ("img10.png", 10),
        ("reg_img46.jpg", 46),
        ("006_1_2_07583.jpg", 7583),
        ("image000123.bmp", 123),
        ("2024-cover.png", 2024),
        ("poster.png", None),
    ],
)
def test_the_frame_number_is_the_last_number_of_the_name(name, number):
    assert frame_number(Path(name)) == number


@pytest.mark.parametrize("content", [None, b"", b"no image"])
def test_a_file_that_is_no_image_says_so(tmp_path, content):
    path = tmp_path / "img1.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match="img1.png: (cannot be read|not an image)"):
        read_image(path)


def test_folders_of_images_at_every_depth_are_clips(make_images, tmp_path):
    make_images(tmp_path / "sub01" / "EP02" / "crop", [3, 1, 2], name="reg_img{}.png")
    make_images(tmp_path / "sub01" / "EP03", [46, 47])
    make_images(tmp_path / "alone", [9, 10, 100])
    make_images(tmp_path / ".cache" / "x", [1])
    make_images(tmp_path / "__MACOSX" / "x", [1])
    clips = {clip.name: clip for clip in load_set("frames").clips(tmp_path)}
    assert {name: clip.subject for name, clip in clips.items()} == {
        "sub01/EP02/crop": "sub01",
        "sub01/EP03": "sub01",
        "alone": "alone",
    }
    assert [number for number, _ in clips["sub01/EP02/crop"].frames] == [1, 2, 3]
    assert [number for number, _ in clips["alone"].frames] == [9, 10, 100]
    assert clips["alone"].num_frames == 3
    first = read_image(tmp_path / "alone" / "img9.png")
    np.testing.assert_array_equal(clips["alone"].frames.sample(2)[0], first)


def test_a_folder_of_images_is_one_clip_with_its_own_name(make_images, tmp_path):
    (clip,) = load_set("frames").clips(make_images(tmp_path / "face", [1, 2]))
    assert (clip.name, clip.subject) == ("face", "face")


def test_videos_at_every_depth_are_clips(make_video, tmp_path):
    make_video(tmp_path / "s1" / "happy" / "a.avi", 3)
    make_video(tmp_path / "s2" / "b.AVI", 3)
    make_video(tmp_path / "c.avi", 3)
    make_video(tmp_path / ".hidden" / "d.avi", 3)
    (tmp_path / "s1" / "notes.txt").write_text("")
    clips = {clip.name: clip for clip in load_set("video").clips(tmp_path)}
    assert {name: clip.subject for name, clip in clips.items()} == {
        "s1/happy/a": "s1",
        "s2/b": "s2",
        "c": "c",
    }
    assert clips["c"].num_frames == 3


def test_two_videos_that_differ_in_suffix_alone_keep_it(make_video, tmp_path):
    make_video(tmp_path / "s" / "a.avi", 3)
    make_video(tmp_path / "s" / "a.mkv", 3)
    assert {clip.name for clip in load_set("video").clips(tmp_path)} == {"s/a.avi", "s/a.mkv"}


def test_one_video_file_is_one_clip(make_video, tmp_path):
    (clip,) = load_set("video").clips(make_video(tmp_path / "x.avi", 3))
    assert (clip.name, clip.subject) == ("x", "x")


def test_a_file_for_the_frames_source_points_to_the_video_source(make_video, tmp_path):
    with pytest.raises(UserError, match="not a folder; for a video file use `mubert prepare video"):
        load_set("frames").clips(make_video(tmp_path / "x.avi", 3))


def test_a_set_is_a_module_of_its_folder():
    assert {"frames", "video"} <= set(available_sets())
    with pytest.raises(UserError, match="unknown data set 'frame'; did you mean 'frames'"):
        load_set("frame")
