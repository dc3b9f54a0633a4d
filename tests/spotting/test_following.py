"""One box per stretch; cuts, gaps and lost faces end one and are listed."""

import numpy as np
import pytest

from mubert_jax.data.faces import Detection
from mubert_jax.spotting.following import CUT, GAP, LEFT, LOST, NO_FACE, SEVERAL, Follower
from mubert_jax.spotting.footage import Frame

RATE = 10.0
SIDE = 40


def scene(seed):
    coarse = np.random.default_rng(seed).integers(0, 255, (5, 5, 3), np.uint8)
    return np.kron(coarse, np.ones((SIDE // 5, SIDE // 5, 1), np.uint8))


def frames(count, image=None, start=0):
    image = scene(0) if image is None else image
    return [Frame(number, number / RATE, image) for number in range(start, start + count)]


def followed(frames, faces=None):
    """The frames that are seen, and the follower; `faces(number)` is what a detector finds."""
    shown = iter(frames)
    now = []

    def passing():
        for frame in shown:
            now.append(frame.number)
            yield frame

    detector = None if faces is None else lambda _: faces(now[-1])
    follower = Follower(16, RATE, detector, margin=0.0)
    return list(follower(passing())), follower


def face(x=10, side=20):
    return Detection(x, 10, side, side, 1.0)


def test_a_still_face_is_one_stretch_of_one_box():
    seen, follower = followed(frames(100), lambda _: [face()])
    assert [one.number for one in seen] == list(range(100))
    assert {one.stretch for one in seen} == {0} and {one.box for one in seen} == {(10, 10, 20)}
    assert seen[0].face.shape == (16, 16, 3)
    assert not follower.holes and not follower.notes


def test_a_cut_ends_a_stretch_and_a_change_of_light_does_not():
    dark = (scene(0) * 0.6).astype(np.uint8)
    shown = frames(20) + frames(20, dark, 20) + frames(20, scene(1), 40)
    seen, follower = followed(shown)
    assert [one.number for one in seen if one.stretch == 1] == list(range(40, 60))
    assert {one.stretch for one in seen} == {0, 1}
    (hole,) = follower.holes
    assert (hole.reason, hole.first, hole.start) == (CUT, 40, 4.0)


def test_a_gap_ends_a_stretch():
    seen, follower = followed(frames(20) + frames(20, start=30))
    assert sorted({one.stretch for one in seen}) == [0, 1] and len(seen) == 40
    (hole,) = follower.holes
    assert (hole.reason, hole.first, hole.last, hole.start) == (GAP, 20, 29, 1.9)


@pytest.mark.parametrize(
    "after, reason", [([face(x=20)], LEFT), ([face(side=30)], LEFT), ([], LOST)]
)
def test_a_face_that_leaves_its_box_ends_a_stretch(after, reason):
    seen, follower = followed(frames(100), lambda number: [face()] if number < 50 else after)
    reasons = [hole.reason for hole in follower.holes]
    assert reasons == [reason] + [NO_FACE] * (reason == LOST)
    later = {one.box for one in seen if one.stretch == 1}
    assert len(later) == (reason == LEFT)
    if reason == LOST:
        # All frames without a face are one hole up to the end.
        assert follower.holes[-1].last == 99 and max(one.number for one in seen) < 80


def test_a_detector_that_misses_once_loses_nothing():
    seen, follower = followed(frames(100), lambda number: [face()] if number != 24 else [])
    assert len(seen) == 100 and not follower.holes


def test_of_several_faces_the_largest_is_followed():
    seen, follower = followed(frames(30), lambda _: [face(side=8), face(side=20)])
    assert seen[0].box == (10, 10, 20) and follower.notes == [SEVERAL]


def test_no_face_at_all_is_one_hole():
    seen, follower = followed(frames(33), lambda _: [])
    assert not seen
    assert [(one.reason, one.first, one.last) for one in follower.holes] == [(NO_FACE, 0, 32)]
