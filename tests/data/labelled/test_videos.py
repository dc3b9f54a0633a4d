"""Videos in the place of folders of frames, and tables of frame numbers into videos."""

import csv
import shutil

import numpy as np
import pytest

from mubert_jax.data.clips import VideoFrames, sequences
from mubert_jax.data.labelled.collected import PairOptions
from mubert_jax.data.labelled.pair_table import PairTable
from mubert_jax.data.labelled.prepare import prepare_pairs
from mubert_jax.data.pairs import LabelledPairs
from mubert_jax.data.sets import load_set
from mubert_jax.errors import UserError

from . import trees


def options(**others) -> PairOptions:
    return PairOptions(**{"size": 32, "crop": "none", "workers": 2} | others)


@pytest.fixture
def run(tmp_path, quiet):
    """Prepares a set; gives the pairs, the rows of report.csv by clip, and what is said."""

    def run(source, input, annotation=None, output="out", **others):
        report = prepare_pairs(
            source, input, tmp_path / output, options(**others), annotation, quiet
        )
        with open(tmp_path / output / "report.csv", newline="") as file:
            rows = {row["clip"]: row for row in csv.DictReader(file)}
        return LabelledPairs(tmp_path / output, 32), rows, "\n".join(report.lines())

    return run


def clips_of(frames):
    """The folders of the clips in a tree of CASME II."""
    return sorted(path for subject in frames.iterdir() for path in subject.iterdir())


@pytest.mark.parametrize("suffix", [".avi", ".MKV"])
def test_casme2_as_videos_gives_the_pairs_of_its_frames(run, tmp_path, suffix):
    frames = trees.casme2(tmp_path / "casme2")
    of_frames, rows, _ = run("casme2", frames, output="frames", apex="midpoint")
    for folder in clips_of(frames):
        trees.as_video(folder, suffix)
    of_videos, again, said = run("casme2", frames, apex="midpoint")
    np.testing.assert_array_equal(of_videos.onset, of_frames.onset)
    # In the tree of frames an apex is missing on the disk, and the nearest frame taken.
    repaired = of_frames.clip.index("EP13_01")
    kept = [i for i in range(len(of_frames)) if i != repaired]
    np.testing.assert_array_equal(of_videos.apex[kept], of_frames.apex[kept])
    assert of_videos.records[repaired].apex_frame == 24
    assert [of_videos.records[i] for i in kept] == [of_frames.records[i] for i in kept]
    assert again.keys() == rows.keys()
    assert "note: 6 clips read from video, where the first frame is 1" in said


@pytest.mark.parametrize("apex", ["midpoint", "auto"])
def test_smic_as_videos_needs_no_sheet(run, tmp_path, apex):
    frames = trees.smic(tmp_path)
    folder = frames / "HS/s1/micro/surprise"
    shutil.rmtree(folder / "s1_sur_02")
    trees.as_video(trees.write_frames(folder / "s1_sur_02", range(1, 6)))
    pairs, _, said = run("smic", frames, apex=apex)
    record = pairs.records[pairs.clip.index("s01_sur_02")]
    assert (record.onset_frame, record.offset_frame, record.apex_source) == (1, 5, apex)
    assert trees.shown(pairs.apex[pairs.clip.index("s01_sur_02")]) == record.apex_frame
    assert "note: 1 clip read from video, where" in said


def test_a_folder_may_hold_the_video(run, tmp_path):
    frames = trees.casme2(tmp_path / "casme2")
    folder = frames / "sub01" / "EP03_02"
    video = trees.as_video(folder)
    folder.mkdir()
    video.rename(folder / "camera.avi")
    assert len(run("casme2", frames)[0]) == 5


def test_frames_win_over_the_video_beside_them(run, tmp_path):
    frames = trees.casme2(tmp_path / "casme2")
    (frames / "sub01" / "EP03_02.avi").write_bytes(b"no video")
    pairs, _, said = run("casme2", frames)
    assert len(pairs) == 5
    assert "1 x video of a clip whose images are there (sub01/EP03_02.avi)" in said


def test_links_to_a_video_are_no_second_clip_but_a_copy_is(run, tmp_path):
    frames = trees.casme2(tmp_path / "casme2")
    video = trees.as_video(frames / "sub01" / "EP03_02")
    other = tmp_path / "casme2" / "best" / "sub01" / "EP03_02.avi"
    other.parent.mkdir(parents=True)
    other.symlink_to(video)
    assert len(run("casme2", frames.parent)[0]) == 5
    other.unlink()
    shutil.copy(video, other)
    with pytest.raises(UserError, match="two videos of one id: .*; point --input at one"):
        run("casme2", frames.parent, output="again")


def test_a_video_that_is_none_is_dropped_in_every_run(run, tmp_path):
    frames = trees.casme2(tmp_path / "casme2")
    shutil.rmtree(frames / "sub01" / "EP03_02")
    (frames / "sub01" / "EP03_02.avi").write_bytes(b"RIFF")
    pairs, rows, _ = run("casme2", frames)
    assert len(pairs) == 4
    assert "EP03_02.avi: cannot be read as a video" in rows["casme2/sub01/EP03_02"]["reason"]


def test_a_number_beyond_a_video_stops_a_strict_run_and_is_listed_in_a_lenient_one(run, tmp_path):
    frames = trees.casme2(tmp_path / "casme2")
    video = trees.as_video(frames / "sub01" / "EP03_02", numbers=range(1, 12))
    reason = f"apex 12 is beyond {video}, which holds 1 to 11"
    with pytest.raises(UserError, match=r"row 3 \(casme2/sub01/EP03_02\): " + reason):
        run("casme2", frames)
    pairs, rows, _ = run("casme2", frames, lenient=True)
    assert len(pairs) == 4
    assert rows["casme2/sub01/EP03_02"]["reason"] == reason


def test_a_video_that_begins_at_the_onset_is_not_misread(run, tmp_path):
    frames = trees.casme2(tmp_path / "casme2")
    trees.as_video(frames / "sub01" / "EP03_02", numbers=range(10, 16))
    with pytest.raises(UserError, match="has 6 frames, as many as there are from 10 to 15: it"):
        run("casme2", frames)


def test_a_video_cut_short_loses_its_clip_alone(run, tmp_path):
    """Its header promises what is no longer there, which only reading it tells."""
    frames = trees.casme2(tmp_path / "casme2")
    video = trees.as_video(frames / "sub01" / "EP02_01f", codec="MPNG")
    content = video.read_bytes()
    video.write_bytes(content[: len(content) * 6 // 10])
    pairs, rows, _ = run("casme2", frames)
    assert len(pairs) == 4
    reason = rows["casme2/sub01/EP02_01f"]["reason"]
    assert f"{video}: frame 46 cannot be read, the video ends with frame " in reason
    assert reason.endswith(" and is cut short")


def test_frames_behind_a_damaged_one_keep_their_numbers(tmp_path):
    folder = trees.write_frames(tmp_path / "c", range(1, 21))
    video = trees.damage(trees.as_video(folder, codec="MPNG"), 6)
    frames = VideoFrames(video, first=1)
    read = {number: trees.shown(image) for number, image in frames.read([15, 3, 20, 15])}
    assert list(read.items()) == [(3, 3), (15, 15), (20, 20)]
    assert "damaged" in frames.note
    with pytest.raises(UserError, match="c.avi: frame 7 is damaged"):
        list(frames.read([5, 7]))
    with pytest.raises(
        UserError, match="c.avi: frame 21 cannot be read, the video ends with .* 20"
    ):
        list(frames.read([21]))
    assert frames.numbers(20) == range(1, 21), "as the header says"
    assert 7 not in frames.numbers() and frames.numbers()[-1] == 20


@pytest.mark.parametrize("promised", [0, 3])
def test_a_header_that_promises_too_little_is_not_believed(run, tmp_path, promised):
    frames = trees.casme2(tmp_path / "casme2")
    video = trees.as_video(frames / "sub01" / "EP03_02")
    content = bytearray(video.read_bytes())
    for at, field in ((b"avih", 24), (b"strh", 40)):  # dwTotalFrames, dwLength
        start = content.index(at) + 8 + field - 8 * (at == b"avih")
        content[start : start + 4] = promised.to_bytes(4, "little")
    video.write_bytes(content)
    pairs, _, _ = run("casme2", frames)
    place = pairs.clip.index("EP03_02")
    assert (trees.shown(pairs.onset[place]), trees.shown(pairs.apex[place])) == (10, 12)


def test_what_is_not_needed_is_not_decoded(tmp_path, monkeypatch):
    video = trees.as_video(trees.write_frames(tmp_path / "c", range(1, 21)))
    from mubert_jax.data import clips

    decoded = []

    def watched(path):
        for number, image in read_video(path):
            decoded.append(number)
            yield number, image

    read_video = clips.read_video
    monkeypatch.setattr(clips, "read_video", watched)
    frames = VideoFrames(video)
    assert frames.numbers(19) == range(20) and not decoded
    assert [number for number, _ in frames.read([2, 5])] == [2, 5]
    assert decoded == [0, 1, 2, 3, 4, 5], "one pass, as far as the last"


HEADER = "video,onset,apex,offset,label,subject"


@pytest.fixture
def table(tmp_path):
    """Writes a table beside a video of 20 frames and a folder of frames 31 to 40."""
    trees.as_video(trees.write_frames(tmp_path / "film", range(1, 21)))
    trees.write_frames(tmp_path / "images", range(31, 41), "f{}.png")

    def write(*rows, header=HEADER):
        path = tmp_path / "t.csv"
        path.write_text("\n".join([header, *rows]))
        return path

    return write


def test_a_table_of_frame_numbers(run, table):
    path = table("film.avi,2,5,8,joy,p1", "film.avi,10,13,,fear,p1", "images,31,33,36,joy,p2")
    pairs, rows, said = run("pairs", None, path)
    assert [(r.onset_frame, r.apex_frame, r.offset_frame) for r in pairs.records] == [
        (10, 13, -1),
        (2, 5, 8),
        (31, 33, 36),
    ]
    assert [trees.shown(image) for image in pairs.onset] == [11, 3, 31], "counted from 0"
    assert [trees.shown(image) for image in pairs.apex] == [14, 6, 33]
    assert pairs.clip == ["film/10", "film/2", "images/31"]
    assert "note: 2 clips read from video, where the first frame is 0" in said


def test_the_table_may_say_how_frames_are_counted(run, table):
    path = table("film.avi,2,5,8,joy,p1,1,200", header=f"{HEADER},First Frame,fps")
    pairs, _, said = run("pairs", None, path)
    assert trees.shown(pairs.onset[0]) == 2 and trees.shown(pairs.apex[0]) == 5
    assert pairs.records[0].fps == 200 and "first frame is 1" in said


@pytest.mark.parametrize(("apex", "taken"), [("midpoint", {5}), ("auto", {3, 4, 5, 6, 7, 8})])
def test_an_apex_that_the_table_does_not_have_is_found_when_asked_for(run, table, apex, taken):
    path = table("film.avi,2,8,joy,p1", header="video,onset,offset,label,subject")
    with pytest.raises(UserError, match="none of 1 clips could be used.*no apex annotated"):
        run("pairs", None, path)
    pairs, _, _ = run("pairs", None, path, apex=apex)
    assert pairs.records[0].apex_source == apex and pairs.records[0].apex_frame in taken


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("film.avi,5,20,,joy,p1", "apex 20 is beyond .*film.avi, which holds 0 to 19"),
        ("film.avi,5,4,,joy,p1", "apex 4 before onset 5"),
        ("film.avi,x,4,,joy,p1", "onset 'x' is not a number"),
        ("film.avi,,4,,joy,p1", "no onset"),
        ("absent.avi,1,4,,joy,p1", "video .*absent.avi: no such file"),
        ("images,50,54,,joy,p1", "none of the frames 50 to 54 is on the disk, .*images holds 31"),
        (",film.avi,,,joy,p1", "no apex"),
        ("film.avi,2,5,8,joy,", "no subject"),
    ],
)
def test_rows_that_cannot_be_right_are_listed(run, table, row, reason):
    path = table("film.avi,2,5,8,joy,p1", row)
    with pytest.raises(UserError, match=rf"row 3 .*: {reason}"):
        run("pairs", None, path)
    pairs, rows, _ = run("pairs", None, path, lenient=True)
    assert len(pairs) == 1 and [r["status"] for r in rows.values()].count("dropped") == 1


def test_a_table_without_apex_or_video_needs_one(run, table):
    path = table("a.png,joy,p1", header="onset,label,subject")
    with pytest.raises(UserError, match="no column apex .*, nor a column video"):
        run("pairs", None, path)
    path = table("a.png,b.png,joy,p1", header="onset,apex,label,subject")
    with pytest.raises(UserError, match="--apex is not for pairs of images"):
        run("pairs", None, path, apex="auto")


def test_two_images_of_one_number_are_two(run, tmp_path):
    for moment, number in (("onset", 7), ("apex", 9)):
        folder = trees.write_frames(tmp_path / moment, [number], "{}.png")
        (folder / f"{number}.png").rename(folder / "1.png")
    path = tmp_path / "t.csv"
    path.write_text("onset,apex,label,subject\nonset/1.png,apex/1.png,joy,p1")
    pairs, _, _ = run("pairs", None, path)
    assert (trees.shown(pairs.onset[0]), trees.shown(pairs.apex[0])) == (7, 9)
    assert (pairs.records[0].onset_frame, pairs.records[0].apex_frame) == (0, 1)


def test_sequences_are_recordings_with_all_that_is_annotated_in_them(tmp_path, table):
    casme3 = trees.casme3(tmp_path / "casme3")
    found = sequences(load_set("casme3").SET.collect(casme3, None, options()).clips)
    assert {one.name: [i.onset for i in one.intervals] for one in found} == {
        "casme3/spNO.1/1/a": [175, 190],
        "casme3/spNO.1/1/j": [21],
        "casme3/spNO.2/2/b": [2647, 2660],
        "casme3/spNO.2/2/c": [5],
    }
    assert found[0].frames.numbers() == list(range(170, 200)), "the whole recording"
    assert [(i.onset, i.apex, i.offset) for i in found[0].intervals] == [
        (175, 178, 182),
        (190, 193, 197),
    ]
    path = table("film.avi,10,13,15,fear,p1", "film.avi,2,5,8,joy,p1")
    (film,) = sequences(PairTable().collect(None, path, options()).clips)
    assert film.name == "t/p1/film" and [i.onset for i in film.intervals] == [2, 10]
    assert len(list(film.frames)) == 20
