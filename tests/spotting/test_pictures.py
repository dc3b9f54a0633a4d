"""The second look at a recording: which pairs come again, what is held, and what pictures show."""

import base64
import dataclasses

import cv2
import numpy as np
import pytest

from mubert_jax.spotting import page, pictures
from mubert_jax.spotting.comparing import Comparison
from mubert_jax.spotting.footage import Frame
from mubert_jax.spotting.found import Found
from mubert_jax.spotting.pictures import pairs_again, second_look, strongest
from mubert_jax.spotting.spotter import Stretch


@dataclasses.dataclass
class Reel:
    """A recording of grey frames, each as bright as its number; `damaged` ones cannot be read."""

    count: int
    damaged: tuple[int, ...] = ()
    fps: float = 20.0

    def read(self, numbers):
        for number in sorted(set(numbers) - set(self.damaged)):
            yield Frame(number, number / self.fps, np.full((8, 8, 3), number, np.uint8))


class Brighter(Comparison):
    """How much brighter each of 2 × 2 patches has become."""

    size, grid = 8, 2

    def interest(self, frames):
        return np.ones((len(frames), 4), np.float32)

    def __call__(self, before, after, interest):
        assert len(before) == pictures.BATCH
        change = (after.astype(np.float32) - before).mean((1, 2, 3))
        return change[:, None] * interest


def found(onset, apex, offset, score=9.0, what="micro"):
    return Found(what, onset, apex, offset, onset / 20, apex / 20, offset / 20, score, 0.25)


def test_pairs_come_by_the_later_frame_and_across_no_cut():
    wanted = [(1, 5), (0, 3), (1, 1), (2, 12), (3, 4)]
    stretches = [Stretch(0, 4, None), Stretch(5, 9, None)]
    seen = list(pairs_again(Reel(20), stretches, wanted, 8))
    assert [pair.numbers for pair in seen] == [(1, 1), (0, 3), (3, 4)]
    for pair in seen:
        assert pair.before[0, 0, 0] == pair.since and pair.after[0, 0, 0] == pair.frame.number


def test_a_frame_that_cannot_be_read_again_takes_only_its_own_pairs():
    wanted = [(0, 2), (0, 4), (2, 6), (5, 6)]
    seen = pairs_again(Reel(9, damaged=(2,)), [Stretch(0, 9, None)], wanted, 8)
    assert [pair.numbers for pair in seen] == [(0, 4), (5, 6)]


def test_faces_are_held_until_their_last_pair(monkeypatch):
    held = []
    really = pictures.crop_and_resize

    class Counted(np.ndarray):
        alive = 0

        def __array_finalize__(self, other):
            Counted.alive += 1

        def __del__(self):
            Counted.alive -= 1

    monkeypatch.setattr(pictures, "crop_and_resize", lambda *x: really(*x).view(Counted))
    wanted = [(number, number + 3) for number in range(200)]
    for _ in pairs_again(Reel(210), [Stretch(0, 210, None)], wanted, 8):
        held.append(Counted.alive)
    assert len(held) == 200 and max(held) <= 8


def test_pictures_show_what_was_found_and_the_time_between():
    ones = [found(40, 44, 50), found(100, 110, 120, 5.0)]
    made, emotions = second_look(Reel(200), [Stretch(0, 199, None)], ones, Brighter())
    assert emotions == {}
    assert [one.number for one in made] == sorted(one.number for one in made)
    for place, one in enumerate(ones):
        mine = {x.number: x for x in made if x.of == place}
        assert {one.onset, one.apex, one.offset} <= set(mine)
        assert len(mine) <= pictures.OF_EACH + 1
        for number, picture in mine.items():
            np.testing.assert_allclose(picture.movement, number - one.onset)
    between = [one for one in made if one.of is None]
    assert len(between) > pictures.BETWEEN / 2
    for one in between:
        assert one.since == max(0, one.number - 10)
        np.testing.assert_allclose(one.movement, one.number - one.since)
    assert strongest(made) == {0: 10.0, 1: 20.0}


def test_the_heat_of_each_finding_has_its_own_scale_and_that_between_the_weakest():
    ones = [found(40, 44, 50), found(100, 110, 120, 5.0)]
    made, _ = second_look(Reel(200), [Stretch(0, 199, None)], ones, Brighter())
    shown = list(page._pictures(made, ones, 1.0))

    def opacity(of, number):
        (heat,) = [x["heat"] for x in shown if x["of"] == of and x["number"] == number]
        data = np.frombuffer(base64.b64decode(heat.split(",")[1]), np.uint8)
        return cv2.imdecode(data, cv2.IMREAD_UNCHANGED)[..., 3].max() / 255

    assert opacity(0, 50) == opacity(1, 120) == opacity(None, 60) == 1
    assert opacity(1, 110) == pytest.approx(0.5**0.5, abs=0.01)
    # Only the second reaches this threshold, and it moved twice as far.
    shown = list(page._pictures(made, ones[:1] + [found(100, 110, 120, 99.0)], 50.0))
    assert opacity(None, 60) == pytest.approx(0.5**0.5, abs=0.01)


def test_low_scores_get_no_pictures_and_every_expression_an_emotion(monkeypatch):
    monkeypatch.setattr(pictures, "MOST", 1)
    ones = [found(40, 44, 50, 5.0), found(70, 72, 75, what="blink"), found(100, 110, 120, 7.0)]
    asked, seen = [], []

    def recognise(onset, apex):
        asked.append((onset[0, 0, 0], apex[0, 0, 0]))
        return {"joy": 1.0}

    stretches = [Stretch(0, 199, None)]
    made, emotions = second_look(Reel(200), stretches, ones, Brighter(), recognise, seen.append)
    assert {one.of for one in made} == {None, 1}
    assert asked == [(40, 44), (100, 110)] and emotions == {0: {"joy": 1.0}, 2: {"joy": 1.0}}
    assert seen == sorted(seen)


@pytest.mark.parametrize("stretches", [[], [Stretch(3, 3, None)]])
def test_nothing_found_is_no_trouble(stretches):
    made, emotions = second_look(Reel(9), stretches, [], Brighter())
    assert emotions == {} and len(made) == len(stretches)
