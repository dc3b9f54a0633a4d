"""`mubert prepare sequences`: fixture trees with the quirks of the sets, and what becomes of them.

Nothing here reads an image, so the images are empty files.
"""

import csv

import numpy as np
import openpyxl
import pandas as pd
import pytest

from mubert_jax.cli import main
from mubert_jax.data.lossless import write_lossless
from mubert_jax.errors import UserError
from mubert_jax.spotting.intervals import Recording, read_intervals, read_recordings
from mubert_jax.spotting.long_set import SequenceOptions
from mubert_jax.spotting.long_sets import available_long_sets, load_long_set
from mubert_jax.spotting.prepare_sequences import prepare_sequences
from mubert_jax.spotting.videos import frames_of, read_files

LENIENT = SequenceOptions(lenient=True)
CASME2SQ = [  # participant, clip, onset, apex, offset, AUs, emotion, type, self-report
    (1, "disgust1_1", 11, 14, 20, "4", "negative", "micro-expression", "disgust"),
    (1, "disgust1_2", 30, 38, 60, "4+7", "negative", "macro-expression", "disgust"),
    (2, "anger1_1", 5, 9, 0, "4", "negative", "macro-expression", "anger"),
]
SAMM = [  # Subject, Filename, Inducement Code, Onset, Apex, Offset, Duration, Type, Action Units
    (6, "006_1_1", 1, 101, 120, 160, "=F11-D11+1", "Micro - 1/2", "12"),
    (6, "006_1_2", 1, 201, 260, 390, "=F12-D12+1", "Macro", "4"),
    (7, "007_3_1", 3, 11, 20, 60, "=F13-D13+1", "Micro - 1/2", "4"),
]
CASME3 = [("spNO.1", "A", 10, 14, 20, "4", "II", "disgust")]
CASME3_MACRO = [("spNO.1", "a", 30, 40, 61, "12", "I", "happy")]


def images(folder, numbers, name="img{}.jpg"):
    folder.mkdir(parents=True)
    for number in numbers:
        (folder / name.format(number)).touch()


def workbook(path, **sheets):
    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, rows in sheets.items():
        sheet = book.create_sheet(title.replace("_", " ") if "rule" in title else title)
        for row in rows:
            sheet.append(row)
    book.save(path)


def casme2sq(folder, rows=CASME2SQ, header=()):
    images(folder / "rawpic" / "s15" / "15_0101disgustingteeth", range(1, 81))
    images(folder / "rawpic" / "s16" / "16_0401girlcrashing", range(1, 41), "img{:03d}.jpg")
    images(folder / "rawpic" / "s16" / "16_0102eatingworms", range(1, 11))
    images(folder / "selectedpic" / "s15" / "15_0101disgustingteeth", range(11, 21))
    workbook(
        folder / "CAS(ME)^2code_final.xlsx",
        CASFEcode_final=[*header, *rows],
        naming_rule1=[(15, "s15", 1), (16, "s16", 2)],
        naming_rule2=[("0101", "disgust1"), ("0102", "disgust2"), (401, "anger1")],
    )
    return folder


def samm(folder, rows=SAMM):
    for video in ("006_1", "007_3"):
        images(folder / "SAMM_longvideos" / video, range(1, 401), video + "_{:04d}.jpg")
    names = "Subject,Filename,Inducement Code,Onset,Apex,Offset,Duration,Type,Action Units,Notes"
    above = [("SAMM Long Videos",), *[("",)] * 8]
    workbook(
        folder / "SAMM_LongVideos_V3_Release.xlsx",
        FACS_Movement_Only=[*above, names.split(","), *rows],
    )
    return folder


def casme3(folder, micro=CASME3, macro=CASME3_MACRO):
    images(folder / "spNO.1" / "a" / "color", range(8, 101), "{}.jpg")
    images(folder / "spNO.1" / "a" / "depth", range(8, 101), "{}.png")
    images(folder / "spNO.2" / "b" / "color", range(1, 31), "{}.jpg")
    names = ("Subject", "Filename", "Onset", "Apex", "Offset", "AU", "Objective class", "emotion")
    workbook(folder / "cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx", label=[names, *micro])
    names = ("sub", "seq", "onset", "apex", "offset", "AU", "class", "emotion")
    workbook(folder / "cas(me)3_part_A_MaE_label_JpgIndex_v2_emotion.xlsx", Sheet1=[names, *macro])
    return folder


def reasons(output):
    with open(output / "report.csv", newline="") as file:
        return {row["name"]: (row["status"], row["reason"]) for row in csv.DictReader(file)}


def test_casme2sq(tmp_path, capsys):
    """A sheet without header, names by two other sheets, and an offset of 0."""
    folder = casme2sq(tmp_path / "set")
    words = ["prepare", "sequences", "casme2sq", f"--input={folder}"]
    assert main([*words, f"--output={tmp_path / 'out'}"]) == 2
    error = capsys.readouterr().err
    assert "row 3 (16/0401 5 to 0): offset 0, and nobody says what that means" in error
    assert error.count("\n") == 1 and not (tmp_path / "out").exists()
    assert main([*words, f"--output={tmp_path / 'out'}", "--unknown-offset=mirrored"]) == 0
    assert "3 videos of 2 subjects" in capsys.readouterr().out
    found = read_intervals(tmp_path / "out" / "intervals.csv")
    assert [(o.subject, o.video[:7], o.onset, o.apex, o.offset, o.kind) for o in found] == [
        ("s15", "15_0101", 10, 13, 19, "micro"),
        ("s15", "15_0101", 29, 37, 59, "macro"),
        ("s16", "16_0401", 4, 8, 12, "macro"),
    ]
    assert {one.emotion for one in found} == {"negative"}
    recordings = read_recordings(tmp_path / "out" / "videos.csv")
    assert recordings["s16", "16_0102eatingworms"] == Recording(10, 30.0)
    assert recordings["s15", "15_0101disgustingteeth"] == Recording(80, 30.0)
    files = read_files(tmp_path / "out" / "videos.csv")
    assert frames_of(files["s16", "16_0401girlcrashing"]).numbers() == list(range(1, 41))
    assert reasons(tmp_path / "out")["16/0401 5 to 0"] == (
        "repaired",
        "offset 0, 13 taken (mirrored)",
    )
    by_apex = SequenceOptions(unknown_offset="apex")
    with pytest.raises(UserError, match="holds a data set of another plan: --unknown-offset"):
        prepare_sequences("casme2sq", folder, tmp_path / "out", (), by_apex)
    prepare_sequences("casme2sq", folder, tmp_path / "apex", (), by_apex)
    assert read_intervals(tmp_path / "apex" / "intervals.csv")[2].offset == 8


def test_a_sheet_with_a_header_is_read_by_its_names(tmp_path):
    header = ("Type", "Participant", "Clip", "Onset", "Offset", "Apex", "Emotion")
    rows = [(r[7], r[0], r[1], r[2], r[4], r[3], r[6]) for r in CASME2SQ[:2]]
    folder = casme2sq(tmp_path / "set", rows, [header])
    prepare_sequences("casme2sq", folder, tmp_path / "out")
    (micro, macro) = read_intervals(tmp_path / "out" / "intervals.csv")
    assert (micro.onset, micro.apex, micro.offset, micro.kind) == (10, 13, 19, "micro")
    assert (macro.onset, macro.apex, macro.offset, macro.emotion) == (29, 37, 59, "negative")


@pytest.mark.parametrize(
    "row, status, said",
    [
        ((1, "disgust1_3", 50, 45, 40, "", "", "micro-expression"), "dropped", "are they swapped?"),
        ((1, "disgust1_3", 70, 75, 95, "", "", "macro-expression"), "repaired", "80 taken"),
        ((1, "disgust1_3", 81, 85, 95, "", "", "macro-expression"), "dropped", "off the video"),
        ((1, "disgust1_3", 65, 64, 70, "", "", "micro-expression"), "repaired", "apex 64 is out"),
        ((1, "disgust1_3", 65, 0, 70, "", "", "micro-expression"), "kept", ""),
        ((1, "disgust1_3", 15, 16, 25, "", "", "macro-expression"), "kept", "overlaps row 1"),
        ((1, "disgust1_3", 61, 65, 78, "", "", "micro-expression"), "kept", "more than 500 ms"),
        ((1, "disgust1_3", 61, 65, 999, "", "", "micro-expression"), "dropped", "a digit too many"),
        ((1, "disgust1_3", 0, 5, 9, "", "", "micro-expression"), "dropped", "began before the"),
        ((1, "disgust1_3", "", 5, 9, "", "", "micro-expression"), "dropped", "no onset"),
        ((1, "disgust1_3", "x", 5, 9, "", "", "micro-expression"), "dropped", "'x' is not a num"),
        ((1, "disgust1_3", 61, 65, 70, "", "", "blink"), "dropped", "neither micro nor macro"),
        ((9, "disgust1_3", 61, 65, 70, "", "", "micro-expression"), "dropped", "not in the naming"),
        ((1, "disgust2_1", 61, 65, 70, "", "", "micro-expression"), "dropped", "no folder or vid"),
        (CASME2SQ[0], "dropped", "the same as row 1"),
        ((1, "disgust1_3", 11, 15, 20, "", "", "micro-expression"), "dropped", "annotated twice"),
    ],
)
def test_what_is_kept_repaired_and_dropped(tmp_path, row, status, said):
    folder = casme2sq(tmp_path / "set", [*CASME2SQ[:2], row])
    report = prepare_sequences("casme2sq", folder, tmp_path / "out", (), LENIENT)
    with open(tmp_path / "out" / "report.csv", newline="") as file:
        (found,) = [r for r in csv.DictReader(file) if r["row"] == "3"]
    assert (found["status"], said in found["reason"]) == (status, True), found
    kept = len(read_intervals(tmp_path / "out" / "intervals.csv"))
    assert kept == len(report.collected.settled)
    assert said in (tmp_path / "out" / "report.md").read_text()
    refused = [one for one in report.collected.dropped if one.refused]
    assert bool(refused) == (status == "dropped" and "the same as" not in said)
    if refused:
        with pytest.raises(UserError, match="add --lenient"):
            prepare_sequences("casme2sq", folder, tmp_path / "strict")


def test_samm_lv(tmp_path):
    """A preamble above the header, formulas without results, and no emotions."""
    prepare_sequences("samm_lv", samm(tmp_path / "set"), tmp_path / "out")
    found = read_intervals(tmp_path / "out" / "intervals.csv")
    assert [(o.subject, o.video, o.onset, o.apex, o.offset, o.kind) for o in found] == [
        ("006", "006_1", 100, 119, 159, "micro"),
        ("006", "006_1", 200, 259, 389, "macro"),
        ("007", "007_3", 10, 19, 59, "micro"),
    ]
    recordings = read_recordings(tmp_path / "out" / "videos.csv")
    assert set(recordings.values()) == {Recording(400, 200.0)}
    table = pd.read_csv(tmp_path / "out" / "videos.csv", dtype=str)
    assert list(table["first_frame"]) == ["1", "1"]


def test_casme3_long(tmp_path):
    """One sheet per kind, capitals, depth beside colour, and no frames before the 8th."""
    folder = casme3(tmp_path / "set")
    report = prepare_sequences("casme3_long", folder, tmp_path / "out")
    found = read_intervals(tmp_path / "out" / "intervals.csv")
    assert [(o.subject, o.video, o.onset, o.offset, o.kind, o.emotion) for o in found] == [
        ("spNO.1", "a", 2, 12, "micro", "disgust"),
        ("spNO.1", "a", 22, 53, "macro", "happy"),
    ]
    assert "2 videos of 2 subjects" in report.lines()[1] and "1 without an" in report.lines()[1]
    both = folder / "CAS(ME)3_part_A_v2.xls.xlsx"
    names = ("Subject", "Filename", "Onset", "Apex", "Offset", "AU", "Expression type")
    row = ("spNO.2", "b", 5, 9, 12, "4", "Micro-expression")
    workbook(both, Sheet1=[names, row])
    prepare_sequences("casme3_long", folder, tmp_path / "both", [both])
    (one,) = read_intervals(tmp_path / "both" / "intervals.csv")
    assert (one.subject, one.onset, one.kind, one.emotion) == ("spNO.2", 4, "micro", "")


def test_a_table_of_videos_and_folders(tmp_path, capsys):
    folder = tmp_path / "mine"
    images(folder / "ann" / "first", range(100, 200), "{:06d}.png")
    (folder / "ben").mkdir()
    frames = np.random.default_rng(0).integers(0, 256, (40, 16, 16, 3), np.uint8)
    write_lossless(frames, 40, 20.0, folder / "ben", "second")
    (folder / "table.csv").write_text(
        "video,onset,apex,offset,type,emotion,fps\n"
        "ann/first,110,115,130,MaE,joy,50\n"
        "ben/second.avi,3,5,9,micro,anger,\n"
        "ann/first,150,,160,micro,joy,50\n"
    )
    out = tmp_path / "out"
    words = [f"--annotation={folder / 'table.csv'}", f"--output={out}"]
    assert main(["prepare", "sequences", "table", *words]) == 0
    found = read_intervals(out / "intervals.csv")
    assert [(o.subject, o.video, o.onset, o.apex, o.offset, o.kind) for o in found] == [
        ("ann", "ann/first", 10, 15, 30, "macro"),
        ("ann", "ann/first", 50, None, 60, "micro"),
        ("ben", "ben/second", 3, 5, 9, "micro"),
    ]
    recordings = read_recordings(out / "videos.csv")
    assert recordings["ann", "ann/first"] == Recording(100, 50.0)
    assert recordings["ben", "ben/second"] == Recording(40, 20.0)
    (_, image), *_ = frames_of(read_files(out / "videos.csv")["ben", "ben/second"]).read((7,))
    np.testing.assert_array_equal(image, frames[7])
    spotted = [f"--spotting={out}/intervals.csv", f"--videos={out}/videos.csv"]
    spotted += [f"--predictions={out}/intervals.csv", f"--output={tmp_path / 'report'}"]
    assert main(["evaluate", *spotted]) == 0
    assert "all: F1 1.0000" in capsys.readouterr().out


def test_a_table_without_frame_rates_or_videos(tmp_path, capsys):
    images(tmp_path / "one", range(9), "{}.png")
    table = tmp_path / "table.csv"
    for rows, flags, said in (
        ("one,1,2,5,micro,joy", [], "images do not tell their frame rate; give --fps"),
        ("two,1,2,5,micro,joy", ["--fps=30"], "two: no such file"),
        ("one,,,,,", ["--fps=30"], "none of 0 expressions could be used"),
        ("one,1,2,5,micro,joy", ["--fps=30", "--input=/absent"], "/absent: no such folder"),
        ("one,1,2,5,micro,joy", ["--unknown-offset=late"], "choose apex or mirrored"),
    ):
        table.write_text(f"video,onset,apex,offset,type,emotion\n{rows}\n")
        words = [f"--annotation={table}", f"--output={tmp_path / 'out'}", *flags]
        assert main(["prepare", "sequences", "table", *words]) == 2
        error = capsys.readouterr().err
        assert said in error and error.count("\n") == 1
        assert not (tmp_path / "out").exists()


def test_what_is_missing_is_one_line(tmp_path, capsys):
    folder = casme2sq(tmp_path / "set")
    out = f"--output={tmp_path / 'out'}"
    sheet = folder / "CAS(ME)^2code_final.xlsx"
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.csv").write_text("1,disgust1_1,11,14,20\n")
    sheet.rename(tmp_path / "elsewhere.xlsx")
    workbook(tmp_path / "bare.xlsx", CASFEcode_final=CASME2SQ)
    for words, said in (
        (["casme2sq"], "casme2sq needs --input=DIR"),
        (["table"], "table needs --annotation=FILE"),
        (["casme2"], "did you mean 'casme2sq'"),
        (["casme2sq", f"--input={tmp_path / 'absent'}"], "absent: no such folder"),
        (["casme2sq", f"--input={tmp_path / 'empty'}"], "no video of CAS(ME)2 at any depth"),
        (["casme2sq", f"--input={folder}"], "no sheet of CAS(ME)2 in it or beside it"),
        (["casme2sq", f"--input={folder}", f"--annotation={tmp_path}/text.csv"], "give the .xlsx"),
        (["casme2sq", f"--input={folder}", f"--annotation={tmp_path}/bare.xlsx"], "it takes two"),
        (["casme2sq", f"--input={folder}", "--fps=30"], "--fps is not for casme2sq: it has 30"),
    ):
        assert main(["prepare", "sequences", *words, out]) == 2
        error = capsys.readouterr().err
        assert said in error and error.count("\n") == 1, error
    assert not (tmp_path / "out").exists()


def test_every_set_has_a_name_and_collects():
    assert available_long_sets() == ["casme2sq", "casme3_long", "samm_lv", "table"]
    for name in available_long_sets():
        assert load_long_set(name).name == name
