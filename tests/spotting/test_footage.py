"""Times, rates and names of recordings, and those that cannot be spotted."""

import cv2
import numpy as np
import pytest

from mubert_jax.errors import UserError
from mubert_jax.spotting.footage import Frame, file_name, footage, thinned, working_rate


def write(path, frames=20, fps=30.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, (32, 32))
    for number in range(frames):
        writer.write(np.full((32, 32, 3), 5 * number % 255, np.uint8))
    writer.release()
    return path


def at(times):
    return [Frame(number, time, np.zeros((1, 1, 3), np.uint8)) for number, time in enumerate(times)]


def numbers(times, rate):
    return [frame.number for frame in thinned(iter(at(times)), rate, 0.25)]


def test_frames_at_the_working_rate_pass_as_they_are():
    assert numbers(np.arange(50) / 30, 30.0) == list(range(50))


def test_fast_recordings_are_thinned_evenly():
    rate = working_rate(200.0, 30.0)
    assert rate == pytest.approx(200 / 7)
    assert numbers(np.arange(100) / 200, rate) == list(range(0, 100, 7))


def test_time_stamps_count_where_the_frame_rate_changes():
    # A second at 30 frames per second, and one at 15.
    times = np.concatenate([np.arange(30) / 30, 1 + np.arange(16) / 15])
    taken = numbers(times, 30.0)
    assert len(taken) == 61 and taken[:30] == list(range(30))
    assert np.abs(times[taken] - np.arange(61) / 30).max() <= 1 / 30 + 1e-6


def test_nothing_is_filled_into_a_gap():
    times = np.concatenate([np.arange(10) / 30, 5 + np.arange(10) / 30])
    assert numbers(times, 30.0) == list(range(20))


def test_a_video_has_the_times_of_its_stream(tmp_path):
    (one,) = footage([write(tmp_path / "a.avi", fps=25.0)])
    frames = list(one)
    assert [frame.number for frame in frames] == list(range(20)) and one.fps == 25.0
    np.testing.assert_allclose([frame.seconds for frame in frames], np.arange(20) / 25, atol=1e-3)
    assert {frame.number: frame.image.shape for frame in one.read([3, 5])} == {
        3: (32, 32, 3),
        5: (32, 32, 3),
    }


def test_fps_overrides_the_stream(tmp_path):
    (one,) = footage([write(tmp_path / "a.avi", fps=25.0)], fps=50.0)
    assert [frame.seconds for frame in one] == [number / 50 for number in range(20)]


def test_a_folder_of_videos_names_subjects_by_its_folders(tmp_path):
    for name in ("s1/a.avi", "s1/b.avi", "s2/a.avi"):
        write(tmp_path / name, frames=2)
    found = footage([], tmp_path)
    assert [(one.subject, one.video) for one in found] == [("s1", "a"), ("s1", "b"), ("s2", "a")]
    assert [file_name(one) for one in found] == ["s1_a", "s1_b", "s2_a"]


def test_a_prepared_set_has_its_own_names_and_rates(tmp_path):
    write(tmp_path / "films/x.avi", fps=30.0)
    (tmp_path / "p").mkdir()
    for number in (7, 8, 9):
        cv2.imwrite(str(tmp_path / f"p/{number}.png"), np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "videos.csv").write_text(
        "subject,video,frames,fps,file\ns07,one,20,25,films/x.avi\ns08,two,3,200,p\n"
    )
    one, other = footage([], tmp_path)
    assert (one.subject, one.video, one.fps) == ("s07", "one", 25.0)
    assert (other.subject, other.video, other.fps) == ("s08", "two", 200.0)
    assert [(frame.number, frame.seconds) for frame in other] == [(0, 0), (1, 0.005), (2, 0.01)]


def test_a_folder_of_images_is_a_video_and_a_damaged_one_is_passed_over(tmp_path):
    for number in range(1, 12):
        cv2.imwrite(str(tmp_path / f"img{number}.png"), np.full((8, 8, 3), number, np.uint8))
    (tmp_path / "img5.png").write_bytes(b"no picture")
    (one,) = footage([], tmp_path, fps=20.0)
    assert [frame.number for frame in one] == [0, 1, 2, 3, 5, 6, 7, 8, 9, 10]
    assert [frame.image[0, 0, 0] for frame in one][:5] == [1, 2, 3, 4, 6]
    assert one.expected == 11 and [frame.number for frame in one.read([4, 6])] == [6]


@pytest.mark.parametrize(
    "make, words, fps",
    [
        (lambda t: ([write(t / "a.avi", fps=2.0)], None), "2 frames per second are too slow", None),
        (lambda t: ([t / "nothing.mp4"], None), "no such video file", None),
        (lambda t: ([write(t / "a.avi"), write(t / "b/a.avi")], None), "have one name", None),
        (lambda t: ([], t / "nowhere"), "no such folder", None),
        (lambda t: ([], t), "no video file", None),
        (lambda t: ([], _images(t)), "give --fps", None),
        (lambda t: ([], _images(t)), "too slow", 5.0),
    ],
)
def test_what_cannot_be_spotted_is_one_line(tmp_path, make, words, fps):
    videos, folder = make(tmp_path)
    with pytest.raises(UserError, match=words) as error:
        footage(videos, folder, fps)
    assert "\n" not in str(error.value)


def _images(folder):
    cv2.imwrite(str(folder / "img1.png"), np.zeros((8, 8, 3), np.uint8))
    return folder
