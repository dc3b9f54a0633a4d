"""`mubert prepare synthetic`: who is drawn, from which photographs, into which data set."""

import dataclasses
import json

import numpy as np
import pytest

from mubert_jax.data.folder import synthetic_space
from mubert_jax.data.frames import FramePairs
from mubert_jax.data.labelled.synthetic import EmotionalCast
from mubert_jax.data.plan import PLAN_FILE, PrepareOptions
from mubert_jax.data.prepare import prepare
from mubert_jax.data.records import encode_image
from mubert_jax.data.searching import PassedOver
from mubert_jax.data.sets.synthetic import FIRST_TEST_SUBJECT, Cast, read_subjects
from mubert_jax.errors import UserError
from mubert_jax.synthetic.clip import SyntheticClip
from mubert_jax.synthetic.conditions import CONDITIONS


def test_a_prepared_cast_is_a_data_set_to_train_on(tmp_path, quiet):
    cast = Cast(subjects=2, clips=2, frames=9, size=32)
    options = PrepareOptions(size=32, crop="none")
    report = prepare("synthetic", cast, tmp_path / "set", options, quiet)
    assert report.kept == 4 and report.frames == 36
    pairs = FramePairs(tmp_path / "set", delta=(2, 4), image_size=32)
    pair = pairs.pair(0, 0, seed=0)
    assert pair["current"].shape == (32, 32, 3) and pairs.knows_faces
    first = SyntheticClip(0, 0, nuisances=CONDITIONS["lab"], size=32, frames=9, labelled=False)
    np.testing.assert_allclose(pair["face"], first.face(int(pair["delta"])), rtol=1e-6)
    assert prepare("synthetic", cast, tmp_path / "set", options, quiet).already_complete
    with pytest.raises(UserError, match="frames=9.*there and.*frames=10"):
        prepare("synthetic", dataclasses.replace(cast, frames=10), tmp_path / "set", options, quiet)


def test_a_folder_of_the_former_name_is_the_same_data_set(tmp_path, quiet):
    """Folders say `controlled` where they were made before the source was called `synthetic`."""
    cast, options = Cast(subjects=1, clips=1, frames=8, size=16), PrepareOptions(16, "none")
    prepare("synthetic", cast, tmp_path, options, quiet)
    plan = tmp_path / PLAN_FILE
    plan.write_text(json.dumps(json.loads(plan.read_text()) | {"source": "controlled"}))
    assert prepare("synthetic", cast, tmp_path, options, quiet).already_complete
    assert synthetic_space(tmp_path) == "made-up 0"


def test_a_cast_of_photographs_is_a_subject_per_folder(tmp_path, quiet):
    """The photographs are frames of synthetic people, the only faces that may be in a test."""
    for number in range(2):
        folder = tmp_path / "faces" / f"person{number}"
        folder.mkdir(parents=True)
        photo = SyntheticClip(10 + number, 0, size=320).frame(0)
        (folder / "a.png").write_bytes(encode_image(photo, "png"))
    cast = Cast(clips=2, frames=8, size=32, photos=tmp_path / "faces")
    report = prepare(
        "synthetic", cast, tmp_path / "set", PrepareOptions(size=32, crop="none"), quiet
    )
    assert (report.kept, report.frames) == (4, 32)


def test_folders_that_are_no_photographs(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        read_subjects(tmp_path / "absent", PassedOver())
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no photograph in any sub-folder"):
        read_subjects(tmp_path, PassedOver())


def test_photographs_are_found_beside_what_other_systems_leave(tmp_path):
    for name in ("p1/deep/a.png", "p1/._a.png", "p1/@eaDir/a.png", "p1/b.heic", "root.png"):
        path = tmp_path / "faces" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "faces" / "p2").symlink_to(tmp_path / "p2")
    (tmp_path / "p2").mkdir()
    (tmp_path / "p2" / "c.JPG").touch()
    passed = PassedOver(tmp_path / "faces")
    found = read_subjects(tmp_path / "faces", passed)
    assert {who: [photo.name for photo in photos] for who, photos in found.items()} == {
        "p1": ["a.png"],
        "p2": ["c.JPG"],
    }
    assert len(passed.words()) == 4


def test_a_cast_says_what_is_wrong():
    with pytest.raises(UserError, match="--frames 3: choose 8 or more"):
        Cast(frames=3)
    with pytest.raises(UserError, match="--conditions fog: choose from clean"):
        Cast(conditions=("clean", "fog"))


def test_nobody_is_trained_on_it():
    with pytest.raises(UserError, match="for testing alone.*--first-subject=100000"):
        Cast(conditions=("lab", "foreign"))
    assert Cast(conditions=("foreign",), first_subject=FIRST_TEST_SUBJECT).subjects
    assert [name for name, kind in CONDITIONS.items() if not kind.for_training] == ["foreign"]


def test_key_frames_are_wrong_by_at_most_as_many_frames_as_asked():
    errors = []
    for index in range(40):
        clip = SyntheticClip(FIRST_TEST_SUBJECT, index, frames=24)
        right = EmotionalCast(frames=24).key_frames(clip)
        assert right == (clip.course.onset, clip.course.apex)
        onset, apex = EmotionalCast(frames=24, key_frame_error=5).key_frames(clip)
        assert 0 <= onset < apex < 24
        errors += [abs(onset - right[0]), abs(apex - right[1])]
    assert max(errors) == 5 and 1.5 < np.mean(errors) < 3.5


@pytest.mark.parametrize("error", [-1, 12])
def test_an_error_of_half_the_recording_is_refused(error):
    with pytest.raises(UserError, match=f"--key-frame-error {error}: choose 0 to 11"):
        EmotionalCast(frames=24, key_frame_error=error)
