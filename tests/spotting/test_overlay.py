"""The overlay video: every frame, heat where something moves, and the bar below."""

import cv2
import numpy as np
import pytest

from mubert_jax.cli import main
from mubert_jax.data.faces import Box
from mubert_jax.data.video import read_video
from mubert_jax.spotting import overlay, spotter
from mubert_jax.spotting.footage import footage
from mubert_jax.spotting.found import Found
from mubert_jax.spotting.spotter import Stretch
from spotting.test_spot import FRAMES, RATE, Differences, write

# The patch that differs is at 12 to 20 of 32 pixels in frames 30 to 33.
MICRO = Found("micro", 29, 31, 35, 29 / RATE, 31 / RATE, 35 / RATE, 9.0, 0.25, "joy")


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Encoding takes long."""
    monkeypatch.setattr(overlay, "SMALLEST", 96)


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    (one,) = footage([write(tmp_path_factory.mktemp("overlay") / "a.avi")])
    return one


def drawn(recording, found, box=None):
    stretch = Stretch(0, FRAMES - 1, box)
    return list(overlay._drawn(recording, RATE, [stretch], found, Differences("difference"), {}))


def test_heat_lies_where_something_moves_and_when(recording):
    plain, marked = (np.stack(drawn(recording, found)) for found in ([], [MICRO]))
    assert plain.shape == (FRAMES, overlay.SMALLEST + overlay.BAR, overlay.SMALLEST, 3)
    changed = np.abs(plain.astype(int) - marked)[:, : overlay.SMALLEST].max(-1) > 40
    assert {int(i) for i in np.flatnonzero(changed.any((1, 2)))} <= set(range(30, 34))
    scale = overlay.SMALLEST / 32
    inside = np.s_[round(12 * scale) : round(20 * scale), round(12 * scale) : round(20 * scale)]
    difference = np.abs(plain[31].astype(int) - marked[31])[: overlay.SMALLEST].mean(-1)
    border = difference[: round(4 * scale)]
    assert difference[inside].mean() > 2 * max(border.mean(), difference[:, -8:].mean())


def test_heat_lies_in_the_box_even_where_it_leaves_the_frame(recording):
    plain, marked = (drawn(recording, f, Box(8, -6, 32))[31] for f in ([], [MICRO]))
    changed = np.abs(plain.astype(int) - marked)[: overlay.SMALLEST].max(-1) > 40
    assert changed.any() and not changed[:, : 8 * overlay.SMALLEST // 32].any()


def test_the_bar_shows_when_and_the_frame_where(recording):
    bars = [picture[overlay.SMALLEST :] for picture in drawn(recording, [MICRO])]
    colour = np.array(overlay.COLOURS["micro"])
    row = bars[0][-5]
    (columns,) = np.nonzero((row == colour).all(-1))
    assert abs(columns.min() / len(row) - 29 / FRAMES) < 0.025
    assert abs(columns.max() / len(row) - 35 / FRAMES) < 0.025
    for number in (10, 50):
        (ink,) = np.nonzero((bars[number][-2] == overlay._INK).all(-1))
        assert abs(ink.mean() / len(row) - number / FRAMES) < 0.025
    assert np.abs(bars[31][:16].astype(int) - bars[50][:16]).any()


def test_the_command_writes_a_video_that_plays(recording, tmp_path, monkeypatch):
    monkeypatch.setattr(spotter, "ByMotionMap", Differences)
    words = ["spot", "--video", str(recording.path), f"--output={tmp_path}", "--crop=none"]
    words += ["--method=difference", "--threshold=5"]
    assert main(words) == 0 and not (tmp_path / "a.mp4").exists()
    assert main([*words, "--overlay"]) == 0
    frames = dict(read_video(tmp_path / "a.mp4"))
    assert len(frames) == FRAMES
    assert frames[0].shape == (overlay.SMALLEST + overlay.BAR, overlay.SMALLEST, 3)
    assert cv2.VideoCapture(str(tmp_path / "a.mp4")).get(cv2.CAP_PROP_FPS) == pytest.approx(RATE)
    assert not list(tmp_path.glob("*.tmp*"))
