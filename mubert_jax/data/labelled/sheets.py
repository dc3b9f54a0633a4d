"""Rows of an annotation sheet (.xlsx, .xls, .csv, .txt) by the names of their columns.

Copies of one sheet differ: lines above the header, blank columns, other spellings, other sheets in
the workbook, other delimiters and encodings. So the header is looked for, and columns are taken by
name alone; what kind of file it is, its content tells and not its suffix.
"""

import logging
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, time, timedelta
from pathlib import Path

from mubert_jax.data.labelled.delimited import check_quotes, grids
from mubert_jax.data.labelled.encodings import readings
from mubert_jax.data.labelled.grid import Grid, Unsolved
from mubert_jax.data.labelled.header import WITHIN, Header, find_header, plain, row_names
from mubert_jax.data.labelled.workbooks import OLD, RESAVE, ZIP, read_workbook
from mubert_jax.errors import UserError

WORKBOOK_SUFFIXES = (".xlsx", ".xlsm", ".xls")
SHEET_SUFFIXES = (*WORKBOOK_SUFFIXES, ".csv", ".tsv")
"""Of files that are looked for; a file that is named may have any."""

_WHOLE = re.compile(r"\d+\.0")
_LINE_ENDS = re.compile(r"\s*[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]\s*")
_KEPT_AS_TEXT = re.compile(r"'(\d[^']*)'?")
_INVISIBLE = dict.fromkeys(
    (0xAD, 0x200B, 0x200E, 0x200F, 0x2060, 0xFEFF, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
)
_MONTH = "(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|mrz|mai|okt|dez)"
_DATE = re.compile(rf"\d{{1,2}}-{_MONTH}|{_MONTH}-\d\d", re.IGNORECASE)
_ERROR = re.compile(r"#(REF!|VALUE!|NAME\?|DIV/0!|NULL!|NUM!|#+)")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Row:
    """One annotated row: `number` as a spreadsheet program shows it, and cells by column.

    A cell is as stored (int, float, str, date); "" where it is blank or the sheet lacks the column.
    `problem` says why the row cannot be trusted, if it cannot; `notes` which optional cells were
    taken as blank for the same reasons. `others` are the cells of columns that were not asked for,
    by their headers.
    """

    number: int
    cells: Mapping[str, object]
    problem: str = ""
    notes: tuple[str, ...] = ()
    others: Mapping[str, str] = field(default_factory=dict)

    def text(self, column: str) -> str:
        """The cell as text in one line without blanks around it; a whole number has no ".0"."""
        return _text(self.cells.get(column, ""))

    def identifier(self, column: str) -> str:
        """The text without any blank, with the digits and letters of ASCII for wide ones."""
        return "".join(unicodedata.normalize("NFKC", self.text(column)).split())


Fits = Callable[[Row], bool]
"""Whether a row names what is there, such as a file on the disk."""


def read_rows(
    path: Path,
    columns: Mapping[str, Sequence[str]],
    optional: Sequence[str] = (),
    sheet: str | None = None,
    *,
    fits: Fits | None = None,
    with_problems: bool = False,
) -> list[Row]:
    """The rows below the header that has all columns; rows that are blank in them are left out.

    Hidden columns and rows, such as a filter leaves, are read, too, the rows with a warning; so is
    a hidden sheet where no other one has the columns. What is written in cells that are merged
    over several rows counts for all of them.

    Args:
      path: the file.
      columns: what is read -> how its header may be spelt, the likeliest first; capitals, blanks
        and signs do not count.
      optional: the columns that a sheet may lack.
      sheet: the one to take where a workbook has it.
      fits: settles in which encoding a text that is not UTF-8 was written.
      with_problems: gives rows with a `problem`, too, instead of raising for the first.

    Raises:
      UserError: no such file, not a table, no sheet with the columns, or several, a row with a
        problem, an encoding that cannot be told.
    """
    rows = _text_rows(path, columns, optional, fits)
    if rows is None:
        rows = _workbook_rows(path, columns, optional, sheet)
    for row in rows:
        if row.problem and not with_problems:
            raise UserError(f"{path}: row {row.number}: {row.problem}")
    return rows


def _workbook_rows(path, columns, optional, sheet) -> list[Row]:
    found = read_workbook(path, path.read_bytes()[:4])
    if not found:
        raise UserError(f"{path}: no cell is filled; is it the right file?")
    if named := [name for name in found if sheet is not None and plain(name) == plain(sheet)]:
        found = {named[0]: found[named[0]]}
    headers = {name: find_header(grid, columns, optional) for name, grid in found.items()}
    fitting = [name for name, header in headers.items() if not header.missing]
    fitting = [name for name in fitting if found[name].visible] or fitting
    fitting = [name for name in fitting if max(found[name].lines) > headers[name].row] or fitting
    if not fitting:
        raise _no_header(path, headers, columns)
    if len(fitting) > 1:
        raise UserError(
            f"{path}: {len(fitting)} sheets could be meant ({', '.join(fitting)}); "
            "delete all but one in a copy of the file"
        )
    return _rows(path, found[fitting[0]], headers[fitting[0]], optional)


def _text_rows(path, columns, optional, fits) -> list[Row] | None:
    """The rows of a text file, None for a workbook."""
    encoded = _bytes(path)
    if encoded[:4] in (ZIP, OLD):
        return None
    if not encoded.strip():
        raise UserError(f"{path}: the file is empty")
    if encoded.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<":
        raise UserError(f"{path}: a web page under the name of a sheet; {RESAVE}")
    tables = [(said, _table(path, said.text, columns, optional)) for said in readings(encoded)]
    if all("\0" in said.text for said, _ in tables):
        raise UserError(f"{path}: not a table that can be read; save it as .xlsx or .csv")
    best = min(len(header.missing) for _, (_, _, header) in tables)
    tables = [table for table in tables if len(table[1][2].missing) == best]
    if best:
        if path.suffix.lower() in WORKBOOK_SUFFIXES:
            raise UserError(f"{path}: cannot be read as a workbook; {RESAVE}")
        _, (_, _, header) = tables[0]
        raise _no_header(path, {"": header}, columns)
    rows = [_rows(path, grid, header, optional) for _, (_, grid, header) in tables]
    chosen = _chosen(path, [said.oddness for said, _ in tables], rows, columns, optional, fits)
    check_quotes(path, tables[chosen][0].text, tables[chosen][1][0])
    return rows[chosen]


def _bytes(path: Path) -> bytes:
    if not path.is_file():
        raise UserError(f"{path}: no such annotation file; check --annotation")
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check --annotation") from error


def _table(path, text: str, columns, optional) -> tuple[str, Grid, Header]:
    """Delimiter, cells and header under the delimiter that gives most of the columns.

    Of several that give as many, the one under which the rows are as long as the header; blanks
    are the last to be tried.
    """

    def likeliness(item):
        delimiter, grid, header = item
        width = len(grid.lines.get(header.row, ()))
        same = sum(len(line) == width for line in grid.lines.values())
        return len(header.missing), delimiter == " ", -same

    found = grids(text)
    if not found:
        raise UserError(f"{path}: a quotation mark is never closed; delete it")
    tables = [(one, grid, find_header(grid, columns, optional)) for one, grid in found.items()]
    return min(tables, key=likeliness)


def _chosen(path, oddness, rows, columns, optional, fits) -> int:
    """Which of the readings of a text is meant; UserError where that cannot be told."""
    if len(rows) == 1:
        return 0
    likely = range(len(rows))
    if fits is not None:
        fitting = [sum(map(fits, reading)) for reading in rows]
        likely = [i for i in likely if fitting[i] == max(fitting)]
    needed = [name for name in columns if name not in optional]
    content = [[[row.text(name) for name in needed] for row in reading] for reading in rows]
    first = likely[0]
    for other in likely[1:]:
        if content[other] != content[first] and oddness[other] <= oddness[first]:
            row, one, two = _difference(rows[first], rows[other], needed)
            raise UserError(
                f"{path}: row {row} may say {one!r} or {two!r}, as the file is not in UTF-8; save "
                'it as "CSV UTF-8"'
            )
    return first


def _difference(rows: Sequence[Row], others: Sequence[Row], needed) -> tuple[int, str, str]:
    for row, other in zip(rows, others, strict=False):
        for name in needed:
            if row.text(name) != other.text(name):
                return row.number, row.text(name), other.text(name)
    return 0, f"{len(rows)} rows", f"{len(others)} rows"


def _rows(path: Path, grid: Grid, header: Header, optional) -> list[Row]:
    named = row_names(grid, header)
    below = {
        number: line[named:]
        for number, line in grid.lines.items()
        if number > header.row and [plain(cell) for cell in line] != list(header.names)
    }
    places = {name: _place(path, name, at, header, below) for name, at in header.places.items()}
    headings = enumerate(map(_text, grid.lines.get(header.row, ())))
    other = {at: name for at, name in headings if name and at not in places.values()}
    rows = []
    for number, line in below.items():
        cells = {name: line[at] for name, at in places.items() if at < len(line)}
        if any(_text(cell) or isinstance(cell, Unsolved) for cell in cells.values()):
            wrong = {name: why for name, cell in cells.items() if (why := _distrust(name, cell))}
            notes = [f"{wrong[name]}: not used" for name in optional if name in wrong]
            problem = next((why for name, why in wrong.items() if name not in optional), "")
            cells = {name: cell for name, cell in cells.items() if name not in wrong}
            problem = problem or _surplus(line, grid, header)
            others = {name: _text(line[at]) for at, name in other.items() if at < len(line)}
            rows.append(Row(number, cells, problem, tuple(notes), others))
    if hidden := sum(row.number in grid.hidden for row in rows):
        what = "1 hidden row is" if hidden == 1 else f"{hidden} hidden rows are"
        _log.warning("%s: %s read, too", path, what)
    return rows


def _place(path: Path, name: str, places: Sequence[int], header: Header, below) -> int:
    """Where a column is; of several of its name the filled one, UserError where they differ."""
    filled = {}
    for at in places:
        cells = tuple(_text(line[at]) if at < len(line) else "" for line in below.values())
        if any(cells):
            filled.setdefault(cells, at)
    if len(filled) > 1:
        numbers = " and ".join(str(at + 1) for at in filled.values())
        raise UserError(
            f"{path}: the header in row {header.row} has {name} in the columns {numbers}, which "
            "differ; delete one in a copy of the file"
        )
    return next(iter(filled.values()), places[0])


def _surplus(line: Sequence[object], grid: Grid, header: Header) -> str:
    if not grid.text or not any(map(_text, line[len(header.names) :])):
        return ""
    return (
        f"{len(line)} cells below a header of {len(header.names)}; a cell that holds the delimiter "
        "must be in quotation marks"
    )


def _distrust(name: str, cell: object) -> str:
    """Why a cell does not say what was entered; "" where it may."""
    if isinstance(cell, Unsolved):
        return (
            f"{name} is the formula {cell.formula[:40]} without a result; open the sheet in a "
            "spreadsheet program and save it"
        )
    if isinstance(cell, date | time | timedelta) or _DATE.fullmatch(_text(cell)):
        return (
            f"{name} is a date ({_text(cell)}), which spreadsheet programs make of entries such as "
            "3-1; format the column as text and enter it again"
        )
    if _ERROR.fullmatch(_text(cell)):
        return f"{name} is {_text(cell)}, an error in the sheet; correct the formula"
    return ""


def _text(cell: object) -> str:
    if cell is None or cell != cell or isinstance(cell, Unsolved):
        return ""
    if isinstance(cell, date):
        return cell.isoformat()[:10]
    text = _LINE_ENDS.sub(" ", str(cell).translate(_INVISIBLE)).strip()
    text = kept[1] if (kept := _KEPT_AS_TEXT.fullmatch(text)) else text
    return text[:-2] if _WHOLE.fullmatch(text) else text


def _no_header(path: Path, headers: Mapping[str, Header], columns) -> UserError:
    name, nearest = min(headers.items(), key=lambda item: len(item[1].missing))
    lacking = ", ".join(
        f"{column} ({' or '.join(map(repr, columns[column][:2]))})" for column in nearest.missing
    )
    if not nearest.places:
        return UserError(
            f"{path}: no header row in its first {WITHIN} rows; it needs the columns "
            f"{lacking}; is it the right file?"
        )
    where = f"row {nearest.row} of sheet {name!r}" if name else f"row {nearest.row}"
    return UserError(
        f"{path}: the header in {where} has no column {lacking}; is it the right file and sheet?"
    )
