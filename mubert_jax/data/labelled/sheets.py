"""Rows of an annotation sheet (.xlsx, .xls, .csv) by the names of their columns.

Copies of one sheet differ: lines above the header, blank columns, other spellings, other sheets in
the workbook. So the header is looked for, and columns are taken by name alone.
"""

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mubert_jax.data.labelled.formulas import Formulas
from mubert_jax.errors import UserError

SHEET_SUFFIXES = (".xlsx", ".xlsm", ".xls", ".csv", ".tsv")
_HEADER_WITHIN = 60
_WHOLE = re.compile(r"\d+\.0")


@dataclass(frozen=True)
class Row:
    """One annotated row: `number` as a spreadsheet program shows it, and cells by column.

    A cell is as stored (int, float, str); "" where it is blank or the sheet lacks the column.
    """

    number: int
    cells: Mapping[str, object]

    def text(self, column: str) -> str:
        """The cell as text without blanks around it; a whole number has no ".0"."""
        cell = self.cells.get(column, "")
        text = "" if cell is None or cell != cell else str(cell).strip()
        return text[:-2] if _WHOLE.fullmatch(text) else text


def read_rows(
    path: Path,
    columns: Mapping[str, Sequence[str]],
    optional: Sequence[str] = (),
    sheet: str | None = None,
) -> list[Row]:
    """The rows below the header that has all columns; rows that are blank in them are left out.

    Args:
      path: the file.
      columns: what is read -> how its header may be spelt, the likeliest first; capitals, blanks
        and signs do not count.
      optional: the columns that a sheet may lack.
      sheet: the one to take where a workbook has it.

    Raises:
      UserError: no such file, not a table, no sheet with the columns, or several.
    """
    sheets = _tables(path)
    if named := [name for name in sheets if sheet is not None and _plain(name) == _plain(sheet)]:
        sheets = {named[0]: sheets[named[0]]}
    headers = {name: _header(table, columns, optional) for name, table in sheets.items()}
    fitting = [name for name, header in headers.items() if not header.missing]
    if not fitting:
        raise _no_header(path, headers, columns)
    if len(fitting) > 1:
        raise UserError(
            f"{path}: {len(fitting)} sheets could be meant ({', '.join(fitting)}); "
            "delete all but one in a copy of the file"
        )
    header, table = headers[fitting[0]], sheets[fitting[0]]
    rows = []
    for index, line in enumerate(table[header.row + 1 :], header.row + 1):
        cells = {name: line[at] for name, at in header.places.items() if at < len(line)}
        if any(str(cell).strip() for cell in cells.values()):
            rows.append(Row(index + 1, cells))
    return rows


@dataclass(frozen=True)
class _Header:
    row: int
    places: dict[str, int]
    missing: list[str]


def _plain(name: object) -> str:
    return re.sub(r"[^a-z0-9]", "", str(name).lower())


def _header(table, columns, optional) -> _Header:
    best = _Header(0, {}, [name for name in columns if name not in optional])
    for row, line in enumerate(table[:_HEADER_WITHIN]):
        cells = [_plain(cell) for cell in line]
        places = {}
        for name, spellings in columns.items():
            known = [_plain(s) for s in spellings if _plain(s) in cells]
            if known:
                places[name] = cells.index(known[0])
        missing = [name for name in columns if name not in places and name not in optional]
        if len(missing) < len(best.missing):
            best = _Header(row, places, missing)
        if not missing:
            break
    return best


def _no_header(path: Path, headers: Mapping[str, _Header], columns) -> UserError:
    name, nearest = min(headers.items(), key=lambda item: len(item[1].missing))
    lacking = ", ".join(
        f"{column} ({' or '.join(map(repr, columns[column][:2]))})" for column in nearest.missing
    )
    if not nearest.places:
        return UserError(
            f"{path}: no header row in its first {_HEADER_WITHIN} rows; it needs the columns "
            f"{lacking}; is it the right file?"
        )
    where = f"row {nearest.row + 1} of sheet {name!r}" if name else f"row {nearest.row + 1}"
    return UserError(
        f"{path}: the header in {where} has no column {lacking}; is it the right file and sheet?"
    )


def _tables(path: Path) -> dict[str, list[list[object]]]:
    if not path.is_file():
        raise UserError(f"{path}: no such annotation file; check --annotation")
    if path.suffix.lower() not in SHEET_SUFFIXES:
        raise UserError(
            f"{path}: not a table that can be read; give one of {' '.join(SHEET_SUFFIXES)}"
        )
    if path.suffix.lower() in (".csv", ".tsv"):
        return {"": _read_csv(path)}
    import pandas

    try:
        frames = pandas.read_excel(
            path, sheet_name=None, header=None, dtype=object, keep_default_na=False
        )
        tables = {str(name): frame.values.tolist() for name, frame in frames.items()}
        if path.suffix.lower() != ".xls":
            Formulas(path).fill(tables)
    except Exception as error:  # each engine has errors of its own for a damaged workbook
        raise UserError(
            f"{path}: cannot be read as a workbook ({type(error).__name__}); "
            "open it in a spreadsheet program and save it as .xlsx"
        ) from error
    return tables


def _read_csv(path: Path) -> list[list[object]]:
    encoded = path.read_bytes()
    for encoding in ("utf-8-sig", "latin-1"):
        try:
            text = encoded.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    delimiter = max(",;\t", key=text[:4096].count)
    return [list(line) for line in csv.reader(text.splitlines(), delimiter=delimiter)]
