"""`mubert prepare synthetic --long`: videos without loss, tables that are read again, restarts."""

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from mubert_jax.cli import main
from mubert_jax.data.lossless import write_lossless
from mubert_jax.errors import UserError
from mubert_jax.spotting import prepare_synthetic
from mubert_jax.spotting.intervals import Recording, read_intervals, read_recordings
from mubert_jax.spotting.prepare_synthetic import LongCast, prepare_long
from mubert_jax.spotting.videos import frames_of, read_files

CAST = LongCast(subjects=2, conditions=("easy", "all"), size=16, fps=10.0, seconds=30.0)
QUIET = Console(quiet=True)
FLAGS = "--subjects=2 --size=16 --fps=10 --seconds=30 --workers=2 --conditions easy all".split()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("long") / "set"
    assert main(["prepare", "synthetic", f"--output={folder}", "--long", *FLAGS]) == 0
    return folder


def contents(folder):
    return {
        path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_videos_hold_what_was_drawn_pixel_by_pixel(folder):
    files = read_files(folder / "videos.csv")
    assert list(files) == [("s000000", "s000000_00"), ("s000001", "s000001_00")]
    for (condition, made), (key, file) in zip(CAST.videos().values(), files.items(), strict=True):
        frames = frames_of(file)
        assert len(frames.numbers()) == made.frames == 300
        assert read_recordings(folder / "videos.csv")[key] == Recording(300, 10.0)
        for number, image in frames.read((0, 150, 299)):
            np.testing.assert_array_equal(image, made.frame(number))
        assert condition == pd.read_csv(folder / "videos.csv")["condition"][made.subject]


def test_tables_say_what_happens_and_when(folder):
    events = [event for _, made in CAST.videos().values() for event in made.events]
    table = pd.read_csv(folder / "events.csv")
    told = table[["kind", "onset", "apex", "offset"]].itertuples(index=False, name=None)
    assert list(told) == [(e.kind, e.onset, e.apex, e.offset) for e in events]
    intervals = read_intervals(folder / "intervals.csv")
    expressions = [event for event in events if event.emotion]
    assert {one.kind for one in intervals} == {"micro", "macro"}
    for one, event in zip(intervals, expressions, strict=True):
        assert (one.onset, one.apex, one.offset) == (event.onset, event.apex, event.offset)
        assert (one.kind, one.emotion) == (event.kind, event.emotion)
    assert "blink" in (folder / "report.md").read_text()


def test_a_prepared_folder_is_evaluated_as_it_is(folder, tmp_path, capsys):
    """Whoever spots the truth, and one blink, has a false alarm."""
    truth = read_intervals(folder / "intervals.csv")
    rows = [f"{o.subject},{o.video},{o.onset},{o.offset},{o.kind},{o.emotion},1" for o in truth]
    rows.append(f"{truth[0].subject},{truth[0].video},0,2,micro,anger,0.5")
    spotted = tmp_path / "spotted.csv"
    spotted.write_text("\n".join(["subject,video,onset,offset,type,emotion,score", *rows]))
    words = [f"--spotting={folder}/intervals.csv", f"--videos={folder}/videos.csv"]
    words += [f"--predictions={spotted}", f"--output={tmp_path / 'report'}"]
    assert main(["evaluate", *words]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert f"all: F1 {2 * len(truth) / (2 * len(truth) + 1):.4f}" in said
    assert "1.00 false alarms per minute" in said


def test_a_run_that_was_killed_goes_on_where_it_stopped(folder, tmp_path, monkeypatch):
    output = tmp_path / "set"

    def killed(frames, count, fps, where, name):
        if name.endswith("1_00"):
            next(iter(frames))
            (where / ".part-s000001_00.avi").write_bytes(b"half")
            raise KeyboardInterrupt
        return write_lossless(frames, count, fps, where, name)

    monkeypatch.setattr(prepare_synthetic, "write_lossless", killed)
    with pytest.raises(KeyboardInterrupt):
        prepare_long(CAST, output, 1, QUIET)
    assert not (output / "videos.csv").exists()
    written = []

    def counted(frames, count, fps, where, name):
        written.append(name)
        return write_lossless(frames, count, fps, where, name)

    monkeypatch.setattr(prepare_synthetic, "write_lossless", counted)
    prepare_long(CAST, output, 1, QUIET)
    assert written == ["s000001_00"]
    assert contents(output) == contents(folder)
    assert prepare_long(CAST, output, 1, QUIET).already_complete
    with pytest.raises(UserError, match="seconds=30.0 there and.*seconds=31.0 now"):
        prepare_long(LongCast(**(vars(CAST) | {"seconds": 31.0})), output, 1, QUIET)


def test_images_are_written_where_no_codec_is_lossless(tmp_path, monkeypatch):
    monkeypatch.setattr("mubert_jax.data.lossless.writes_lossless_video", lambda: False)
    monkeypatch.setattr(prepare_synthetic, "writes_lossless_video", lambda: False)
    cast = LongCast(subjects=1, size=16, fps=10.0, seconds=20.0)
    report = prepare_long(cast, tmp_path / "set", 1, QUIET)
    assert report.codec == "folders of PNG" and report.bytes > 10_000
    (file,) = read_files(tmp_path / "set" / "videos.csv").values()
    ((_, made),) = cast.videos().values()
    ((_, image),) = frames_of(file).read((199,))
    np.testing.assert_array_equal(image, made.frame(199))


def test_a_video_that_is_cut_short_is_no_video(tmp_path):
    frames = np.zeros((3, 16, 16, 3), np.uint8)
    with pytest.raises(UserError, match="3 of 4 frames were written; is the disk full"):
        write_lossless(frames, 4, 25.0, tmp_path, "short")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "flags, said",
    [
        (["--size=17"], "--size 17: choose an even number"),
        (["--conditions", "fog"], "--conditions fog: with --long, choose from still, easy"),
        (["--fps=5"], "--fps 5: choose 10 to 1000"),
        (["--seconds=2"], "events do not fit into 2 s, 1 s apart"),
        (["--first-subject=-1"], "--first-subject -1: choose 0 or more"),
        (["--frames=9"], "unknown argument --frames=9"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(flags, said, tmp_path, capsys):
    output = tmp_path / "set"
    assert main(["prepare", "synthetic", "--long", f"--output={output}", *flags]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert not output.exists()


def test_the_help_of_long_videos_is_its_own(capsys):
    with pytest.raises(SystemExit):
        main(["prepare", "synthetic", "--long", "--help"])
    text = capsys.readouterr().out
    assert "mubert prepare synthetic --long --output=data/long" in text and "--align" not in text
