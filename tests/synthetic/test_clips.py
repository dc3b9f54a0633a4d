"""Synthetic people: deterministic, all different, and the truth is what the pictures show."""

import dataclasses

import cv2
import numpy as np
import pytest

from mubert_jax.data.faces import HaarDetector
from mubert_jax.data.records import encode_image
from mubert_jax.errors import UserError
from mubert_jax.synthetic.clip import SyntheticClip
from mubert_jax.synthetic.conditions import CONDITIONS
from mubert_jax.synthetic.expressions import EMOTIONS, Expression
from mubert_jax.synthetic.identity import Identity
from mubert_jax.synthetic.movements import ACTION_UNITS, Course, Movement
from mubert_jax.synthetic.nuisances import Nuisances

SILENT = Nuisances(noise=0.0)


def clip(**fields):
    return SyntheticClip(**{"subject": 1, "index": 0, "size": 96, "nuisances": SILENT} | fields)


def test_a_clip_is_a_function_of_its_fields():
    first, again = clip(nuisances=CONDITIONS["all"]), clip(nuisances=CONDITIONS["all"])
    for number in (5, 0, 5):
        np.testing.assert_array_equal(first.frame(number), again.frame(number))
    for field in ("subject", "index", "seed"):
        assert (clip(**{field: 7}).frame(0) != first.frame(0)).mean() > 0.3


def test_subjects_look_different_and_keep_their_looks():
    people = [Identity.draw(seed) for seed in range(30)]
    for field in ("height", "mouth", "skin", "hairline"):
        assert len({getattr(person, field) for person in people}) == 30
    assert len({person.hair_style for person in people}) >= 3
    assert clip(index=0).identity == clip(index=5).identity


@pytest.mark.slow
def test_haar_finds_most_of_the_faces():
    detector = HaarDetector()
    frames = [clip(subject=s, size=224).frame(0) for s in range(12)]
    assert sum(len(detector(frame)) > 0 for frame in frames) >= 8


@pytest.mark.parametrize("condition", CONDITIONS)
def test_frames_are_pictures(condition):
    frame = clip(nuisances=CONDITIONS[condition], size=64).frame(3)
    assert frame.shape == (64, 64, 3) and frame.dtype == np.uint8
    assert frame.std() > 20


def test_every_emotion_moves_the_face_by_its_amplitude_and_nothing_else():
    for emotion, sets in EMOTIONS.items():
        assert all(unit in ACTION_UNITS for units in sets for unit in units)
        made = clip(size=224)
        random = np.random.default_rng(0)
        expression = Expression.typical(random, emotion)
        movement = Movement.of_expression(random, made.identity, expression, 2.0)
        field = movement.field(made.pose, 224)
        length = np.linalg.norm(field, axis=-1)
        np.testing.assert_allclose(length.max(), 2.0, rtol=1e-5)
        assert np.median(length) < 0.2 and length[0].max() < 0.05


def test_the_course_is_still_then_moves_then_is_still():
    course = Course.draw(np.random.default_rng(3), 24)
    shares = [course.share(frame) for frame in range(24)]
    assert shares[: course.onset + 1] == [0] * (course.onset + 1)
    assert shares[course.apex] == 1 and shares[course.offset :] == [0] * (24 - course.offset)
    assert all(np.diff(shares[course.onset : course.apex + 1]) > 0)


def test_the_truth_is_the_flow_that_the_pictures_show():
    """Farnebäck's flow, which knows nothing of how they were made, finds the same displacement."""
    made = clip(size=224, amplitudes=(2.5, 2.6), subject=4)
    onset, apex = made.course.onset, made.course.apex
    truth = made.truth(onset, apex, 8)
    grey = [cv2.cvtColor(made.frame(i), cv2.COLOR_RGB2GRAY) for i in (onset, apex)]
    flow = cv2.calcOpticalFlowFarneback(*grey, None, 0.5, 3, 21, 5, 7, 1.5, 0)
    length = np.linalg.norm(flow, axis=-1).reshape(28, 8, 28, 8).mean((1, 3))
    moved = (truth.displacement > 1.2) & (truth.visible > 3)
    assert moved.sum() > 4
    assert np.abs(length[moved] - truth.displacement[moved]).mean() < 0.5
    assert length[truth.displacement < 0.01].mean() < 0.1


def test_visible_movement_is_the_change_that_is_seen():
    made = clip(size=224, amplitudes=(0.6, 0.61))
    onset, apex = made.course.onset, made.course.apex
    truth = made.truth(onset, apex, 8)
    change = np.abs(made._clean(apex) - made._clean(onset)) @ (0.299, 0.587, 0.114) * 255
    change = change.reshape(28, 8, 28, 8).mean((1, 3))
    assert np.corrcoef(change.ravel(), truth.visible.ravel())[0, 1] > 0.9
    assert change[truth.displacement == 0].max() < 0.05


def test_what_is_no_movement_is_not_in_the_truth():
    quiet, loud = clip(), clip(nuisances=CONDITIONS["all"])
    onset, apex = quiet.course.onset, quiet.course.apex
    still = loud.truth(0, onset, 8)
    assert still.displacement.max() == 0 and (loud.frame(0) != loud.frame(onset)).mean() > 0.5
    assert (quiet.frame(0) == quiet.frame(onset)).all()
    peak = quiet.truth(onset, apex, 8).displacement.max()
    np.testing.assert_allclose(loud.truth(onset, apex, 8).displacement.max(), peak, rtol=0.15)


@pytest.mark.parametrize("name", ["gain", "drift", "noise", "background", "quality"])
def test_every_nuisance_changes_the_frames(name):
    strength = {"gain": 0.2, "drift": 2.0, "noise": 3.0, "background": 4.0, "quality": 40}[name]
    made = clip(nuisances=dataclasses.replace(SILENT, **{name: strength}))
    difference = np.abs(made.frame(0).astype(int) - clip().frame(0))
    assert difference.mean() > 0.1


def test_photographs_are_cut_out_brought_to_the_pose_and_moved(tmp_path):
    """The photographs are frames of synthetic people, the only faces that may be in a test."""
    photo = tmp_path / "a.png"
    photo.write_bytes(encode_image(clip(subject=10, size=320).frame(0), "png"))
    made = clip(photo=photo, size=128, amplitudes=(2.0, 2.1))
    (found,) = HaarDetector()(made.frame(0))
    middle = np.array([found.x + found.width / 2, found.y + 0.51 * found.height]) / 128
    np.testing.assert_allclose(middle, made.pose.center, atol=0.05)
    onset, apex = made.course.onset, made.course.apex
    truth = made.truth(onset, apex, 8)
    change = np.abs(made.frame(apex).astype(int) - made.frame(onset)).mean(-1)
    change = change.reshape(16, 8, 16, 8).mean((1, 3))
    assert change[truth.displacement > 0.5].mean() > 10 * change[truth.displacement < 0.01].mean()


def test_a_photograph_without_a_face(tmp_path):
    (tmp_path / "grey.png").write_bytes(encode_image(np.full((64, 64, 3), 90, np.uint8), "png"))
    with pytest.raises(UserError, match="grey.png: no frontal face found"):
        clip(photo=tmp_path / "grey.png").frame(0)


@pytest.mark.parametrize("condition", ["drift", "foreign", "wild"])
def test_the_face_is_where_the_truth_has_it(condition):
    made = clip(nuisances=CONDITIONS[condition], size=96)
    number = 20
    x, y, width, height = (96 * share for share in made.face(number))
    rows, columns = np.mgrid[:96, :96] + 0.5
    inside = ((columns - x) / width) ** 2 + ((rows - y) / height) ** 2 < 1
    share = made.truth(0, number, 8).face
    both = np.minimum(share, inside.reshape(12, 8, 12, 8).mean((1, 3))).sum()
    assert both > 0.9 * share.sum() and both > 0.9 * inside.sum() / 64
    if condition == "drift":
        assert made.face(0) != made.face(number)
