"""Sheets by the names of their columns, wherever the header stands."""

import base64
import datetime
import logging
import zipfile
import zlib

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mubert_jax.data.labelled.labelled_set import COLUMNS
from mubert_jax.data.labelled.sheets import Row, read_rows
from mubert_jax.errors import UserError

from . import trees

NEEDED = {name: COLUMNS[name] for name in ("subject", "clip", "onset")}


@given(st.permutations(["Subject", "File_name", "ONSET frame", "Notes", ""]), st.integers(0, 5))
def test_order_spelling_and_preamble_do_not_matter(tmp_path_factory, header, lines):
    cells = {"Subject": "1", "File_name": "a", "ONSET frame": "7", "Notes": "n", "": ""}
    path = tmp_path_factory.mktemp("sheet") / "x.csv"
    text = ["Some words, with a comma"] * lines + [",".join(header)]
    path.write_text("\n".join([*text, ",,,,", ",".join(cells[name] for name in header)]))
    found = {"subject": "1", "clip": "a", "onset": "7"}
    assert read_rows(path, NEEDED) == [Row(lines + 3, found, others={"Notes": "n"})]


def test_numbers_of_rows_are_those_of_the_spreadsheet(tmp_path):
    path = trees.write_sheet(
        tmp_path / "x.xlsx",
        [("1", "a", 5), (), ("2", "b", 6.0)],
        ("Subject", "Clip", "Onset"),
        [()],
    )
    rows = read_rows(path, NEEDED)
    assert [row.number for row in rows] == [3, 5]
    assert [row.text("onset") for row in rows] == ["5", "6"]
    assert rows[0].text("apex") == ""


FEW = {name: COLUMNS[name] for name in ("subject", "clip", "onset", "emotion")}
OLD_WORKBOOK = (
    r"c-rk)O-NKx6#nk}8AtPH##GQi2B9C#MSoBmn@UVt_>(P)2x>-Wp-wY0O$%F;WwQ)|Rz(}bO&hCC|3yKI7J*TVAPB"
    r"T*)hZ}xp}x*J@4abeGH@UT>wS-V?!D)nd+xpGo_pVY@AY(WX5vo6EDEq2Iu@)__;PrPQmI=BfaI3NMK||TvOKIRl"
    r"=^8QeI_1Nyei=}<n^9~hTFz-qQFN=$1sBKWFi(?LF|(;L==yqO&Jt>8m?2SM7@lwT4=w}wL))+?qi{QgmXz~8|lu"
    r"dqnHkNx9oD__=wgdvPz-~_oU5x;cP`MUUD3tyR2+o6MIvGk@zYTG#cfY1TAT2ED=jZ;xnkBwVlLwD+GLVH}SKO$6"
    r"r~#0`Y(3^Gp7~_tPO;$iJc)z!<C(iX%6J3N#xmG0}CPy{{*OH5m7C9Oy{K2j<XD8uqD8v2f^gbST!JrUvct!4VVa"
    r"Nt}wMNzidJnI23gD1;(9Fq9mnQk1sCj-5odY%60Ea!>^F4vGrdKIKFQP$lJ{Y@z@SeeUMhH(k-*@Nwac$;-ihg{<"
    r"c(z`}WML5(YgYl@sDEz)AM&<kR9os=7d){rLU8+vP<!v1m5xhT>N)X#Ro+wjJm@+K;0z8t*YnE4cLrt(zh?3tRWc"
    r"i{;%k#h#9JwM}URjumURmOv`n=9wA`5?6Zw}Z#81!M*WEayF0g?W?-FDMMV#@<ocn&$Y*uIW_M9a~y~t+QI0@Pgu"
    r"V*0(*)zOrR(>tR;LwoJ#Co?|OSww}`5b!S|xt&1gJw#Jrtc}<P=bQv+*;lA{O`59t|*Yyc`h>z%M+<3tj>WHV|vo"
    r"lZKzEEh@xXaU^!}%AMJF;BK>WwTc5?RQLEaXKN@*)e_$P)i!G5>q;;K73j4<7zAD7i4exhUG#aG(9PApdpdDJ^)v"
    r"N&Z>%AxTe~zA`(Ipge`qqT;6xrgCkmCAM+@7cvf0?<ou;D&rU~I)3Q_t#aqH<c5L2w}p!Bf1#LhE_44s0lGX6*8"
)
"""An .xls with a merged subject, a hidden row, a date for a clip, a boolean and a hidden sheet."""


def book(path, rows, change=lambda sheet: None):
    """A workbook of one sheet, as `change` leaves it."""
    made = openpyxl.Workbook()
    for row in (("Subject", "Clip", "Onset", "Emotion"), *rows):
        made.active.append(row)
    change(made.active)
    made.save(path)
    return path


def texts(rows) -> list[tuple[str, ...]]:
    return [tuple(row.text(name) for name in FEW) for row in rows]


def test_merged_cells_are_all_filled(tmp_path):
    rows = [
        ("S1", "a", 1, "joy"),
        (None, "b", 2, None),
        (None, "c", 3, "fear"),
        ("S2", "d", 4, "x"),
    ]

    def merge(sheet):
        sheet.merge_cells("A2:A4")
        sheet.merge_cells("D2:D3")

    assert texts(read_rows(book(tmp_path / "x.xlsx", rows, merge), FEW)) == [
        ("S1", "a", "1", "joy"),
        ("S1", "b", "2", "joy"),
        ("S1", "c", "3", "fear"),
        ("S2", "d", "4", "x"),
    ]


def test_a_header_of_two_rows(tmp_path):
    made = openpyxl.Workbook()
    for row in (
        ("Some title",),
        ("Subject", "Clip", "Frames", None, "Emotion"),
        (None, None, "Onset", "Apex", None),
        ("S1", "a", 1, 2, "joy"),
    ):
        made.active.append(row)
    made.active.merge_cells("C2:D2")
    made.save(tmp_path / "loose.xlsx")
    for column in "ABE":
        made.active.merge_cells(f"{column}2:{column}3")
    made.save(tmp_path / "merged.xlsx")
    for name in ("loose.xlsx", "merged.xlsx"):
        (row,) = read_rows(tmp_path / name, FEW)
        assert (row.number, texts([row])) == (4, [("S1", "a", "1", "joy")])
    (tmp_path / "x.csv").write_text("Subject,Clip,Onset,Emotion\n,,frame,\nS1,a,1,joy\n")
    assert texts(read_rows(tmp_path / "x.csv", FEW))[-1] == ("S1", "a", "1", "joy")
    (tmp_path / "y.csv").write_text("Subject;Clip;Onset;Emotion\n;;Frame;\nS1;a;1;joy\n")
    spelt = FEW | {"onset": ("Onset frame",)}
    assert texts(read_rows(tmp_path / "y.csv", spelt)) == [("S1", "a", "1", "joy")]


def test_hidden_rows_are_read_and_counted(tmp_path, caplog):
    def hide(sheet):
        sheet.auto_filter.ref = "A1:D3"
        sheet.row_dimensions[3].hidden = True
        sheet.column_dimensions["C"].hidden = True

    path = book(tmp_path / "x.xlsx", [("1", "a", 1, "joy"), ("2", "b", 2, "joy")], hide)
    with caplog.at_level(logging.WARNING):
        assert [row.number for row in read_rows(path, FEW)] == [2, 3]
    assert "1 hidden row is read, too" in caplog.text


def test_a_hidden_sheet_counts_where_no_other_fits(tmp_path):
    path = book(tmp_path / "x.xlsx", [("1", "a", 1, "joy")])
    made = openpyxl.load_workbook(path)
    copy = made.copy_worksheet(made.active)
    copy.title, copy.sheet_state, copy["B2"] = "old", "hidden", "z"
    made.save(path)
    assert texts(read_rows(path, FEW)) == [("1", "a", "1", "joy")]
    made.create_sheet("empty").append(("Subject", "Clip", "Onset", "Emotion"))
    made.save(path)
    assert texts(read_rows(path, FEW)) == [("1", "a", "1", "joy")]
    made.remove(made["empty"])
    made.active["B1"] = "?"
    made.save(path)
    assert texts(read_rows(path, FEW)) == [("1", "z", "1", "joy")]


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (7, "7"),
        (7.0, "7"),
        ("7.0", "7"),
        ("'07", "07"),
        ("'07'", "07"),
        ("'7.0", "7"),
        ("'tis", "'tis"),
        (" 07\u00a0", "07"),
        ("\u200b07\ufeff", "07"),
        (True, "True"),
        (None, ""),
        ("#N/A", "#N/A"),
        (1.2e3, "1200"),
    ],
)
def test_cells_as_text(tmp_path, cell, text):
    (row,) = read_rows(book(tmp_path / "x.xlsx", [(cell, "a", 1, "joy")]), FEW)
    assert row.text("subject") == text


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        (datetime.date(2024, 3, 1), r"subject is a date \(2024-03-01\).*such as 3-1"),
        (datetime.datetime(2024, 3, 1), r"subject is a date \(2024-03-01\)"),
        (datetime.time(3, 10), "subject is a date"),
        (datetime.timedelta(hours=3), "subject is a date"),
        ("#REF!", "subject is #REF!, an error in the sheet"),
        ("=VLOOKUP(1,A:B,2)", r"subject is the formula =VLOOKUP.* without a result; open"),
    ],
)
def test_rows_with_a_problem(tmp_path, cell, words):
    path = book(tmp_path / "x.xlsx", [("1", "a", 1, "joy"), (cell, "b", 2, "joy")])
    with pytest.raises(UserError, match=rf"x.xlsx: row 3: {words}"):
        read_rows(path, FEW)
    noted = read_rows(path, FEW, ("subject",))
    assert texts(noted) == [("1", "a", "1", "joy"), ("", "b", "2", "joy")]
    assert noted[0].notes == () and "not used" in noted[1].notes[0]
    rows = read_rows(path, FEW, with_problems=True)
    assert [bool(row.problem) for row in rows] == [False, True]


def test_an_old_workbook(tmp_path, caplog):
    for name in ("x.xls", "x.xlsx"):
        (tmp_path / name).write_bytes(zlib.decompress(base64.b85decode(OLD_WORKBOOK)))
        rows = read_rows(tmp_path / name, FEW, with_problems=True)
        assert [row.number for row in rows] == [3, 4, 5]
        assert texts(rows) == [
            ("1", "a", "46", "joy"),
            ("1", "b", "47", "True"),
            ("02", "", "5", ""),
        ]
        assert "clip is a date" in rows[2].problem
    assert "1 hidden row is read, too" in caplog.text


def test_documents_that_are_no_workbook(tmp_path):
    path = tmp_path / "x.xlsx"

    def refused():
        with pytest.raises(UserError) as error:
            read_rows(path, FEW)
        assert "\n" not in str(error.value)
        return str(error.value)

    with zipfile.ZipFile(path, "w") as parts:
        parts.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
    assert "not a workbook of Excel; open it in a spreadsheet program and save" in refused()
    whole = book(path, [("1", "a", 1, "joy")]).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert "cannot be read as a workbook" in refused()
    path.write_bytes(b"\xd0\xcf\x11\xe0" + b"\0" * 600 + "EncryptedPackage".encode("utf-16-le"))
    assert "protected by a password; save a copy without one" in refused()
    path.write_bytes(b"\xd0\xcf\x11\xe0" + b"\0" * 600)
    assert "cannot be read as a workbook" in refused()
    path.write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256)))
    assert "not a table that can be read" in refused() or "cannot be read" in refused()
    openpyxl.Workbook().save(path)
    assert "no cell is filled" in refused()
    path.unlink()
    path.mkdir()
    assert "no such annotation file" in refused()


def test_one_cell_far_away_does_not_matter(tmp_path):
    def stray(sheet):
        sheet["XFD1048576"] = "x"

    path = book(tmp_path / "x.xlsx", [("1", "a", 1, "joy")], stray)
    assert texts(read_rows(path, FEW)) == [("1", "a", "1", "joy")]


@settings(max_examples=25, deadline=None)
@given(st.binary(max_size=300) | st.text(max_size=200).map(lambda text: text.encode("utf-16")))
def test_any_bytes_are_rows_or_one_line(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("any") / "x.csv"
    path.write_bytes(b"Subject,Clip,Onset,Emotion\n" + content)
    try:
        assert all(row.number > 1 for row in read_rows(path, FEW))
    except UserError as error:
        assert "\n" not in str(error)
