"""Sheets by the names of their columns, wherever the header stands."""

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mubert_jax.data.labelled.formulas import solved
from mubert_jax.data.labelled.grid import Unsolved
from mubert_jax.data.labelled.labelled_set import COLUMNS
from mubert_jax.data.labelled.sheets import Row, read_rows

from . import trees

NEEDED = {name: COLUMNS[name] for name in ("subject", "clip", "onset")}


@given(st.permutations(["Subject", "File_name", "ONSET frame", "Notes", ""]), st.integers(0, 5))
def test_order_spelling_and_preamble_do_not_matter(tmp_path_factory, header, lines):
    cells = {"Subject": "1", "File_name": "a", "ONSET frame": "7", "Notes": "n", "": ""}
    path = tmp_path_factory.mktemp("sheet") / "x.csv"
    text = ["Some words, with a comma"] * lines + [",".join(header)]
    path.write_text("\n".join([*text, ",,,,", ",".join(cells[name] for name in header)]))
    assert read_rows(path, NEEDED) == [Row(lines + 3, {"subject": "1", "clip": "a", "onset": "7"})]


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


@pytest.mark.parametrize(
    ("formula", "value"),
    [
        ("=A1+B1-1", 11),
        ("=$A$1*2", 20),
        ("=SUM(A1,B1)", 12),
        ("=C1+1", 14),
        ("=A1/0", None),
        ("=SUM(A1:B1)", None),
        ("=NOW()", None),
        ("=Z9+1", None),
        ("=D1", None),
    ],
)
def test_formulas_without_results(formula, value):
    sheet = openpyxl.Workbook().active
    sheet.append([10, 2, "=A1+3", formula])
    assert solved(sheet, formula) == (Unsolved(formula) if value is None else value)
