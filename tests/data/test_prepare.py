"""`mubert prepare`: what it keeps, what it drops, and what it refuses."""

import csv
import errno
import shutil

import numpy as np
import pytest

from mubert_jax.data.files import replacing
from mubert_jax.data.frames import FramePairs
from mubert_jax.data.plan import PrepareOptions
from mubert_jax.data.prepare import prepare
from mubert_jax.data.records import decode_frame, decode_image, encode_image
from mubert_jax.data.source import RecordSource
from mubert_jax.data.video import read_image
from mubert_jax.errors import UserError

WHOLE = PrepareOptions(size=32, crop="none", workers=2)


def contents(folder) -> dict[str, bytes]:
    """All files of a data set but the index, which holds times."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "index.npz"
    }


def test_records_hold_the_input_images_and_where_they_come_from(prepared, frame_input):
    source = RecordSource(prepared)
    records = [decode_frame(source[i]) for i in range(len(source))]
    assert [(r.video, r.frame) for r in records] == [
        (f"s{clip // 2}/clip{clip}", n) for clip in range(6) for n in range(1, 9)
    ]
    assert all(record.subject == record.video.split("/")[0] for record in records)
    for record in records[::7]:
        original = read_image(frame_input / record.video / f"img{record.frame}.png")
        np.testing.assert_array_equal(decode_image(record.image), original)
    assert not (prepared / ".progress").exists()


def test_the_report_says_what_is_in_the_set(frame_input, tmp_path, quiet):
    report = prepare("frames", frame_input, tmp_path / "out", WHOLE, quiet)
    assert (report.kept, report.frames, report.subjects) == (6, 48, ("s0", "s1", "s2"))
    assert not report.dropped and not report.noted and not report.already_complete
    assert report.bytes == sum(p.stat().st_size for p in (tmp_path / "out").glob("*.tfrecord-*"))
    assert report.lines()[0] == f"{tmp_path / 'out'}: done"
    assert report.lines()[1].startswith("6 clips, 48 frames of 3 subjects, ")


def test_the_number_of_workers_changes_no_record(frame_input, tmp_path, quiet):
    sources = []
    for workers in (1, 4):
        options = PrepareOptions(size=16, crop="none", workers=workers)
        prepare("frames", frame_input, tmp_path / str(workers), options, quiet)
        sources.append(RecordSource(tmp_path / str(workers)))
    one, four = sources
    assert [one[i] for i in range(len(one))] == [four[i] for i in range(len(four))]


def test_a_finished_set_is_left_alone(frame_input, tmp_path, quiet):
    output = tmp_path / "out"
    first = prepare("frames", frame_input, output, WHOLE, quiet)
    before = {path: path.stat().st_mtime_ns for path in output.rglob("*")}
    again = prepare("frames", frame_input, output, WHOLE, quiet)
    assert {path: path.stat().st_mtime_ns for path in output.rglob("*")} == before
    assert again.already_complete
    assert (again.kept, again.frames, again.bytes) == (first.kept, first.frames, first.bytes)
    assert "already complete, nothing to do" in again.lines()[0]


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"size": 16}, "--size is 32 there and 16 now"),
        ({"crop": "center"}, "--crop is none there and center now"),
        ({"encoding": "jpeg"}, "--encoding is png there and jpeg now"),
        ({"exclude_subjects": ("s1",)}, "--exclude-subjects is empty there and s1 now"),
    ],
)
def test_a_set_of_another_plan_is_refused_and_untouched(prepared, frame_input, quiet, other, words):
    before = contents(prepared)
    with pytest.raises(UserError) as error:
        prepare("frames", frame_input, prepared, PrepareOptions(**vars(WHOLE) | other), quiet)
    message = str(error.value)
    assert words in message
    assert str(prepared) in message
    assert "choose another --output" in message
    assert "\n" not in message
    assert contents(prepared) == before


def test_a_new_clip_in_the_input_is_another_plan(frame_input, prepared, tmp_path, quiet):
    grown = shutil.copytree(frame_input, tmp_path / "grown")
    shutil.copytree(grown / "s0" / "clip0", grown / "s9" / "new")
    before = contents(prepared)
    output = tmp_path / "out"
    prepare("frames", grown, output, WHOLE, quiet)
    shutil.rmtree(grown / "s0" / "clip0")
    with pytest.raises(UserError, match=r"1 clips are gone from the input \(s0/clip0\)"):
        prepare("frames", grown, output, WHOLE, quiet)
    with pytest.raises(UserError, match="input is .* there and .* now"):
        prepare("frames", grown, prepared, WHOLE, quiet)
    assert contents(prepared) == before


def test_a_folder_with_something_else_is_refused_and_untouched(frame_input, tmp_path, quiet):
    output = tmp_path / "mine"
    output.mkdir()
    (output / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match="not empty and not made by.*choose another --output"):
        prepare("frames", frame_input, output, WHOLE, quiet)
    assert contents(output) == {"thesis.tex": b"years of work"}


def test_a_file_as_output_is_refused(frame_input, tmp_path, quiet):
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="--output must be a folder"):
        prepare("frames", frame_input, tmp_path / "file", WHOLE, quiet)


def test_an_empty_output_folder_is_used(frame_input, tmp_path, quiet):
    (tmp_path / "out").mkdir()
    assert prepare("frames", frame_input, tmp_path / "out", WHOLE, quiet).kept == 6


@pytest.mark.parametrize("source", ["video", "frames"])
def test_an_empty_input_says_what_was_searched(tmp_path, quiet, source):
    (tmp_path / "in").mkdir()
    with pytest.raises(UserError, match=r"in: no (video file|image) at any depth \(looked for \."):
        prepare(source, tmp_path / "in", tmp_path / "out", WHOLE, quiet)
    assert not (tmp_path / "out").exists()


def test_a_missing_input_and_an_unknown_source_are_named(tmp_path, quiet):
    with pytest.raises(UserError, match="gone: no such file or folder"):
        prepare("video", tmp_path / "gone", tmp_path / "out", WHOLE, quiet)
    with pytest.raises(UserError, match="unknown data set 'vidoe'; did you mean 'video'"):
        prepare("vidoe", tmp_path, tmp_path / "out", WHOLE, quiet)


def test_no_face_anywhere_leaves_no_data_set(make_video, tmp_path, quiet, detect_bright):
    for name in "ab":
        make_video(tmp_path / "in" / f"{name}.avi", frames=6)
    with pytest.raises(UserError, match="no face found in any of 2 clips; use --crop center"):
        prepare("video", tmp_path / "in", tmp_path / "out", PrepareOptions(size=32), quiet)
    assert not (tmp_path / "out").exists()


def test_the_haar_cascade_finds_no_face_in_noise(frame_input, tmp_path, quiet):
    with pytest.raises(UserError, match="no face found in any of 6 clips"):
        prepare("frames", frame_input, tmp_path / "out", PrepareOptions(size=32), quiet)
    assert not (tmp_path / "out").exists()


def test_clips_without_face_or_not_readable_are_dropped_and_listed(
    make_video, tmp_path, quiet, detect_bright
):
    make_video(tmp_path / "in" / "bright.avi", frames=26)
    make_video(tmp_path / "in" / "dark.avi", frames=6)
    make_video(tmp_path / "in" / "empty.avi", frames=0)
    (tmp_path / "in" / "broken.mp4").write_bytes(b"not a video" * 100)
    (tmp_path / "in" / "zero.mp4").touch()
    report = prepare("video", tmp_path / "in", tmp_path / "out", PrepareOptions(size=32), quiet)
    assert (report.kept, report.frames) == (1, 26)
    dropped = dict(report.dropped)
    assert set(dropped) == {"dark", "empty", "broken", "zero"}
    assert "no face found in any of 6 frames" in dropped["dark"]
    for name in ("broken", "zero", "empty"):
        assert f"{name}." in dropped[name]
        assert "re-encode it" in dropped[name]
    lines = "\n".join(report.lines())
    assert "4 clips dropped" in lines
    assert "  broken and 1 more: " in lines
    assert all(f"  {name}: " in lines for name in ("dark", "empty"))
    with open(tmp_path / "out" / "report.csv", newline="") as file:
        rows = {row["clip"]: row for row in csv.DictReader(file)}
    assert {name: row["status"] for name, row in rows.items()} == {
        "bright": "kept",
        **dict.fromkeys(dropped, "dropped"),
    }
    assert len(FramePairs(tmp_path / "out", image_size=32)) == 21
    source = RecordSource(tmp_path / "out")
    assert {decode_frame(source[i]).video for i in range(len(source))} == {"bright"}


def test_a_clip_with_a_broken_image_is_dropped_whole(frame_input, tmp_path, quiet):
    folder = shutil.copytree(frame_input, tmp_path / "in")
    (folder / "s1" / "clip2" / "img8.png").write_bytes(b"broken")
    report = prepare("frames", folder, tmp_path / "out", WHOLE, quiet)
    assert (report.kept, report.frames) == (5, 40)
    ((name, reason),) = report.dropped
    assert name == "s1/clip2"
    assert "img8.png: not an image" in reason
    source = RecordSource(tmp_path / "out")
    assert "s1/clip2" not in source.index.video_names.tolist()
    assert len([source[i] for i in range(len(source))]) == 40


def test_when_nothing_can_be_used_the_first_reason_is_given(tmp_path, quiet):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "broken.mp4").write_bytes(b"not a video")
    with pytest.raises(
        UserError, match="none of 1 clips could be used; the first: broken: .*re-en"
    ):
        prepare("video", tmp_path / "in", tmp_path / "out", WHOLE, quiet)
    assert not (tmp_path / "out").exists()


def test_frames_of_another_size_are_brought_to_one(make_images, tmp_path, quiet):
    make_images(tmp_path / "in" / "large", range(3), size=80)
    make_images(tmp_path / "in" / "small", range(3), size=20)
    prepare("frames", tmp_path / "in", tmp_path / "out", WHOLE, quiet)
    source = RecordSource(tmp_path / "out")
    shapes = {decode_image(decode_frame(source[i]).image).shape for i in range(len(source))}
    assert shapes == {(32, 32, 3)}


def test_frames_of_another_size_inside_a_clip_show_the_same_part(tmp_path, quiet):
    picture = np.zeros((60, 120, 3), np.uint8)
    picture[20:40, 50:70] = 255
    folder = tmp_path / "in" / "a"
    folder.mkdir(parents=True)
    for number, scale in enumerate((1, 2, 1)):
        image = np.kron(picture, np.ones((scale, scale, 1), np.uint8))
        (folder / f"img{number}.png").write_bytes(encode_image(image, "png"))
    options = PrepareOptions(size=30, crop="center", workers=2)
    prepare("frames", tmp_path / "in", tmp_path / "out", options, quiet)
    source = RecordSource(tmp_path / "out")
    first, larger, last = (decode_image(decode_frame(source[i]).image) for i in range(3))
    np.testing.assert_array_equal(first, last)
    assert np.abs(first.astype(int) - larger).max() <= 1
    assert first[15, 15, 0] == 255


def test_a_set_of_short_clips_says_the_longest_when_it_is_read(make_images, tmp_path, quiet):
    make_images(tmp_path / "in" / "a", range(4))
    prepare("frames", tmp_path / "in", tmp_path / "out", WHOLE, quiet)
    with pytest.raises(UserError, match="the longest clip, a, has 4 frames"):
        FramePairs(tmp_path / "out", image_size=32)


def test_excluded_subjects_are_left_out_and_counted(frame_input, tmp_path, quiet):
    options = PrepareOptions(size=32, crop="none", exclude_subjects=("s2", "s0"))
    report = prepare("frames", frame_input, tmp_path / "out", options, quiet)
    assert report.subjects == ("s1",)
    assert report.excluded == 4
    assert "4 clips left out by --exclude-subjects" in "\n".join(report.lines())
    assert FramePairs(tmp_path / "out", image_size=32).subjects == ("s1",)


def test_excluding_an_unknown_or_every_subject_is_refused(frame_input, tmp_path, quiet):
    for excluded, words in [
        (("s7",), "--exclude-subjects 's7': no such subject.*it has s0, s1, s2"),
        (("s0", "s1", "s2"), "--exclude-subjects leaves no clip"),
    ]:
        options = PrepareOptions(size=32, crop="none", exclude_subjects=excluded)
        with pytest.raises(UserError, match=words):
            prepare("frames", frame_input, tmp_path / "out", options, quiet)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_one_line_and_the_run_can_go_on(
    frame_input, tmp_path, quiet, monkeypatch, code
):
    from mubert_jax.data.tfrecord import TFRecordWriter

    whole = tmp_path / "whole"
    prepare("frames", frame_input, whole, WHOLE, quiet)
    write, written = TFRecordWriter.write, []

    def fill_up(self, record):
        written.append(1)
        if len(written) > 30:
            raise OSError(code, "full")
        write(self, record)

    output = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(TFRecordWriter, "write", fill_up)
        with pytest.raises(UserError) as error:
            prepare("frames", frame_input, output, WHOLE, quiet)
    message = str(error.value)
    assert f"{output}: no space left" in message
    assert "run the same command again" in message
    assert "\n" not in message
    assert not list(output.rglob("*.tmp"))
    prepare("frames", frame_input, output, WHOLE, quiet)
    assert contents(output) == contents(whole)


def test_a_folder_that_may_not_be_written_is_one_line(frame_input, tmp_path, quiet, monkeypatch):
    def refuse(self, *args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr("pathlib.Path.mkdir", refuse)
    with pytest.raises(UserError, match="out.*may not be written"):
        prepare("frames", frame_input, tmp_path / "out", WHOLE, quiet)


def test_two_runs_into_one_folder_do_not_mix(frame_input, tmp_path, quiet, monkeypatch):
    import mubert_jax.data.prepare as module

    finish, refused = module._finish, []

    def finish_while_another_starts(*args):
        with pytest.raises(UserError, match="another `mubert prepare` is writing here"):
            prepare("frames", frame_input, tmp_path / "out", WHOLE, quiet)
        refused.append("the other")
        return finish(*args)

    monkeypatch.setattr(module, "_finish", finish_while_another_starts)
    assert prepare("frames", frame_input, tmp_path / "out", WHOLE, quiet).kept == 6
    assert refused == ["the other"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"crop": "head"}, "--crop 'head': choose face, center, none"),
        ({"encoding": "bmp"}, "--encoding 'bmp': choose png, jpeg"),
        ({"align": "yes"}, "--align 'yes': choose none, ecc"),
        ({"size": 4}, "--size 4"),
        ({"margin": -0.1}, "--margin -0.1"),
        ({"workers": 0}, "--workers 0"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        PrepareOptions(**options)


def test_replacing_keeps_the_old_file_when_the_block_fails(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
