"""What a user can get wrong takes one line and exit code 2; `--lenient` leaves such clips out."""

import csv
import shutil

import openpyxl
import pytest

from mubert_jax.cli import main
from mubert_jax.data.pairs import LabelledPairs

from . import trees


@pytest.fixture
def prepare(tmp_path):
    """Runs `mubert prepare SOURCE ... --output OUT`; the exit code."""

    def prepare(*words, output="out"):
        common = [f"--output={tmp_path / output}", "--size=32", "--crop=none", "--workers=1"]
        return main(["prepare", *map(str, words), *common])

    return prepare


@pytest.fixture
def refused(prepare, capsys, tmp_path):
    """Runs a command that must fail and leave nothing; its line."""

    def refused(*words):
        capsys.readouterr()
        assert prepare(*words) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and "Traceback" not in error, error
        assert not (tmp_path / "out").exists()
        return error

    return refused


def edit(path, change):
    """Changes the first sheet of a workbook in place."""
    book = openpyxl.load_workbook(path)
    change(book.worksheets[0])
    book.save(path)


@pytest.fixture
def casme2(tmp_path):
    return trees.casme2(tmp_path / "casme2")


@pytest.fixture
def sheet(casme2):
    return casme2.parent / "CASME2-coding-20140508.xlsx"


def test_the_command_tells_what_it_kept_and_what_not(prepare, casme2, capsys, tmp_path):
    assert prepare("casme2", "--input", casme2) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "8 clips found, 5 kept (1 repaired), 3 dropped; 3 subjects (published: 26)" in text
    assert "happiness 1 (published: 32)" in text
    assert "casme2/sub05/EP13_01: apex 24 is not on the disk, 23 taken" in text
    assert "casme2/sub06/EP03_03: fear is none of the 5 classes" in text
    assert prepare("casme2", "--input", casme2) == 0
    assert "already complete, nothing to do" in " ".join(capsys.readouterr().out.split())


def test_no_folder_no_clip_no_sheet(refused, casme2, sheet, tmp_path):
    assert "no such folder; check --input" in refused("casme2", "--input", tmp_path / "absent")
    line = refused("samm", "--input", casme2)
    assert (
        "no clip of SAMM at any depth (looked for 006/006_1_2/006_05562.jpg, or a video in" in line
    )
    assert "casme2 needs --input=DIR" in refused("casme2")
    line = refused("casme2", "--input", casme2, "--annotation", tmp_path / "no.xlsx")
    assert "no such annotation file; check --annotation" in line
    shutil.copy(sheet, casme2)
    assert "several sheets of CASME II" in refused("casme2", "--input", casme2)
    sheet.unlink()
    (casme2 / sheet.name).unlink()
    line = refused("casme2", "--input", casme2)
    assert "no sheet of CASME II in it or beside it; give --annotation FILE" in line


def test_a_sheet_of_something_else(refused, casme2, sheet, tmp_path):
    edit(sheet, lambda page: page.delete_cols(4))
    line = refused("casme2", "--input", casme2)
    assert "header in row 1 of sheet 'Sheet1' has no column onset ('OnsetFrame'" in line
    prose = trees.write_sheet(tmp_path / "prose.xlsx", [("some", "words")], ("Read", "me"))
    line = refused("casme2", "--input", casme2, "--annotation", prose)
    assert "no header row in its first 60 rows; it needs the columns subject" in line
    broken = tmp_path / "broken.xlsx"
    broken.write_bytes(b"PK no workbook")
    line = refused("casme2", "--input", casme2, "--annotation", broken)
    assert "cannot be read as a workbook" in line
    line = refused("casme2", "--input", casme2, "--annotation", casme2 / "x.docx")
    assert "no such annotation file" in line


def test_a_sheet_of_another_data_set(refused, casme2, tmp_path):
    other = trees.write_sheet(tmp_path / "x.xlsx", trees.CASME3_ROWS, trees.CASME3_HEADER)
    line = refused("casme2", "--input", casme2, "--annotation", other)
    assert "row 2 (spNO.1 a): subject 'spNO.1' and clip 'a' are not of CASME II" in line
    assert "(5 more: row 3, row 4" in line
    line = refused("casme2", "--input", casme2, "--annotation", other, "--lenient")
    assert "none of 6 clips could be used; the first: row 2 (spNO.1 a)" in line


def test_two_sheets_that_both_could_be_meant(refused, casme2, sheet):
    book = openpyxl.load_workbook(sheet)
    book.copy_worksheet(book.worksheets[0]).title = "old"
    book.save(sheet)
    assert "2 sheets could be meant (Sheet1, old)" in refused("casme2", "--input", casme2)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (("01", "EP02_01f", None, 47, 49, 52, None, "4", "happiness"), "two clips of one id"),
        (("02", "EP01_01", None, 10, 12, 15, None, 4, "rage"), "unknown emotion 'rage' (known"),
        (("02", "EP01_01", None, 10, 12, 15, None, 4, None), "no emotion annotated"),
        (
            ("07", "EP06_01", None, 1, 2, 3, None, 4, "others"),
            "no folder or video sub07/ep06_01 below",
        ),
        (("02", "EP01_01", None, 13, 12, 15, None, 4, "others"), "apex 12 before onset 13"),
        (("02", "EP01_01", None, 56, 89, 116, None, 4, "others"), "none of the frames 56 to 116"),
        (("02", "EP01_01", None, 16, 40, 60, None, 4, "others"), "apex 40 is not on the disk, nor"),
        (("02", "EP01_01", None, 2, 9, 15, None, 4, "others"), "onset 2 is not on the disk, nor"),
        (("02", "EP01_01", None, "x1", 12, 15, None, 4, "others"), "onset 'x1' is not a number"),
        (("02", "EP01_01", None, 12.5, 13, 15, None, 4, "others"), "onset '12.5' is not a frame"),
        (("02", "EP01_01", None, "/", 12, 15, None, 4, "others"), "no onset annotated"),
        (("nobody", "EP01_01", None, 10, 12, 15, None, 4, "others"), "subject 'nobody'"),
    ],
)
def test_rows_that_may_be_wrong(prepare, refused, casme2, sheet, tmp_path, row, reason):
    trees.write_frames(casme2 / "sub02" / "EP01_01", range(8, 21), "img{}.jpg")
    edit(sheet, lambda page: page.append(row))
    line = refused("casme2", "--input", casme2)
    assert str(sheet) in line and reason in line and "--lenient" in line
    assert prepare("casme2", "--input", casme2, "--lenient") == 0
    with open(tmp_path / "out" / "report.csv", newline="") as file:
        dropped = [r for r in csv.DictReader(file) if r["status"] == "dropped"]
    assert any(r["row"] == "10" and reason in r["reason"] for r in dropped)
    kept = len(LabelledPairs(tmp_path / "out", 32))
    assert kept == (4 if reason == "two clips of one id" else 5)


def test_the_same_row_twice_is_harmless(prepare, casme2, sheet, tmp_path):
    edit(sheet, lambda page: page.append(trees.CASME2_ROWS[0]))
    assert prepare("casme2", "--input", casme2) == 0
    assert "the same as row 2" in (tmp_path / "out" / "report.md").read_text()


def test_two_folders_of_one_id(refused, casme2):
    shutil.copytree(casme2, casme2.parent / "RAW_selected")
    line = refused("casme2", "--input", casme2.parent)
    assert "two folders of one id" in line and "point --input at one" in line


def test_two_files_of_one_frame(refused, casme2):
    trees.write_frames(casme2 / "sub01" / "EP02_01f", [46], "img{}.jpg")
    assert "img46.jpg and reg_img46.jpg both count as frame 46" in refused(
        "casme2", "--input", casme2
    )


def test_a_clip_that_cannot_be_decoded_is_dropped(prepare, casme2, tmp_path):
    (casme2 / "sub01" / "EP02_01f" / "reg_img49.jpg").write_bytes(b"broken")
    assert prepare("casme2", "--input", casme2) == 0
    page = (tmp_path / "out" / "report.md").read_text()
    assert "reg_img49.jpg: not an image that OpenCV can read" in page
    assert "**Warning: no clip of class happiness.**" in page
    assert len(LabelledPairs(tmp_path / "out", 32)) == 4


def test_lists_of_damaged_frames(refused, casme2, tmp_path):
    casme3 = trees.casme3(tmp_path / "casme3")
    listed = tmp_path / "list.txt"
    start = ("casme3", "--input", casme3, "--damaged")
    assert "list.txt: No such file or directory; check --damaged" in refused(*start, listed)
    listed.write_text("spNO.1 the whole video\n")
    line = refused(*start, listed)
    assert "list.txt, line 1: 'spNO.1 the whole video' names no frame, nor does any other" in line
    assert "(such as spNO.1/a/color/175.jpg); check --damaged" in line
    line = refused("casme2", "--input", casme2, "--damaged", listed)
    assert "there are no such lists for casme2" in line


def test_an_empty_class_is_a_warning(prepare, casme2, sheet, capsys):
    edit(sheet, lambda page: page.delete_rows(2))
    assert prepare("casme2", "--input", casme2) == 0
    assert "warning: no clip of class happiness" in capsys.readouterr().out


def test_no_face_anywhere(casme2, capsys, tmp_path):
    assert main(["prepare", "casme2", f"--input={casme2}", f"--output={tmp_path / 'out'}"]) == 2
    assert "no face found in any of 5 clips; use --crop center" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("casme2", "--classes", "4"), "--classes 4: casme2 has 5 or 3 classes"),
        (("casme2", "--apex", "middle"), "--apex 'middle': choose midpoint, auto"),
        (("casme2", "--frames", "9"), "--frames is for `synthetic` alone"),
        (("casme2", "--input", "more"), "casme2 takes one --input"),
        (("frames", "--lenient"), "--lenient is for labelled sets"),
        (("frames", "--classes", "3"), "--classes is for labelled sets"),
        (("casme", "--classes", "3"), "did you mean 'casme"),
    ],
)
def test_flags_that_do_not_fit(refused, casme2, words, reason):
    assert reason in refused(words[0], "--input", casme2, *words[1:])


def test_the_composite_needs_each_of_its_sets(prepare, refused, casme2, tmp_path):
    samm, smic = trees.samm(tmp_path / "samm"), trees.smic(tmp_path)
    line = refused("megc2019", "--input", casme2)
    assert "megc2019 takes --input NAME=PATH for each set" in line
    line = refused("megc2019", "--input", f"casme2={casme2}", f"smic={smic}")
    assert "needs --input casme2=DIR samm=DIR smic=DIR; samm is missing" in line
    line = refused("megc2019", "--input", f"casme={casme2}", f"smic={smic}")
    assert "--input casme=...: megc2019 is of casme2, samm, smic" in line
    line = refused("megc2019", "--input", f"smic={casme2}", f"smic={smic}")
    assert "--input smic= is given twice" in line
    all_three = ["--input", f"casme2={casme2}", f"samm={samm}", "--input", f"smic={smic}"]
    assert "megc2019 has 3 classes" in refused("megc2019", *all_three, "--classes", "5")
    sheet = samm / "SAMM_Micro_FACS_Codes_v2.xlsx"
    sheet.rename(tmp_path / "elsewhere.xlsx")
    assert "no sheet of SAMM" in refused("megc2019", *all_three)
    given = f"--annotation=samm={tmp_path / 'elsewhere.xlsx'}"
    assert prepare("megc2019", *all_three, given) == 0
    assert len(LabelledPairs(tmp_path / "out", 32)) == 10


def test_smic_names_and_folders_that_disagree(refused, tmp_path):
    smic = trees.smic(tmp_path)
    (smic / "HS/s1/micro/surprise/s1_sur_02").rename(smic / "HS/s1/micro/surprise/s1_ne_02")
    line = refused("smic", "--input", smic)
    assert "s1_ne_02 is in the folder surprise, but its name says negative" in line


def test_smic_long_without_a_sheet(refused, tmp_path):
    frames = trees.smic_long(tmp_path)
    (tmp_path / "SMIC-HS-E_annotation.xlsx").unlink()
    assert "no sheet of SMIC-HS in it" in refused("smic", "--input", frames)


def test_formulas_whose_results_were_not_saved(refused, tmp_path):
    frames = trees.smic_long(tmp_path, results={"D3": 108})
    line = refused("smic", "--input", frames)
    assert "row 2 (14 s14_ne_01): offset is the formula =C2+E2-1 without a result; open" in line
