"""`mubert prepare synthetic --motions`: recorded movements, recorded labels, recorded people."""

import dataclasses

import numpy as np
import pytest
from flow_tree import DOWN, RIGHT, write_flow

from mubert_jax.cli import main
from mubert_jax.data.labelled.collected import PairOptions
from mubert_jax.data.labelled.recorded import RecordedCast, prepare_recorded
from mubert_jax.data.pairs import LabelledPairs
from mubert_jax.data.people import Person
from mubert_jax.errors import UserError
from mubert_jax.synthetic.clip import SyntheticClip

OPTIONS = PairOptions(size=32, crop="none", workers=1)


@pytest.fixture
def motions(tmp_path):
    root = tmp_path / "three_norm_u_v_os"
    for name in ("sub01/u_test/1/a .png", "sub01/u_test/0/b .png", "s02/u_test/2/a .png"):
        write_flow(root / name, RIGHT, DOWN)
    return root


@pytest.fixture
def cast(motions):
    return RecordedCast(motions, (2.0, 2.0), frames=8, conditions=("clean",), size=32)


def stored(folder):
    pairs = LabelledPairs(folder, 32)
    names = [f"{who}/{clip}" for who, clip in zip(pairs.subject, pairs.clip, strict=True)]
    return pairs, dict(zip(names, zip(pairs.onset, pairs.apex, strict=True), strict=True))


def test_the_recorded_people_are_the_subjects(cast, tmp_path, quiet):
    report = prepare_recorded(cast, tmp_path / "out", OPTIONS, quiet)
    pairs, images = stored(tmp_path / "out")
    assert pairs.classes == ["negative", "positive", "surprise"]
    found = zip(pairs.dataset, pairs.subject, pairs.clip, pairs.label.tolist(), strict=True)
    assert set(found) == {
        ("casme2", "casme2/sub01", "a", 1),
        ("casme2", "casme2/sub01", "b", 0),
        ("smic", "smic/s02", "a", 2),
    }
    assert set(pairs.people) == {Person("casme2", "1"), Person("smic", "2")}
    assert all((onset != apex).any() for onset, apex in images.values())
    assert any("0 clips of samm (133" in line for line in report.lines())
    assert prepare_recorded(cast, tmp_path / "out", OPTIONS, quiet).already_complete


def test_a_person_has_one_face_and_a_clip_does_not_depend_on_the_others(
    cast, tmp_path, quiet, monkeypatch
):
    made = []
    draw = SyntheticClip.frame
    monkeypatch.setattr(SyntheticClip, "frame", lambda c, n: (made.append(c), draw(c, n))[1])
    prepare_recorded(cast, tmp_path / "all", OPTIONS, quiet)
    faces = {}
    for one in made:
        faces.setdefault(one.subject, set()).add(one.identity)
    assert len(faces) == 2 and all(len(face) == 1 for face in faces.values())
    assert min(faces) >= 100_000  # whom no training may see
    (cast.motions / "sub01" / "u_test" / "0" / "b .png").write_text("no image")
    report = prepare_recorded(cast, tmp_path / "less", OPTIONS, quiet)
    assert report.kept == 2 and report.dropped_clips == ["casme2/sub01/b"]
    (_, before), (_, after) = stored(tmp_path / "all"), stored(tmp_path / "less")
    assert report.class_counts == {"negative": 0, "positive": 1, "surprise": 1}
    for name, images in after.items():
        np.testing.assert_array_equal(images, before[name])
    other = dataclasses.replace(cast, seed=1)
    prepare_recorded(other, tmp_path / "other", OPTIONS, quiet)
    assert (stored(tmp_path / "other")[1]["smic/s02/a"][0] != before["smic/s02/a"][0]).mean() > 0.5
    with pytest.raises(UserError, match="another plan: input is .*motions="):
        prepare_recorded(cast, tmp_path / "all", OPTIONS, quiet)


def test_photographs_are_one_per_recorded_person(cast, tmp_path, quiet, monkeypatch):
    for number in range(2):
        (tmp_path / "faces" / f"p{number}").mkdir(parents=True)
        (tmp_path / "faces" / f"p{number}" / "a.png").touch()
    taken = []

    def cut_out(photo, pose, size):
        taken.append(photo.parent.name)
        random = np.random.default_rng(0)
        return random.random((size, size, 4), np.float32), np.ones((size, size), np.float32)

    monkeypatch.setattr("mubert_jax.synthetic.clip.cut_out", cut_out)
    pictured = dataclasses.replace(cast, photos=tmp_path / "faces")
    assert prepare_recorded(pictured, tmp_path / "out", OPTIONS, quiet).kept == 3
    assert taken == ["p0", "p0", "p1"]
    assert stored(tmp_path / "out")[0].people[0] == Person("casme2", "1")
    (tmp_path / "faces" / "p1" / "a.png").unlink()
    with pytest.raises(UserError, match="of 1 people, but 2 were recorded"):
        prepare_recorded(pictured, tmp_path / "few", OPTIONS, quiet)


def test_the_command(motions, tmp_path, capsys):
    out = tmp_path / "out"
    words = ["prepare", "synthetic", f"--motions={motions}", f"--output={out}", "--size=32"]

    def refused(*more):
        capsys.readouterr()
        assert main([*words, *more]) == 2 and not out.exists()
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        return error

    assert "recorded flow has 3 classes" in refused("--classes=5")
    assert "--clips does not go with --motions" in refused("--clips=2")
    assert "--amplitude 3 1: choose 0 < LOW <= HIGH" in refused("--amplitude", "3", "1")
    assert "--frames 3: choose 8 or more" in refused("--frames=3")
    assert "absent: no such folder" in refused(f"--motions={tmp_path / 'absent'}")
    (tmp_path / "empty").mkdir()
    assert "no recorded flow" in refused(f"--motions={tmp_path / 'empty'}")
    for path in motions.rglob("*.png"):
        path.write_text("no image")
    assert "none of 3 clips could be used; the first: " in refused()
    words = ["prepare", "synthetic", f"--output={out}", "--amplitude", "1", "2"]
    assert "add --classes or --motions=DIR" in refused()
    words = ["prepare", "synthetic", f"--output={out}", "--individual"]
    assert "give it with --classes" in refused()
    words = ["prepare", "video", f"--output={out}", f"--motions={motions}"]
    assert "--motions is for `synthetic` alone" in refused()


def test_the_amplitude_is_drawn_between_low_and_high(motions, tmp_path, quiet, monkeypatch):
    lengths = []
    draw = SyntheticClip.frame
    monkeypatch.setattr(
        SyntheticClip, "frame", lambda c, n: (lengths.append(c.movement.amplitude), draw(c, n))[1]
    )
    words = ["--size=32", "--frames=8", "--amplitude", "0.5", "0.7", "--conditions", "clean"]
    out = f"--output={tmp_path / 'out'}"
    assert main(["prepare", "synthetic", f"--motions={motions}", out, *words]) == 0
    assert len(set(lengths)) == 3 and all(0.5 <= length <= 0.7 for length in lengths)
