"""Workbooks (.xlsx, .xls) as grids of cells; cells merged over rows hold it in each."""

import io
import warnings
import zipfile
from pathlib import Path

from mubert_jax.data.labelled.formulas import solved
from mubert_jax.data.labelled.grid import Grid
from mubert_jax.errors import UserError

ZIP = b"PK\x03\x04"
OLD = b"\xd0\xcf\x11\xe0"
RESAVE = "open it in a spreadsheet program and save it as .xlsx"


def read_workbook(path: Path, start: bytes) -> dict[str, Grid]:
    """Its sheets by name, in order, empty ones left out.

    Args:
      path: the file.
      start: its first bytes, `ZIP` or `OLD`, which tell the kind whatever the file is called.

    Raises:
      UserError: another kind of document, damaged, protected by a password.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about styles and charts, which are not looked at
            sheets = _read_new(path) if start == ZIP else _read_old(path)
    except UserError:
        raise
    except Exception as error:  # the libraries have errors of their own for a damaged workbook
        raise UserError(
            f"{path}: cannot be read as a workbook ({type(error).__name__}); {RESAVE}"
        ) from error
    return {name: grid for name, grid in sheets.items() if grid.lines}


def _read_new(path: Path) -> dict[str, Grid]:
    import openpyxl

    with zipfile.ZipFile(path) as parts:
        if not any(name.startswith("xl/") for name in parts.namelist()):
            raise UserError(f"{path}: not a workbook of Excel; {RESAVE}")
    with open(path, "rb") as file:  # openpyxl goes by the suffix of a path
        book = openpyxl.load_workbook(file)
        results = None
        if any(cell.data_type == "f" for sheet in book.worksheets for cell in _cells(sheet)):
            results = openpyxl.load_workbook(file, data_only=True)
    grids = {}
    for sheet in book.worksheets:
        lines: dict[int, list[object]] = {}
        for cell in _cells(sheet):
            value = cell.value
            if cell.data_type == "f":
                value = results[sheet.title].cell(cell.row, cell.column).value
                value = solved(sheet, cell.value) if value is None else value
            _put(lines, cell.row, cell.column, value)
        for merged in sheet.merged_cells.ranges:
            _fill(lines, merged.min_row, merged.max_row, merged.min_col)
        hidden = (number for number, size in sheet.row_dimensions.items() if size.hidden)
        grids[sheet.title] = _grid(lines, hidden, sheet.sheet_state == "visible")
    return grids


def _cells(sheet):
    """The cells that the file holds; going through all rows would make up to a million others."""
    return list(sheet._cells.values())


def _read_old(path: Path) -> dict[str, Grid]:
    import xlrd

    if "EncryptedPackage".encode("utf-16-le") in path.read_bytes():
        raise UserError(f"{path}: protected by a password; save a copy without one")
    try:
        book = xlrd.open_workbook(path, formatting_info=True, logfile=io.StringIO())
    except xlrd.XLRDError as error:
        if "encrypted" in str(error):
            raise UserError(f"{path}: protected by a password; save a copy without one") from error
        raise
    grids = {}
    for sheet in book.sheets():
        lines: dict[int, list[object]] = {}
        for row in range(sheet.nrows):
            for column, cell in enumerate(sheet.row(row)):
                _put(lines, row + 1, column + 1, _old_value(cell, book.datemode))
        for first, end, column, _ in sheet.merged_cells:
            _fill(lines, first + 1, end, column + 1)
        hidden = (row + 1 for row, info in sheet.rowinfo_map.items() if info.hidden)
        grids[sheet.name] = _grid(lines, hidden, sheet.visibility == 0)
    return grids


def _old_value(cell, datemode: int) -> object:
    import xlrd

    if cell.ctype == xlrd.XL_CELL_DATE:
        return xlrd.xldate_as_datetime(cell.value, datemode)
    if cell.ctype == xlrd.XL_CELL_BOOLEAN:
        return bool(cell.value)
    if cell.ctype == xlrd.XL_CELL_ERROR:
        return xlrd.error_text_from_code[cell.value]
    return cell.value


def _put(lines: dict[int, list[object]], row: int, column: int, value: object) -> None:
    if value is None or value == "":
        return
    line = lines.setdefault(row, [])
    line.extend([""] * (column - len(line)))
    line[column - 1] = value


def _fill(lines: dict[int, list[object]], first: int, last: int, column: int) -> None:
    """Gives the rows of a merged cell what is written in its first one."""
    line = lines.get(first, [])
    if len(line) >= column:
        for row in range(first + 1, last + 1):
            if row in lines:
                _put(lines, row, column, line[column - 1])


def _grid(lines: dict[int, list[object]], hidden, visible: bool) -> Grid:
    return Grid(dict(sorted(lines.items())), frozenset(hidden) & lines.keys(), visible)
