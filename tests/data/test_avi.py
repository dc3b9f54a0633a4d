"""Behind the damaged middle of an AVI file, frames keep their numbers and their times."""

import cv2
import numpy as np
import pytest

from mubert_jax.data.avi import frames_that_are_there
from mubert_jax.data.lossless import write_lossless, writes_lossless_video
from mubert_jax.data.video import read_timed_video
from mubert_jax.spotting.following import GAP, Follower
from mubert_jax.spotting.footage import footage

FRAMES, FPS, SIDE = 90, 30.0, 32


def picture(number):
    """One of its number: a bright bar whose place says it, over grey that does not move."""
    image = np.full((SIDE, SIDE, 3), 90, np.uint8)
    image[:, SIDE // 2 :] = 150
    image[number * SIDE // FRAMES] = 255
    return image


def write(path, codec="MJPG"):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), FPS, (SIDE, SIDE))
    for number in range(FRAMES):
        writer.write(picture(number))
    writer.release()
    return path


def damaged(path, kind):
    data = bytearray(path.read_bytes())
    begin, end = int(len(data) * 0.4), int(len(data) * 0.6)
    noise = np.random.default_rng(0).integers(0, 255, end - begin, np.uint8).tobytes()
    data[begin:end] = bytes(end - begin) if kind == "zeros" else noise
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("codec", ["MJPG", "FFV1"])
@pytest.mark.parametrize("kind", ["zeros", "noise"])
def test_frames_behind_the_damage_keep_their_numbers_and_times(tmp_path, codec, kind):
    if codec == "FFV1":
        if not writes_lossless_video():
            pytest.skip("this OpenCV has no FFV1")
        path = write_lossless(map(picture, range(FRAMES)), FRAMES, FPS, tmp_path, "a")
    else:
        path = write(tmp_path / "a.avi")
    assert frames_that_are_there(path) is None
    read = list(read_timed_video(damaged(path, kind)))
    numbers = [number for number, _, _ in read]
    assert numbers == sorted(set(numbers)) and numbers[-1] == FRAMES - 1
    lost = set(range(FRAMES)) - set(numbers)
    # One frame in the middle may be read although its end is damaged.
    assert 10 <= len(lost) <= 40 and max(lost) - min(lost) <= len(lost) + 1
    # FFV1 needs a key frame, of which there is one in twelve.
    behind = [(number, image) for number, _, image in read if number > max(lost) + 13]
    assert len(behind) > 10
    for number, image in behind:
        assert np.abs(image.astype(int) - picture(number)).mean() < 4
    np.testing.assert_allclose([seconds for _, seconds, _ in read], np.array(numbers) / FPS)


def test_the_damaged_middle_is_a_gap_and_no_cut(tmp_path):
    (one,) = footage([damaged(write(tmp_path / "a.avi"), "zeros")])
    follower = Follower(16, FPS, None)
    seen = list(follower(iter(one)))
    (hole,) = (hole for hole in follower.holes if hole.reason == GAP)
    assert hole.last - hole.first > 8 and hole.end - hole.start > 0.3
    behind = [frame for frame in seen if frame.number > hole.last]
    assert behind[0].stretch > seen[0].stretch and behind[-1].number == FRAMES - 1


def test_what_has_no_index_that_can_be_believed_is_counted_as_before(tmp_path):
    path = write(tmp_path / "a.avi")
    data = path.read_bytes()
    (tmp_path / "cut.avi").write_bytes(data[: int(len(data) * 0.7)])
    (tmp_path / "other.avi").write_bytes(b"RIFF" + bytes(60))
    (tmp_path / "odd.avi").write_bytes(data.replace(b"idx1", b"idx9"))
    for name in ("cut", "other", "odd"):
        assert frames_that_are_there(tmp_path / f"{name}.avi") is None
    numbers = [number for number, _, _ in read_timed_video(tmp_path / "cut.avi")]
    assert numbers == list(range(len(numbers))) and 50 < len(numbers) < 70
