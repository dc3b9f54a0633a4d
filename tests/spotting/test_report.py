"""`mubert evaluate --spotting`: tables of intervals in, a report out, and what is refused."""

import json

import pandas as pd
import pytest

from mubert_jax.cli import main
from mubert_jax.spotting.intervals import Interval, read_intervals, write_intervals

TRUTH = "participant,Video Name,Onset Frame,offset,type,emotion\n"
ROWS = "a,v1,30,50,micro-expression,joy\nb,v1,10,29,ME,anger\nb,v2,100,200,macro,joy\n"
SPOTTED = "subject,video,onset,offset,type,emotion,score\n"
FOUND = "a,v1,31,55,micro,joy,0.9\nb,v2,400,500,macro,joy,0.2\nb,v2,90,210,MaE,anger,0.7\n"
VIDEOS = "subject,video,frames,fps\na,v1,1800,30\nb,v1,1800,30\nb,v2,3600,60\n"


@pytest.fixture
def tables(tmp_path):
    (tmp_path / "truth.csv").write_text(TRUTH + ROWS)
    (tmp_path / "spotted.csv").write_text(SPOTTED + FOUND)
    (tmp_path / "videos.csv").write_text(VIDEOS)
    return tmp_path


def evaluate(folder, *more):
    flags = [f"--spotting={folder / 'truth.csv'}", f"--predictions={folder / 'spotted.csv'}"]
    return main(["evaluate", *flags, f"--output={folder / 'report'}", *more])


def test_the_report_holds_kinds_errors_and_thresholds(tables, capsys):
    assert evaluate(tables, f"--videos={tables / 'videos.csv'}") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "micro: F1 0.6667" in said and "macro: F1 0.6667" in said
    assert "all: F1 0.6667" in said and "STRS, strict" in said and "STRS, official" in said
    assert "0.33 false alarms per minute" in said
    rows = pd.read_csv(tables / "report" / "spotting.csv").set_index("kind")
    assert list(rows.index) == ["micro", "macro", "all"]
    assert rows.loc["macro", "onset error, median, ms"] == pytest.approx(10 / 60 * 1000, rel=1e-5)
    assert rows.loc["micro", "offset error, median, ms"] == pytest.approx(5 / 30 * 1000, rel=1e-5)
    facts = json.loads((tables / "report" / "spotting.json").read_text())
    assert [row["threshold"] for row in facts["thresholds"]] == [0.2, 0.7, 0.9]
    assert facts["thresholds"][1]["fp"] == 0
    assert facts["notes"] == ["1 annotated video(s) without a spotted interval: all missed"]
    assert (tables / "report" / "spotting_curve.png").stat().st_size > 5000


def test_two_methods_are_compared_on_the_same_people(tables, capsys):
    """The other finds all of one person and nothing of the other; itself is no better than it."""
    (tables / "other.csv").write_text(SPOTTED + "b,v1,10,29,ME,joy,1\nb,v2,100,200,macro,joy,1\n")
    (tables / "same.csv").write_text(SPOTTED + FOUND)
    others = [str(tables / name) for name in ("other.csv", "same.csv")]
    assert evaluate(tables, "--compare", *others) == 0
    facts = json.loads((tables / "report" / "spotting.json").read_text())["F1 less that of"]
    value, low, high = facts[others[0]]["all"]
    assert value == pytest.approx(2 / 3 - 4 / 5)
    # Of a alone 1 and 0, of b alone 1/2 and 1: nobody else can be drawn.
    assert (low, high) == pytest.approx((-0.5, 1))
    assert facts[others[0]]["micro"][0] == 0
    assert all(number == 0 for kind in facts[others[1]].values() for number in kind)
    said = " ".join(capsys.readouterr().out.split())
    assert f"F1 less that of {others[0]}: micro +0.0000 [-1.0000, +1.0000]" in said
    (tables / "other.csv").write_text(SPOTTED + "z,v9,10,29,ME,joy,1\n")
    assert evaluate(tables, "--compare", others[0]) == 2
    said = capsys.readouterr().err
    assert "other.csv: none of its videos, such as z/v9, is in" in said and said.count("\n") == 1


def test_what_is_written_is_read_again(tmp_path):
    intervals = [
        Interval("a", "v", 3, 9, 5, "micro", "joy", 0.5),
        Interval("a", "v", 20, 29, None, "macro", "anger", 0.25),
    ]
    write_intervals(tmp_path / "spotted.csv", intervals)
    assert read_intervals(tmp_path / "spotted.csv", spotted=True) == intervals


@pytest.mark.parametrize(
    "file, old, new, said",
    [
        ("truth", "30,50", "50,30", "row 2: onset 50 is after offset 30; are they swapped?"),
        ("truth", "30,50", "-3,50", "onset: -3 is before the video"),
        ("truth", "30,50", "30.5,50", "onset: 30.5 is no frame"),
        ("truth", "30,50", ",50", "onset: no number"),
        ("truth", "30,50", "soon,50", "onset 'soon' is not a number"),
        ("truth", ",ME,", ",mikro,", "unknown kind 'mikro'"),
        ("truth", "b,v1,10,29,ME,anger", "a,v1,30,50,ME,joy", "the interval of row 2 again"),
        ("truth", "a,v1", "a,", "row 2, column video: empty"),
        ("truth", ROWS, "", "a header and no row"),
        ("spotted", "b,v2,400", "b,v9,400", "b/v9 is not in the table of --videos"),
        ("spotted", "b,v2,400,500", "b,v2,4000,5000", "ends at frame 3599, before the onset 4000"),
        ("spotted", "0.9", "high", "score 'high' is not a number"),
        ("videos", "1800,30", "0,30", "frames and fps must be positive"),
        ("videos", "b,v1", "a,v1", "a/v1 is there twice"),
    ],
)
def test_a_table_that_cannot_be_right_is_one_line(tables, capsys, file, old, new, said):
    path = tables / f"{file}.csv"
    path.write_text(path.read_text().replace(old, new, 1))
    assert evaluate(tables, f"--videos={tables / 'videos.csv'}") == 2
    error = " ".join(capsys.readouterr().err.split())
    assert said in error and str(path) in error
    assert not (tables / "report").exists()


def test_other_names_of_all_videos_are_no_score_of_zero(tables, capsys):
    path = tables / "spotted.csv"
    path.write_text(path.read_text().replace("v1", "v1.avi").replace("v2", "v2.avi"))
    assert evaluate(tables) == 2
    assert "must have the same names in both" in " ".join(capsys.readouterr().err.split())


def test_flags_that_do_not_go_together(tables, capsys):
    assert main(["evaluate", f"--spotting={tables / 'truth.csv'}"]) == 2
    assert "--spotting needs --predictions=FILE" in capsys.readouterr().err
    assert evaluate(tables, "--published=casme2-5") == 2
    assert "--published does not go with --spotting" in capsys.readouterr().err
    assert main(["evaluate", f"--videos={tables / 'videos.csv'}"]) == 2
    assert "--videos goes with --spotting" in capsys.readouterr().err
