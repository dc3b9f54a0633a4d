"""Long videos: things happen when and where they are said to, and nothing else does."""

import dataclasses

import numpy as np
import pytest

from mubert_jax.errors import UserError
from mubert_jax.synthetic.events import EXPRESSIONS, KINDS, SECONDS, Rates, draw_events
from mubert_jax.synthetic.lids_and_lips import LidsAndLips
from mubert_jax.synthetic.long_conditions import LONG_CONDITIONS, known_long_conditions
from mubert_jax.synthetic.long_video import LongVideo
from mubert_jax.synthetic.nuisances import Nuisances

SILENT = Nuisances(noise=0.0)
NOTHING = dict.fromkeys(KINDS, 0.0)
SIZE = 64


def only(seconds=20.0, subject=4, **rates):
    """Two minutes' worth of one kind of event and of nothing else, in `seconds`."""
    return LongVideo(
        subject, nuisances=SILENT, rates=Rates(**(NOTHING | rates)), size=SIZE, seconds=seconds
    )


def change(video, number, rest=0):
    """How much each pixel of a frame differs from that of frame `rest`, 0 to 255."""
    return np.abs(video.frame(number).astype(int) - video.frame(rest)).max(-1)


def face_of(video):
    """Face coordinates of every pixel."""
    return video.pose.to_face(video.size)


def test_a_video_is_a_function_of_its_fields():
    everything = LONG_CONDITIONS["all"]
    fields = {"nuisances": everything.nuisances, "rates": everything.rates, "size": 32}
    first, again = LongVideo(1, **fields), LongVideo(1, **fields)
    assert first.events == again.events and len(first) == 1800
    for number in (800, 3, 800):
        np.testing.assert_array_equal(first.frame(number), again.frame(number))
    for other in ({"subject": 2}, {"index": 1}, {"seed": 1}):
        other = LongVideo(**({"subject": 1} | fields | other))
        assert other.events != first.events
        assert (other.frame(0) != first.frame(0)).mean() > 0.3


@pytest.mark.parametrize("fps", [30.0, 29.97, 200.0])
@pytest.mark.parametrize("overlapping", [False, True])
def test_events_have_their_lengths_and_do_not_overlap(fps, overlapping):
    rates = dataclasses.replace(LONG_CONDITIONS["all"].rates, overlapping=overlapping)
    kinds, both, skewed = set(), 0, []
    for seed in range(20):
        events = draw_events(np.random.default_rng(seed), rates, int(120 * fps), fps)
        assert 0 < events[0].onset and max(e.offset for e in events) < int(120 * fps)
        for event in events:
            low, high = SECONDS[event.kind]
            length = (event.offset - event.onset + 1) / fps
            assert low - 1e-9 <= length <= max(high, 1 / fps) + 1e-9, event
            assert event.onset <= event.apex <= event.held <= event.offset
            assert bool(event.emotion) == (event.kind in EXPRESSIONS)
            skewed.append((event.apex - event.onset) / max(event.offset - event.onset, 1))
        for before, after in zip(events, events[1:], strict=False):
            gap = (after.onset - before.offset - 1) / fps
            both += gap < 0
            expressions = before.kind in EXPRESSIONS and after.kind in EXPRESSIONS
            if expressions or not overlapping:
                assert gap >= rates.apart
        kinds |= {event.kind for event in events}
    assert kinds == set(KINDS)
    assert (both > 0) == overlapping
    assert np.mean(skewed) < 0.45


@pytest.mark.parametrize("kind, least", [("micro", 8), ("macro", 15)])
def test_a_face_moves_within_an_expression_and_rests_outside(kind, least):
    video = only(**{kind: 6.0})
    x, y = face_of(video)
    away = video.identity.radius(x, y) > 1.5
    assert len(video.events) == 2
    for event in video.expressions:
        assert event.kind == kind
        for number in (event.onset - 1, event.offset + 1):
            assert not change(video, number).any()
        moved = change(video, event.apex)
        assert moved.max() > least and not moved[away].any()
        step = 1 + (event.offset - event.onset) // 12
        times = list(range(event.onset, event.offset + 1, step))
        energy = [change(video, number).sum() for number in times]
        assert event.apex - step <= times[np.argmax(energy)] <= event.held + step


def test_large_expressions_do_not_fold_the_skin():
    """Their fields are less steep than 1, whatever the units are, and still their strength long."""
    video = only(macro=10.0, seconds=90.0)
    for event in video.events:
        strong = dataclasses.replace(event, strength=9.0)
        field = video.movement(strong).field(video.pose, 224)
        assert np.linalg.norm(field, axis=-1).max() == pytest.approx(9.0, rel=1e-4)
        assert max(np.abs(np.diff(field, axis=axis)).max() for axis in (0, 1)) < 0.95


def test_in_still_nothing_moves_but_lids():
    still = LONG_CONDITIONS["still"]
    video = LongVideo(3, nuisances=SILENT, rates=still.rates, size=SIZE, seconds=20.0)
    assert {event.kind for event in video.events} == {"blink"}
    x, y = face_of(video)
    eye, size = video.identity.eye, video.identity.eye_size
    beside = np.abs(np.abs(x) - eye[0]) > size[0] + 0.12
    beside |= (y < video.identity.brow[1] - 0.1) | (y > eye[1] + size[1] + 0.12)
    inside = (np.abs(np.abs(x) - eye[0]) < 0.4 * size[0]) & (np.abs(y - eye[1]) < 0.6 * size[1])
    white = video.frame(0)[inside].astype(int)
    for event in video.events:
        for number in (event.onset - 1, event.offset + 1):
            assert not change(video, number).any()
        moved = change(video, event.apex)
        assert not moved[beside].any() and moved[inside].mean() > 20
        # Skin is more even than an eye with its white, iris and pupil.
        closed = video.frame(event.apex)[inside].astype(int)
        assert closed.std(axis=0).mean() < 0.6 * white.std(axis=0).mean()


def test_lids_come_down_from_above_and_hide_the_eye():
    video = only()
    lids, (x, y) = LidsAndLips(video.identity, video.pose, SIZE), face_of(video)
    down = np.array([-np.sin(video.pose.roll), np.cos(video.pose.roll)])
    eye, size = video.identity.eye, video.identity.eye_size
    lower = (np.abs(np.abs(x) - eye[0]) < 0.5 * size[0]) & (np.abs(y - eye[1] - 0.03) < 0.02)
    moved = []
    for closed in (0.3, 1.0):
        field = np.zeros((SIZE, SIZE, 2), np.float32)
        lids.close(field, closed)
        moved.append(field @ down)
        assert (moved[-1] >= -1e-5).all() and np.abs(field).max() > 0.5
    # Half closed, a lid has not reached the lower half of the eye; closed, it has.
    assert not moved[0][lower].any() and moved[1][lower].all()


def test_speech_opens_the_mouth_and_moves_the_lower_face_alone():
    video = only(speech=3.0)
    (event,) = video.events
    x, y = face_of(video)
    upper = y < video.identity.nose[1] - 0.1
    opened = []
    for number in range(event.apex, event.held, 3):
        moved = change(video, number)
        assert not moved[upper].any()
        opened.append(moved.sum())
    # Syllables: the mouth opens and closes again and again.
    assert max(opened) > 3 * min(opened) and (np.diff(np.sign(np.diff(opened))) != 0).sum() >= 4


def test_a_turn_moves_the_whole_face_and_comes_back():
    video = only(turn=3.0)
    (event,) = video.events
    assert (change(video, event.apex) > 4).mean() > 0.1
    assert not change(video, event.offset + 1).any()


def test_a_lamp_changes_the_light_alone():
    video = only(light=3.0)
    (event,) = video.events
    ratio = video.frame(event.apex).mean() / video.frame(0).mean()
    assert 0.05 < abs(ratio - 1) < 0.4
    assert not change(video, event.offset + 1).any()


def test_a_cut_is_black_or_at_once_and_shows_another_view():
    video = only(cut=24.0, seconds=30.0)
    black = [event for event in video.events if event.offset > event.onset]
    assert 0 < len(black) < len(video.events)
    assert not video.frame(black[0].onset).any() and video.frame(black[0].offset + 1).any()
    event = video.events[0]
    assert not change(video, event.onset - 1).any()
    assert (change(video, event.offset + 1) > 10).mean() > 0.3
    assert not change(video, event.offset + 2, event.offset + 1).any()


def test_what_is_kept_does_not_grow():
    video = LongVideo(0, rates=Rates(micro=20, macro=0, blink=0), size=16, fps=10.0)
    kept = 0
    for _ in video:
        kept = max(kept, len(video._fields))
    assert len(video.events) == 20 and kept == 1


def test_what_cannot_be_is_refused():
    for fields, said in (
        ({"fps": 5.0}, "--fps 5: choose 10"),
        ({"size": 8}, "--size 8: choose 16"),
        ({"seconds": 0.5}, "--seconds 0.5: choose 1"),
    ):
        with pytest.raises(UserError, match=said):
            LongVideo(0, **fields)
    with pytest.raises(UserError, match="events do not fit into 10 s, 1 s apart"):
        LongVideo(0, rates=Rates(blink=100.0), seconds=10.0).events  # noqa: B018
    with pytest.raises(UserError, match="--conditions fog: with --long, choose from still, easy"):
        known_long_conditions(["easy", "fog"])
