"""Videos and folders of images as clips: order, names, subjects, and what goes wrong."""

from pathlib import Path

import numpy as np
import pytest

from mubert_jax.data.sets import available_sets, load_set
from mubert_jax.data.video import (
    announced_frames,
    frame_number,
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
    assert [number for number, _ in clips["sub01/EP02/crop"].frames()] == [1, 2, 3]
    assert [number for number, _ in clips["alone"].frames()] == [9, 10, 100]
    assert clips["alone"].num_frames == 3
    first = read_image(tmp_path / "alone" / "img9.png")
    np.testing.assert_array_equal(clips["alone"].sample(2)[0], first)


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
    with pytest.raises(UserError, match="no data set 'frame': did you mean 'frames'"):
        load_set("frame")
