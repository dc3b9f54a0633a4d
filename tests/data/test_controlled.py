"""Made-up people: deterministic, all different, and the truth is what the pictures show."""

import dataclasses

import cv2
import numpy as np
import pytest

from mubert_jax.data.controlled.clip import ControlledClip
from mubert_jax.data.controlled.identity import Identity
from mubert_jax.data.controlled.movements import ACTION_UNITS, EMOTIONS, Course, Movement
from mubert_jax.data.controlled.nuisances import CONDITIONS, Nuisances
from mubert_jax.data.controlled.photos import read_subjects
from mubert_jax.data.faces import HaarDetector
from mubert_jax.data.frames import FramePairs
from mubert_jax.data.plan import PrepareOptions
from mubert_jax.data.prepare import prepare
from mubert_jax.data.records import encode_image
from mubert_jax.data.searching import PassedOver
from mubert_jax.data.sets.controlled import Cast
from mubert_jax.errors import UserError

SILENT = Nuisances(noise=0.0)


def clip(**fields):
    return ControlledClip(**{"subject": 1, "index": 0, "size": 96, "nuisances": SILENT} | fields)


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
        movement = Movement.of_emotion(np.random.default_rng(0), made.identity, emotion, 2.0)
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


def test_a_prepared_cast_is_a_data_set_to_train_on(tmp_path, quiet):
    cast = Cast(subjects=2, clips=2, frames=9, size=32)
    options = PrepareOptions(size=32, crop="none")
    report = prepare("controlled", cast, tmp_path / "set", options, quiet)
    assert report.kept == 4 and report.frames == 36
    pairs = FramePairs(tmp_path / "set", delta=(2, 4), image_size=32)
    assert pairs.pair(0, 0, seed=0)["current"].shape == (32, 32, 3)
    assert prepare("controlled", cast, tmp_path / "set", options, quiet).already_complete
    with pytest.raises(UserError, match="frames=9.*there and.*frames=10"):
        prepare(
            "controlled", dataclasses.replace(cast, frames=10), tmp_path / "set", options, quiet
        )


def test_photographs_are_cut_out_brought_to_the_pose_and_moved(tmp_path, quiet):
    """The photographs are frames of made-up people, the only faces that may be in a test."""
    for number in range(2):
        folder = tmp_path / "faces" / f"person{number}"
        folder.mkdir(parents=True)
        photo = clip(subject=10 + number, size=320).frame(0)
        (folder / "a.png").write_bytes(encode_image(photo, "png"))
    made = clip(photo=tmp_path / "faces" / "person0" / "a.png", size=128, amplitudes=(2.0, 2.1))
    (found,) = HaarDetector()(made.frame(0))
    middle = np.array([found.x + found.width / 2, found.y + 0.51 * found.height]) / 128
    np.testing.assert_allclose(middle, made.pose.center, atol=0.05)
    onset, apex = made.course.onset, made.course.apex
    truth = made.truth(onset, apex, 8)
    change = np.abs(made.frame(apex).astype(int) - made.frame(onset)).mean(-1)
    change = change.reshape(16, 8, 16, 8).mean((1, 3))
    assert change[truth.displacement > 0.5].mean() > 10 * change[truth.displacement < 0.01].mean()

    cast = Cast(clips=2, frames=8, size=32, photos=tmp_path / "faces")
    report = prepare(
        "controlled", cast, tmp_path / "set", PrepareOptions(size=32, crop="none"), quiet
    )
    assert (report.kept, report.frames) == (4, 32)


def test_folders_that_are_no_photographs(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        read_subjects(tmp_path / "absent", PassedOver())
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no photograph in any sub-folder"):
        read_subjects(tmp_path, PassedOver())
    (tmp_path / "grey.png").write_bytes(encode_image(np.full((64, 64, 3), 90, np.uint8), "png"))
    with pytest.raises(UserError, match="grey.png: no frontal face found"):
        clip(photo=tmp_path / "grey.png").frame(0)


def test_a_cast_says_what_is_wrong():
    with pytest.raises(UserError, match="--frames 3: choose 8 or more"):
        Cast(frames=3)
    with pytest.raises(UserError, match="--conditions fog: choose from clean"):
        Cast(conditions=("clean", "fog"))
