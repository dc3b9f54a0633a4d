"""A table of pairs as other programs and countries write it gives the pairs of the plain one."""

import unicodedata
from pathlib import Path

import openpyxl
import pytest

from mubert_jax.data.labelled.collected import PairOptions
from mubert_jax.data.labelled.matching import RESPELT
from mubert_jax.data.labelled.pair_table import PairTable
from mubert_jax.errors import UserError

from . import trees

HEADER = ("onset", "apex", "label", "subject")
ROWS = [(f"c{i}/img1.png", f"c{i}/img5.png", "ab"[i % 2], f"p{i // 2}") for i in range(4)]


@pytest.fixture
def folder(tmp_path):
    for i in range(4):
        trees.write_frames(tmp_path / f"c{i}", (1, 5), "img{}.png")
    return tmp_path


def collect(table: Path, lenient: bool = False):
    return PairTable().collect(None, table, PairOptions(lenient=lenient))


def pairs(table: Path, lenient: bool = False) -> list[tuple]:
    """(onset, apex, label, subject) of each clip, the files below the table's folder."""
    return [
        (
            *(path.relative_to(table.parent).as_posix() for path in clip.frames.files),
            clip.intervals[0].class_name,
            clip.intervals[0].annotation.subject,
        )
        for clip in collect(table, lenient).clips
    ]


def write(folder: Path, text: str, encoding: str = "utf-8", name: str = "t.csv") -> Path:
    (folder / name).write_bytes(text.encode(encoding))
    return folder / name


def lines(delimiter: str = ",", rows=ROWS, header=HEADER, end: str = "\n") -> str:
    return end.join(delimiter.join(map(str, row)) for row in (header, *rows)) + end


def quoted(rows) -> list[list[str]]:
    return [[f'"{cell}"' for cell in row] for row in rows]


WITH_UNITS = [(*row, "1, 2, 4, 7, 12, 25") for row in ROWS]
LOOKS = [(row[0], row[1], "looks away… then back", *row[2:]) for row in ROWS]


@pytest.mark.parametrize(
    "text",
    [
        lines(),
        lines(end="\r\n"),
        lines(end="\r"),
        lines(";"),
        lines("\t"),
        lines("|"),
        lines(" "),
        lines("   "),
        lines(", "),
        lines(" ; "),
        "sep=;\n" + lines(";"),
        '"sep=|"\r\n' + lines("|", end="\r\n"),
        lines(";", WITH_UNITS, (*HEADER, "AU")),
        lines(",", quoted(WITH_UNITS), quoted([(*HEADER, "AU")])[0]),
        lines("\t", [(*row, "a, b; c, d; e, f") for row in ROWS], (*HEADER, "note")),
        lines(",", LOOKS, ("onset", "apex", "note", "label", "subject")),
        lines(",", [(*row, '"two\nlines, and ""more"""') for row in ROWS], (*HEADER, "note")),
        lines(",", [(*row, "") for row in ROWS], (*HEADER, "")),
        lines(",", [(*row, "") for row in ROWS]),
        lines(",", [(i, *row) for i, row in enumerate(ROWS)], ("", *HEADER)),
        lines(",", [(i, *row) for i, row in enumerate(ROWS)], ("Unnamed: 0", *HEADER)),
        lines(" ", quoted((i, *row) for i, row in enumerate(ROWS, 1)), quoted([HEADER])[0]),
        lines("\t", quoted((i, *row) for i, row in enumerate(ROWS, 1)), quoted([HEADER])[0]),
        lines(",", [(f'="{a}"', b, c, d) for a, b, c, d in ROWS]),
        lines(",", [(a, b, f" {c}\u00a0", f"\u200b{d}\ufeff") for a, b, c, d in ROWS]),
        lines(",", [(f"\u202a{a}", b, c, d) for a, b, c, d in ROWS]),
        lines(",", ROWS, ("\u200bonset", "apex\u00a0", "\ufeffLabel", "ＳＵＢＪＥＣＴ")),
        lines(",", ROWS, ('"Onset\npath"', "Apex-file", "CLASS", "Subject")),
        "My clips, of May\n\n\n" + lines(),
        lines(rows=ROWS[:2]) + lines(rows=ROWS[2:]),
        lines().replace("\n", "\n\n") + ",,,\n , ,\u00a0,\n",
        lines(",", [(a.replace("/", "\\"), b.replace("/", "\\"), c, d) for a, b, c, d in ROWS]),
        lines(",", [(f".\\{a}", f"./{b}", c, d) for a, b, c, d in ROWS]),
        lines(",", [(f"'{a}'", b, c, d) for a, b, c, d in ROWS]),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_delimiters_quotes_and_row_names(folder, text, encoding):
    assert pairs(write(folder, text, encoding)) == ROWS


@pytest.mark.parametrize(
    "encoding", ["utf-16-le", "utf-16-be", "utf-32", "cp1252", "latin-1", "gb18030", "mac_roman"]
)
def test_ascii_in_any_encoding(folder, encoding):
    assert pairs(write(folder, lines("\t"), encoding, "t.txt")) == ROWS


def test_the_ellipsis_of_windows_ends_no_row(folder):
    text = lines(",", LOOKS, ("onset", "apex", "note", "label", "subject"))
    assert pairs(write(folder, text, "cp1252")) == ROWS


@pytest.mark.parametrize("sign", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029"])
def test_signs_that_are_lines_to_python_alone(folder, sign):
    rows = [(*row, f"one{sign}two") for row in ROWS]
    assert pairs(write(folder, lines(",", rows, (*HEADER, "note")))) == ROWS


@pytest.mark.parametrize(
    ("encoding", "person", "label"),
    [
        ("gbk", "张三", "高兴"),
        ("gb18030", "李四", "厌恶"),
        ("cp932", "田中", "喜び"),
        ("cp932", "ソニー表", "驚き"),
        ("cp949", "김철수", "기쁨"),
        ("cp950", "王小明", "高興"),
        ("cp1252", "Müller", "dégoût"),
        ("cp1252", "Æ", "Überraschung"),
        ("cp1250", "Łódź", "złość"),
        ("cp1251", "Иван", "радость"),
        ("mac_roman", "Müller", "dégoût"),
        ("utf-16", "张三", "高兴"),
        ("utf-8", "张三", "高兴"),
    ],
)
def test_the_encoding_is_the_one_whose_files_are_there(folder, encoding, person, label):
    trees.write_frames(folder / person, (1, 5), "img{}.png")
    rows = [*ROWS, (f"{person}/img1.png", f"{person}/img5.png", label, person)]
    table = write(folder, lines(",", rows), encoding)
    assert pairs(table) == [*ROWS, rows[-1]]
    assert pairs(write(folder, lines(",", rows[-1:]), encoding)) == rows[-1:]


def test_an_encoding_that_nothing_tells_is_asked_for(folder):
    rows = [(a, b, "기쁨", d) for a, b, _, d in ROWS]
    with pytest.raises(UserError, match=r'row 2 may say .* or .*save it as "CSV UTF-8"$') as error:
        pairs(write(folder, lines(",", rows), "cp949"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("label", ["dégoût", "Überraschung", "créée", "alegría"])
def test_the_words_of_western_europe_are_known_by_their_looks(folder, label):
    rows = [(a, b, label, d) for a, b, _, d in ROWS]
    assert {pair[2] for pair in pairs(write(folder, lines(";", rows), "cp1252"))} == {label}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the file is empty"),
        (" \r\n\r\n", "the file is empty"),
        ("onset,apex,label\n", "has no column subject"),
        ("onset;apex;label\n", "has no column subject"),
        ("<html><table><tr><td>onset", "a web page under the name of a sheet"),
        ('\ufeff<?xml version="1.0"?>', "a web page under the name of a sheet"),
        (lines(",", [ROWS[0], ('"c1/img1.png', *ROWS[1][1:])]), "row 3: a quotation mark"),
        (
            lines(",", [*ROWS, ("c0/a", "b", "away, then", "a", "p0")]),
            "row 6 .*6 cells below a header of 4",
        ),
        (lines(",", [('"c0/\nx.png"', *ROWS[0][1:])]), "no such file"),
        (lines(",", [(*ROWS[0][:3], '"p\n0"'), (*ROWS[0][:3], "p 0")]), "two rows of one clip"),
        (lines(",", [("3-1", *ROWS[0][1:])]), "file"),
        (lines(",", [(*ROWS[0][:3], "1-Mar")]), r"row 2 .*subject is a date \(1-Mar\)"),
        (lines(",", [(*ROWS[0][:3], "Jan-03")]), "subject is a date"),
        (lines(",", [(*ROWS[0][:3], "#REF!")]), "subject is #REF!, an error in the sheet"),
        (lines(",", [(*ROWS[0][:3], "########")]), "an error in the sheet"),
        (lines(",", [(*ROWS[0][:3], "NA")]), r"row 2 .*no subject \(NA\)"),
        (lines(",", [(*ROWS[0][:2], "NaN", "p0")]), r"no label \(NaN\)"),
        (lines(",", [(*ROWS[0][:2], "#N/A", "p0")]), r"no label \(#N/A\)"),
        (lines(",", [("", *ROWS[0][1:])]), "row 2 .*no onset"),
        (lines(",", ROWS, ("onset", "apex", "label", "label")), "no column subject"),
        (
            lines(",", [(*row, "x") for row in ROWS], (*HEADER, "Label")),
            "has label in the columns 3 and 5, which differ",
        ),
    ],
)
def test_what_cannot_be_right_is_one_line(folder, text, words):
    with pytest.raises(UserError, match=words) as error:
        pairs(write(folder, text))
    assert str(error.value).startswith(str(folder / "t.csv")) and "\n" not in str(error.value)


@pytest.mark.parametrize("bad", ["NA", "1-Mar", "#REF!", ""])
def test_one_bad_row_is_left_out_of_a_lenient_run(folder, bad):
    for column in (2, 3):
        row = [*ROWS[0]]
        row[column] = bad
        table = write(folder, lines(",", [row, *ROWS[1:]]))
        found = collect(table, lenient=True)
        assert [drop.row for drop in found.dropped] == [2]
        assert found.classes == ("a", "b") and pairs(table, lenient=True) == ROWS[1:]


def test_a_column_that_is_there_twice_with_the_same_cells(folder):
    table = write(folder, lines(",", [(*r, r[2]) for r in ROWS], (*HEADER, "LABEL")))
    assert pairs(table) == ROWS
    assert pairs(write(folder, lines(",", [(*r, "") for r in ROWS], (*HEADER, "Label")))) == ROWS


@pytest.mark.parametrize(("fps", "value"), [("29,97", 29.97), ("200.0", 200.0), ("NA", 0.0)])
def test_numbers_of_other_countries(folder, fps, value):
    found = collect(write(folder, lines(";", [(*r, fps) for r in ROWS], (*HEADER, "fps"))))
    assert {clip.intervals[0].fps for clip in found.clips} == {value}


def test_capitals_are_found_and_told(folder):
    rows = [(a.upper(), b.replace("img", "IMG"), c, d) for a, b, c, d in ROWS]
    table = write(folder, lines(",", rows))
    assert pairs(table) == ROWS
    assert {clip.intervals[0].repairs for clip in collect(table).clips} == {(RESPELT,)}


@pytest.mark.parametrize("disk", ["NFC", "NFD"])
def test_accents_of_a_mac_are_found(folder, disk):
    trees.write_frames(folder / unicodedata.normalize(disk, "Zoé"), (1, 5), "img{}.png")
    for form in ("NFC", "NFD"):
        name = unicodedata.normalize(form, "Zoé")
        table = write(folder, lines(",", [(f"{name}/img1.png", f"{name}\\img5.png", "a", "z")]))
        assert len(pairs(table)) == 1


def test_an_exact_name_wins_and_two_others_are_refused(folder):
    trees.write_frames(folder / "c0", (1,), "IMG{}.png")
    assert pairs(write(folder, lines())) == ROWS
    rows = [("c0/Img1.png", *ROWS[0][1:])]
    with pytest.raises(UserError, match="no such file, but IMG1.png and img1.png"):
        pairs(write(folder, lines(",", rows)))


@pytest.mark.parametrize("head", ["C:\\Users\\me\\data\\", "\\\\server\\share\\", "/home/me/data/"])
def test_paths_of_another_computer(folder, head):
    rows = [(head + row[0], *row[1:]) for row in ROWS]
    with pytest.raises(UserError, match="no such file on this computer; c0/img1.png is there"):
        pairs(write(folder, lines(",", rows)))
    with pytest.raises(UserError, match="on this computer; give paths relative to the table's"):
        pairs(write(folder, lines(",", [(head + "x.png", *ROWS[0][1:])])))


@pytest.mark.parametrize(
    "name", ["c0", "c0/", "c0/absent.png", "x" * 300 + ".png", "c0\0/img1.png"]
)
def test_names_of_no_file(folder, name):
    with pytest.raises(UserError, match="no such file|a folder, not an image|not a table"):
        pairs(write(folder, lines(",", [(name, *ROWS[0][1:])])))


def test_an_absolute_path_of_this_computer(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder))
    assert pairs(write(folder, lines(",", [(f"~/{ROWS[0][0]}", *ROWS[0][1:])]))) == ROWS[:1]
    rows = [(folder / row[0], *row[1:]) for row in ROWS]
    assert pairs(write(folder, lines(",", rows))) == ROWS


def test_a_table_under_a_wrong_suffix(folder):
    for name in ("t.xls", "t.xlsx", "t.txt", "t.dat", "table"):
        assert pairs(write(folder, lines(), "utf-8", name)) == ROWS
    book = openpyxl.Workbook()
    for row in (HEADER, *ROWS):
        book.active.append(row)
    for name in ("w.xlsx", "w.xls", "w.csv"):
        book.save(folder / "x.xlsx")
        (folder / "x.xlsx").rename(folder / name)
        assert pairs(folder / name) == ROWS
