"""The table for the challenge: the script's columns, the owners' numbers, and nothing else."""

import pandas as pd
import pytest

from mubert_jax.cli import main
from mubert_jax.spotting.intervals import Interval, read_intervals, write_intervals
from mubert_jax.spotting.scores import official_strs
from mubert_jax.spotting.submission import COLUMNS

SPOTTED = [
    Interval("007", "b", 20, 60, 31, "macro", "surprise", 3.0),
    Interval("007", "a", 5, 9, 7, "micro", "negative", 4.5),
]


@pytest.fixture
def tables(tmp_path):
    write_intervals(tmp_path / "intervals.csv", SPOTTED)
    (tmp_path / "videos.csv").write_text(
        "subject,video,frames,fps,file,first_frame\n007,a,100,30,a.avi,0\n007,b,100,200,b,41\n"
    )
    return tmp_path


def submission(folder, *flags):
    words = ["evaluate", f"--predictions={folder / 'intervals.csv'}", *flags]
    return main([*words, f"--megc-submission={folder / 'out/megc.csv'}"])


def test_the_script_finds_its_columns_and_the_owners_numbers(tables):
    assert submission(tables, f"--videos={tables / 'videos.csv'}") == 0
    text = (tables / "out/megc.csv").read_text().splitlines()
    assert text[0] == ",".join(COLUMNS) == "subject,video,onset,offset,emotion"
    assert text[1:] == ["007,a,5,9,negative", "007,b,61,101,surprise"]
    table = pd.read_csv(tables / "out/megc.csv")
    assert table["onset"].dtype == table["offset"].dtype == int


def test_what_is_submitted_scores_as_what_was_spotted(tables):
    assert submission(tables) == 0
    again = read_intervals(tables / "out/megc.csv", spotted=True)
    assert official_strs(SPOTTED, again).strs == official_strs(SPOTTED, SPOTTED).strs == 1.0


@pytest.mark.parametrize(
    "flags, emotion, said",
    [
        ([], "", "wants an emotion of every interval"),
        (["--loso"], "joy", "--loso does not go with --megc-submission"),
        (["--videos=VIDEOS"], "joy", "row 2: first_frame"),
    ],
)
def test_what_cannot_be_submitted_is_one_line(tables, capsys, flags, emotion, said):
    write_intervals(tables / "intervals.csv", [Interval("1", "a", 0, 9, emotion=emotion)])
    (tables / "odd.csv").write_text("subject,video,file,first_frame\n1,a,a.avi,one\n")
    flags = [flag.replace("VIDEOS", str(tables / "odd.csv")) for flag in flags]
    assert submission(tables, *flags) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert not (tables / "out").exists()
