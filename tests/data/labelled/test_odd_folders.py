"""Labelled sets beside what a Mac, a NAS and their owners leave on the disk."""

import cv2
import numpy as np
import pytest

from mubert_jax.data.labelled.collected import PairOptions
from mubert_jax.data.labelled.prepare import prepare_pairs
from mubert_jax.data.pairs import LabelledPairs

from ..conftest import noise_image
from . import trees

OPTIONS = PairOptions(size=32, crop="none", workers=1)


@pytest.fixture
def casme2(tmp_path):
    return trees.casme2(tmp_path / "casme2")


@pytest.fixture
def run(casme2, tmp_path, quiet):
    def run():
        return prepare_pairs("casme2", casme2, tmp_path / "out", OPTIONS, console=quiet)

    return run


def test_what_other_systems_leave_is_no_second_clip(casme2, tmp_path, run):
    for folder in ("__MACOSX", "@eaDir", "#recycle", ".thumbnails"):
        trees.write_frames(casme2 / folder / "sub01" / "EP02_01f", [46], "img{}.jpg")
    clip = casme2 / "sub01" / "EP02_01f"
    (clip / "._reg_img46.jpg").write_bytes(b"\0\5\26\7")
    (clip / "reg_img46.heic").touch()
    (casme2 / "Notes.txt").touch()
    report = run()
    assert report.kept == 5
    text = "\n".join(report.lines())
    for line in (
        "4 x hidden, system or thumbnail folder (#recycle)",
        "1 x hidden or system file (sub01/EP02_01f/._reg_img46.jpg)",
        "1 x HEIC image (sub01/EP02_01f/reg_img46.heic): convert to PNG",
        "1 x text or document (Notes.txt)",
    ):
        assert f"\n  {line}" in text
        assert f"\n- {line}" in (tmp_path / "out" / "report.md").read_text()


def test_a_link_to_a_clip_is_no_second_clip(casme2, run):
    (casme2 / "best").symlink_to("sub01")
    assert run().kept == 5


def test_a_linked_subject_is_there_and_loops_end(casme2, tmp_path, run):
    (casme2 / "sub01").rename(tmp_path / "elsewhere")
    (casme2 / "sub01").symlink_to(tmp_path / "elsewhere")
    (casme2 / "round").symlink_to(".")
    assert run().kept == 5


def test_dropped_clips_of_a_complete_set_are_said_not_to_be_tried_again(casme2, run):
    image = casme2 / "sub01" / "EP02_01f" / "reg_img46.jpg"
    good = image.read_bytes()
    image.write_bytes(b"broken")
    assert run().kept == 4
    image.write_bytes(good)
    text = "\n".join(run().lines())
    assert "though files of casme2/sub01/EP02_01f have changed since; prepare into a new" in text


def test_onset_and_apex_of_twelve_bits_have_one_scale(tmp_path, quiet):
    folder = tmp_path / "p"
    folder.mkdir()
    rows = ["onset,apex,label,subject"]
    for subject in "ab":
        onset = noise_image(1)[..., 0].astype(np.uint16) << 4
        cv2.imwrite(str(folder / f"{subject}1.png"), onset)
        cv2.imwrite(str(folder / f"{subject}2.png"), onset // 8)
        rows.append(f"{subject}1.png,{subject}2.png,happy,{subject}")
    (folder / "t.csv").write_text("\n".join(rows))
    prepare_pairs("pairs", None, tmp_path / "out", OPTIONS, folder / "t.csv", quiet)
    pairs = LabelledPairs(tmp_path / "out", 32)
    onset, apex = pairs.onset[0], pairs.apex[0]
    assert onset.max() > 250
    np.testing.assert_array_equal(apex, onset // 8)
    assert "uint16 images, read as of 12 bits" in (tmp_path / "out" / "report.md").read_text()
