"""Folders as people have them: one odd thing never stops the rest, and everything is told."""

import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from mubert_jax.data.frames import FramePairs
from mubert_jax.data.plan import PrepareOptions
from mubert_jax.data.prepare import prepare
from mubert_jax.data.records import decode_frame, decode_image
from mubert_jax.data.source import RecordSource
from mubert_jax.errors import UserError

WHOLE = PrepareOptions(size=32, crop="none", workers=1)
NUMBERS = range(12)


@pytest.fixture
def run(tmp_path, quiet):
    """Prepares `tmp_path / "in"`; the report and everything it says."""

    def run(source="frames", output="out"):
        report = prepare(source, tmp_path / "in", tmp_path / output, WHOLE, quiet)
        return report, "\n".join(report.lines())

    return run


def stored(folder: Path) -> dict[str, list[np.ndarray]]:
    """Video -> its images."""
    source, found = RecordSource(folder), {}
    for i in range(len(source)):
        record = decode_frame(source[i])
        found.setdefault(record.video, []).append(decode_image(record.image))
    return found


@pytest.mark.parametrize("source", ["frames", "video"])
def test_subjects_behind_links_are_there(make_images, make_video, tmp_path, run, source):
    if source == "frames":
        make_images(tmp_path / "in" / "s1" / "c", NUMBERS)
        make_images(tmp_path / "store" / "s2" / "c", NUMBERS)
    else:
        make_video(tmp_path / "in" / "s1" / "c.avi", 12)
        make_video(tmp_path / "store" / "s2" / "c.avi", 12)
    (tmp_path / "in" / "s2").symlink_to("../store/s2")
    (tmp_path / "in" / "s1" / "round").symlink_to("..")
    report, text = run(source)
    assert report.subjects == ("s1", "s2") and report.kept == 2
    assert "1 x link to a folder or file that is read already (s1/round)" in text


def test_a_linked_video_counts_once(make_video, tmp_path, run):
    video = make_video(tmp_path / "in" / "s1" / "c.avi", 12)
    (tmp_path / "in" / "best.avi").symlink_to(video)
    report, text = run("video")
    assert report.subjects == ("s1",) and report.kept == 1
    assert "1 x link to a folder or file that is read already (best.avi)" in text


@pytest.mark.parametrize("odd", ["cover", "eadir", "dup", "cameras", "mac"])
def test_one_odd_image_leaves_the_rest(make_images, tmp_path, run, odd):
    root = tmp_path / "in"
    for subject in ("s1", "s2"):
        make_images(root / subject, NUMBERS)
    dropped, words = {
        "cover": ("in", "no image has a frame number in its name"),
        "eadir": (None, "1 x hidden, system or thumbnail folder (s1/@eaDir)"),
        "dup": ("s2", "img01.png and img1.png both count as frame 1"),
        "cameras": ("s3", "2 numbers change in its names (cam1_0.png and cam2_1.png)"),
        "mac": (None, "1 x hidden or system file (s1/._img1.png)"),
    }[odd]
    frame = (root / "s1" / "img1.png").read_bytes()
    for path in {
        "cover": ["cover.png"],
        "eadir": ["s1/@eaDir/img1.png/SYNO_M.png", "s1/@eaDir/img2.png/SYNO_M.png"],
        "dup": ["s2/img01.png"],
        "cameras": [f"s3/cam{c}_{n}.png" for c in (1, 2) for n in (0, 1)],
        "mac": ["s1/._img1.png"],
    }[odd]:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(frame)
    report, text = run()
    assert [name for name, _ in report.dropped] == [dropped] * (dropped is not None)
    assert report.kept == (1 if odd == "dup" else 2) and report.frames == 12 * report.kept
    assert words in text
    assert words in (tmp_path / "out" / "report.md").read_text()


def test_when_only_odd_folders_are_there_one_line_says_so(make_images, tmp_path, run):
    make_images(tmp_path / "in" / "s1", [1, 2], name="a{}.png")
    make_images(tmp_path / "in" / "s1", [1, 2], name="b{}.png")
    with pytest.raises(UserError, match="none of 1 clips could be used; the first: s1: a1.png and"):
        run()
    assert not (tmp_path / "out").exists()


def test_an_input_without_images_says_what_is_there_instead(tmp_path, run):
    for name in ("s1/a.HEIC", "s1/b.HEIC", "s2.zip"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    words = r"passed over: 2 x HEIC image \(s1/a.HEIC\): convert to PNG, 1 x archive"
    with pytest.raises(UserError, match=f"no image at any depth .*; {words}"):
        run()


def test_images_beside_clips_of_the_same_name_stay_apart(make_images, tmp_path, run):
    make_images(tmp_path / "in", NUMBERS, seed=1)
    make_images(tmp_path / "in" / "in", NUMBERS, seed=2)
    run()
    clips = stored(tmp_path / "out")
    assert sorted(clips) == ["in", "in."]
    assert (clips["in"][0] != clips["in."][0]).any()


def test_frames_of_twelve_bits_are_not_black(tmp_path, run):
    folder = tmp_path / "in" / "s1"
    folder.mkdir(parents=True)
    for number in NUMBERS:
        ramp = np.arange(1024).reshape(32, 32) * 4 // (1 + number)
        cv2.imwrite(str(folder / f"img{number}.png"), ramp.astype(np.uint16))
    _, text = run()
    images = stored(tmp_path / "out")["s1"]
    assert images[0].max() == 255
    for number, image in enumerate(images):
        expected = (np.arange(1024).reshape(32, 32) * 4 // (1 + number)) >> 4
        np.testing.assert_array_equal(image[..., 0], expected)
    assert "  s1: uint16 images, read as of 12 bits" in text


def test_black_frames_are_told(tmp_path, run, quiet):
    folder = tmp_path / "in" / "s1"
    folder.mkdir(parents=True)
    for number in NUMBERS:
        cv2.imwrite(str(folder / f"img{number}.png"), np.full((32, 32), 15, np.uint8))
    assert "  s1: its frames are nearly black; were they made with more than 8 bits?" in run()[1]
    with pytest.raises(UserError, match="no face found"):
        options = PrepareOptions(size=32, workers=1)
        prepare("frames", tmp_path / "in", tmp_path / "faces", options, quiet)


def test_frames_numbered_by_the_clock_make_their_pairs(make_images, tmp_path, run):
    start = 1719900000000
    for name, first in (("a", start), ("b", start - 60 * 86_400_000)):
        make_images(tmp_path / "in" / name, [first + 5 * i for i in NUMBERS], name="{}.png")
    _, text = run()
    assert len(FramePairs(tmp_path / "out", (5, 11), 32)) == 22
    assert "a and 1 more: frame numbers go up by 5; delta counts in these numbers" in text


def test_crops_a_pixel_apart_show_the_same_and_are_told(tmp_path, quiet):
    picture = cv2.GaussianBlur(np.random.default_rng(0).random((90, 120, 3)), (0, 0), 4)
    picture = np.uint8(255 * (picture - picture.min()) / np.ptp(picture))
    folder = tmp_path / "in" / "a"
    folder.mkdir(parents=True)
    for number, size in enumerate(((120, 90), (121, 90), (120, 91))):
        cv2.imwrite(str(folder / f"img{number}.png"), cv2.resize(picture, size))
    options = PrepareOptions(size=45, crop="center", workers=1)
    report = prepare("frames", tmp_path / "in", tmp_path / "out", options, quiet)
    first, *others = stored(tmp_path / "out")["a"]
    assert all(np.abs(first.astype(int) - other).max() <= 8 for other in others)
    assert "its frames differ in size, 120x90 and 121x90" in "\n".join(report.lines())


def test_names_of_any_bytes_are_stored_and_told(make_images, tmp_path, run):
    root = os.fsencode(tmp_path / "in")
    for name in (b"caf\xe9", "é".encode(), "e\u0301".encode(), b"a\nb", "\U0001f600".encode()):
        make_images(tmp_path / "made", NUMBERS)
        shutil.copytree(os.fsencode(tmp_path / "made"), root + b"/" + name + b"/c")
    shutil.copytree(os.fsencode(tmp_path / "made"), root + b"/bad\xff/c")
    open(root + b"/bad\xff/c/img3.png", "wb").close()
    report, text = run()
    names = [r"a\nb", r"caf\xe9", "e\u0301", "é", "\U0001f600"]
    assert sorted(stored(tmp_path / "out")) == sorted(f"{name}/c" for name in names)
    assert report.subjects == tuple(sorted(names))
    assert r"bad\xff/c: " in text and "img3.png: not an image, the file is empty" in text
    text.encode()
    assert run()[0].already_complete
    assert len(FramePairs(tmp_path / "out", (5, 11), 32).fingerprint) == 16


def test_a_single_frame_is_no_clip(make_images, tmp_path, run):
    make_images(tmp_path / "in" / "s1" / "c", NUMBERS)
    make_images(tmp_path / "in" / "s1", [1], name="portrait{}.png")
    report, text = run()
    assert report.dropped == (("s1", "a single frame; a movement takes two"),)


def test_a_video_cut_short_is_kept_and_told(make_video, tmp_path, run):
    path = make_video(tmp_path / "in" / "s1" / "a.avi", 25)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 6 // 10])
    report, text = run("video")
    assert report.kept == 1 and 2 <= report.frames < 25
    assert f"  s1/a: {report.frames} frames could be read, its file announces 25" in text


def test_mended_input_is_said_not_to_be_looked_at_again(make_images, tmp_path, run):
    for subject in ("s1", "s2"):
        make_images(tmp_path / "in" / subject, NUMBERS)
    image = tmp_path / "in" / "s2" / "img5.png"
    good = image.read_bytes()
    image.write_bytes(b"broken")
    report, text = run()
    assert report.kept == 1 and "tried again" not in text
    assert "Dropped clips are not tried again here; for that prepare" in run()[1]
    image.write_bytes(good)
    report, text = run()
    assert report.already_complete and report.kept == 1
    assert "not tried again here, though files of s2 have changed since; prepare into a new" in text
    assert run(output="new")[0].kept == 2


def test_mended_input_is_tried_again_when_a_run_goes_on(make_images, tmp_path, run, monkeypatch):
    for subject in ("s1", "s2"):
        make_images(tmp_path / "in" / subject, NUMBERS)
    image = tmp_path / "in" / "s2" / "img5.png"
    good = image.read_bytes()
    image.write_bytes(b"broken")
    with monkeypatch.context() as patch:
        patch.setattr("mubert_jax.data.prepare._finish", lambda *args: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run()
    image.write_bytes(good)
    assert run()[0].kept == 2


def test_an_output_that_finder_looked_into_is_empty(make_images, tmp_path, run):
    make_images(tmp_path / "in" / "s1", NUMBERS)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".DS_Store").touch()
    assert run()[0].kept == 1
