"""Who is seen in a clip, by its folders: known data sets anywhere, the first folder elsewhere."""

from pathlib import Path, PurePath

import pytest

from mubert_jax.data.folder import subjects_of
from mubert_jax.data.frames import FramePairs
from mubert_jax.data.layouts import known_subject
from mubert_jax.data.people import Person
from mubert_jax.data.plan import PrepareOptions
from mubert_jax.data.prepare import prepare
from mubert_jax.errors import UserError

OPTIONS = PrepareOptions(size=32, crop="none", workers=1)


@pytest.mark.parametrize(
    "folder, clip, subject",
    [
        ("SMIC_all_cropped", "HS/s1/micro/negative/s1_ne_01", "smic/s01"),
        ("HS", "s1/micro/negative/s1_ne_01", "smic/s01"),
        ("x", "HS/s12/non_micro/s12_001", "smic/s12"),
        ("SMIC_HS_E", "s14/s14_sur_01", "smic/s14"),
        ("datasets", "CASME2/sub01/EP02_01f", "casme2/sub01"),
        ("datasets", "CASME2/sub26/a clip", "casme2/sub26"),
        ("CASME II", "Cropped/sub01/EP02_01f", "casme2/sub01"),
        ("Cropped", "sub01/EP02_01f", "casme2/sub01"),
        ("casme/CASME2-RAW", "sub01/EP02_01f", "casme2/sub01"),
        ("videos", "CASME2_compressed/sub01/EP02_01f.avi", "casme2/sub01"),
        ("CASME_A", "sub01/EP02_01f", "casme/sub01"),
        ("part_A", "spNO.1/a/color", "casme3/spNO.1"),
        ("clips", "spNO.12_a_175", "casme3/spNO.12"),
        ("SAMM", "006/006_1_2", "samm/006"),
        ("x", "006/006_1_2", "samm/006"),
        ("SAMM_longvideos", "006_1", "samm/006"),
        ("CAS(ME)^2", "rawpic/s15/15_0101disgust", "cas(me)^2/s15"),
        ("MMEW_Final", "Micro_Expression/happiness/S01-02-003", "mmew/S01"),
        ("own", "s1/c1", None),
        ("own", "p1/001_2_3", None),
        ("own", "s1/micro/c1", None),
        ("own", "003/c1", None),
    ],
)
def test_known_layouts(folder, clip, subject):
    assert known_subject(PurePath(clip), Path("/data") / folder) == subject


def smic(make_images, root):
    for subject in (1, 2):
        clip = f"s{subject}_ne_01"
        make_images(root / f"HS/s{subject}/micro/negative" / clip, range(3), seed=subject)
    return root


def test_the_people_of_a_known_data_set_are_recorded(make_images, tmp_path, quiet):
    tree = smic(make_images, tmp_path / "SMIC_all_cropped")
    report = prepare("frames", tree, tmp_path / "out", OPTIONS, quiet)
    assert report.subjects == subjects_of(tmp_path / "out") == ("smic/s01", "smic/s02")
    people, told_apart = FramePairs(tmp_path / "out", (1, 2), 32).people
    assert people == {Person("smic", "1"), Person("smic", "2")} and told_apart


def test_they_are_known_in_sets_that_older_versions_prepared(make_images, tmp_path, quiet):
    tree = smic(make_images, tmp_path / "smic")
    options = PrepareOptions(**vars(OPTIONS) | {"subject_folder": 1})
    prepare("frames", tree, tmp_path / "out", options, quiet)
    assert subjects_of(tmp_path / "out") == ("HS",)
    plan = tmp_path / "out" / "prepare.json"
    plan.write_text(plan.read_text().replace('"subject_folder": 1', '"subject_folder": null'))
    people, told_apart = FramePairs(tmp_path / "out", (1, 2), 32).people
    assert people == {Person("smic", "1"), Person("smic", "2")} and told_apart


@pytest.mark.parametrize("name", ["s1", "smic/s01", "S01"])
def test_they_are_left_out_by_any_name(make_images, tmp_path, quiet, name):
    tree = smic(make_images, tmp_path / "smic")
    options = PrepareOptions(**vars(OPTIONS) | {"exclude_subjects": (name,)})
    assert prepare("frames", tree, tmp_path / "out", options, quiet).subjects == ("smic/s02",)


@pytest.mark.parametrize("names", [("s1", "s2"), ("sub01", "sub02"), ("P 1", "P 2")])
def test_one_subject_that_holds_several_is_questioned(make_images, tmp_path, quiet, names):
    for name in names:
        make_images(tmp_path / "in" / "faces" / name / "c1", range(3))
    with pytest.raises(UserError, match="faces would be one subject.*--subject-folder=2") as caught:
        prepare("frames", tmp_path / "in", tmp_path / "out", OPTIONS, quiet)
    assert "\n" not in str(caught.value) and not (tmp_path / "out").exists()
    for folder, subjects in ((2, names), (1, ("faces",))):
        options = PrepareOptions(**vars(OPTIONS) | {"subject_folder": folder})
        output = tmp_path / f"out{folder}"
        assert prepare("frames", tmp_path / "in", output, options, quiet).subjects == subjects
    with pytest.raises(UserError, match="lies 3 folders deep; choose 1 to 3"):
        options = PrepareOptions(**vars(OPTIONS) | {"subject_folder": 4})
        prepare("frames", tmp_path / "in", tmp_path / "out", options, quiet)


def test_recordings_of_a_subject_are_not_questioned(make_images, tmp_path, quiet):
    for clip in ("p1/s1/c", "p1/s2/c", "anna/s1/c", "ben/c1"):
        make_images(tmp_path / "in" / clip, range(3))
    report = prepare("frames", tmp_path / "in", tmp_path / "out", OPTIONS, quiet)
    assert report.subjects == ("anna", "ben", "p1")


def test_plain_frames_have_a_space_of_their_own(make_images, tmp_path, quiet):
    make_images(tmp_path / "in" / "s1" / "c", range(3))
    prepare("frames", tmp_path / "in", tmp_path / "out", OPTIONS, quiet)
    pairs = FramePairs(tmp_path / "out", (1, 2), 32)
    assert pairs.subjects == ("s1",)
    assert pairs.people == ({Person(f"frames {pairs.fingerprint[:8]}", "s1")}, True)


def test_older_sets_whose_one_subject_holds_several_are_not_trusted(make_images, tmp_path, quiet):
    for name in ("a1", "s1", "s2"):
        make_images(tmp_path / "in" / "faces" / name, range(3))
    options = PrepareOptions(**vars(OPTIONS) | {"subject_folder": 1})
    prepare("frames", tmp_path / "in", tmp_path / "out", options, quiet)
    assert FramePairs(tmp_path / "out", (1, 2), 32).people[1], "it was said which folder it is"
    plan = tmp_path / "out" / "prepare.json"
    plan.write_text(plan.read_text().replace('"subject_folder": 1', '"subject_folder": null'))
    people, told_apart = FramePairs(tmp_path / "out", (1, 2), 32).people
    assert len(people) == 1 and not told_apart
