"""Any table that people keep annotations in, as rows by the names of their columns.

The kind of a file is told from its content, not from its suffix: a text is decoded (no file says in
which encoding) and cut into cells by each usual delimiter, a workbook (.xlsx, .xls) is opened;
either becomes a `Grid` of cells. Copies of one sheet differ in lines above the header, blank
columns, spellings, and other sheets in the workbook. So the header is searched for, and columns are
taken only by name.
"""

import codecs
import csv
import io
import logging
import math
import re
import unicodedata
import warnings
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, time, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from mubert_jax.errors import UserError


@dataclass(frozen=True)
class Unsolved:
    """A cell with a formula whose result was not saved with the workbook."""

    formula: str


@dataclass(frozen=True)
class Grid:
    """The cells of one sheet.

    Attributes:
      lines: cells by the number that a spreadsheet program shows for their row, ascending. A cell
        is a str, int, float, bool, date, time or `Unsolved`; "" where it is blank.
      hidden: numbers of the rows that the program does not show, such as filtered ones.
      visible: whether the program shows the sheet.
      text: whether the sheet was a text file, whose rows cannot be longer than its header.
    """

    lines: Mapping[int, Sequence[object]]
    hidden: frozenset[int] = field(default_factory=frozenset)
    visible: bool = True
    text: bool = False


WITHIN = 60
"""The first rows, in which the header is searched for: SAMM's is the 14th. More take longer."""

Columns = Mapping[str, Sequence[str]]
"""Name of a column -> how its header may be spelt, the likeliest first."""


@dataclass(frozen=True)
class Header:
    """A header, as far as one was found.

    Attributes:
      row: the number of its row, the lower one where it takes two; 0 for none.
      places: name -> the columns with that name, counted from 0.
      missing: the columns that it must have and lacks.
      names: all of its cells, as `plain` gives them.
    """

    row: int
    places: Mapping[str, Sequence[int]]
    missing: Sequence[str]
    names: Sequence[str] = ()


def plain(name: object) -> str:
    """Letters and digits alone, in lower case."""
    return re.sub(r"[^a-z0-9]", "", unicodedata.normalize("NFKC", str(name)).lower())


Line = tuple[int, list[str]]
"""The number of a row, and its cells as `plain` gives them."""

Candidate = tuple[int, list[str], list[set[str]]]
"""The number and the cells of a row that may be the header, and how each cell may be spelt."""


def find_header(grid: Grid, columns: Columns, optional: Sequence[str]) -> Header:
    """The first row, or else two rows, with all columns; if there is none, what lacks fewest."""
    lines = [(n, [plain(cell) for cell in line]) for n, line in list(grid.lines.items())[:WITHIN]]
    best = Header(0, {}, [name for name in columns if name not in optional])
    for row, names, spellings in _one_row(lines) + _two_rows(lines):
        places = _places(spellings, columns)
        missing = [name for name in columns if name not in places and name not in optional]
        if len(missing) < len(best.missing):
            best = Header(row, places, missing, names)
        if not missing:
            break
    return best


def _one_row(lines: Sequence[Line]) -> list[Candidate]:
    return [(row, names, [{name} for name in names]) for row, names in lines]


def _two_rows(lines: Sequence[Line]) -> list[Candidate]:
    """Two rows as one header: "frame" above "onset" may be "onset", "frame" or "frameonset"."""
    found = []
    for (_, above), (row, below) in zip(lines, lines[1:], strict=False):
        above = above + [""] * (len(below) - len(above))
        names = below + [""] * (len(above) - len(below))
        spellings = [
            {one, two, one + two, two + one} for one, two in zip(above, names, strict=True)
        ]
        found.append((row, names, spellings))
    return found


def _places(spellings: Sequence[set[str]], columns: Columns) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for name, known in columns.items():
        for spelling in known:
            at = [i for i, cell in enumerate(spellings) if plain(spelling) in cell]
            if at:
                found[name] = at
                break
    return found


def row_names(grid: Grid, header: Header) -> int:
    """1 if each row has a name of its own before the first column, as R writes them, else 0."""
    below = [line for number, line in grid.lines.items() if number > header.row]
    named = {str(line[0]) for line in below if len(line) == len(header.names) + 1}
    ends = any(str(line[-1]).strip() for line in below)
    return int(grid.text and ends and len(named) == len(below) > 0)


WORKBOOK_SUFFIXES = (".xlsx", ".xlsm", ".xls")
SHEET_SUFFIXES = (*WORKBOOK_SUFFIXES, ".csv", ".tsv")
"""Suffixes of the files that are searched for; a file that is named may have any."""

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
    """One annotated row.

    Attributes:
      number: as a spreadsheet program shows it.
      cells: column -> cell as stored (int, float, str, date); "" where it is blank or the sheet
        lacks the column.
      problem: why the row cannot be trusted, if it cannot.
      notes: which optional cells were taken as blank for the same reasons.
      others: header -> cell of the columns that were not requested.
    """

    number: int
    cells: Mapping[str, object]
    problem: str = ""
    notes: tuple[str, ...] = ()
    others: Mapping[str, str] = field(default_factory=dict)

    def text(self, column: str) -> str:
        """The cell as one line of text without blanks around it; a whole number has no ".0"."""
        return _text(self.cells.get(column, ""))

    def identifier(self, column: str) -> str:
        """The text without any blank; wide digits and letters become those of ASCII."""
        return "".join(unicodedata.normalize("NFKC", self.text(column)).split())


Fits = Callable[[Row], bool]
"""Whether a row names something that is there, such as a file on the disk."""


def read_rows(
    path: Path,
    columns: Columns,
    optional: Sequence[str] = (),
    sheet: str | None = None,
    *,
    fits: Fits | None = None,
    with_problems: bool = False,
) -> list[Row]:
    """The rows below the header that has all columns, except rows that are blank in all of them.

    Hidden columns and rows, such as filtered ones, are read, too, the rows with a warning; so is a
    hidden sheet if no other one has the columns. A cell that is merged over several rows counts for
    all of them.

    Args:
      path: the file.
      columns: name -> how the header may be spelt, the likeliest first; capitals, blanks and signs
        do not count.
      optional: the columns that a sheet may lack.
      sheet: the sheet to take where a workbook has it.
      fits: settles the encoding of a text that is not UTF-8.
      with_problems: whether to give rows with a `problem`, too, instead of raising for the first.

    Raises:
      UserError: the file does not exist, is not a table, has no sheet with the columns, or several,
        has a row with a problem, or its encoding cannot be told.
    """
    rows = _text_rows(path, columns, optional, fits)
    if rows is None:
        rows = _workbook_rows(path, columns, optional, sheet)
    for row in rows:
        if row.problem and not with_problems:
            raise UserError(f"{path}: row {row.number}: {row.problem}")
    return rows


def _workbook_rows(
    path: Path, columns: Columns, optional: Sequence[str], sheet: str | None
) -> list[Row]:
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


def _text_rows(
    path: Path, columns: Columns, optional: Sequence[str], fits: Fits | None
) -> list[Row] | None:
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


Table = tuple[str, Grid, Header]
"""A delimiter, and the cells and the header under it."""


def _table(path: Path, text: str, columns: Columns, optional: Sequence[str]) -> Table:
    """The table under the delimiter that gives most of the columns.

    Among several, it is the one under which most rows are as long as the header; blanks come last.
    """

    def likeliness(item: Table) -> tuple[int, bool, int]:
        delimiter, grid, header = item
        width = len(grid.lines.get(header.row, ()))
        same = sum(len(line) == width for line in grid.lines.values())
        return len(header.missing), delimiter == " ", -same

    found = grids(text)
    if not found:
        raise UserError(f"{path}: a quotation mark is never closed; delete it")
    tables = [(one, grid, find_header(grid, columns, optional)) for one, grid in found.items()]
    return min(tables, key=likeliness)


def _chosen(
    path: Path,
    oddness: Sequence[float],
    rows: Sequence[list[Row]],
    columns: Columns,
    optional: Sequence[str],
    fits: Fits | None,
) -> int:
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


def _difference(
    rows: Sequence[Row], others: Sequence[Row], needed: Sequence[str]
) -> tuple[int, str, str]:
    for row, other in zip(rows, others, strict=False):
        for name in needed:
            if row.text(name) != other.text(name):
                return row.number, row.text(name), other.text(name)
    return 0, f"{len(rows)} rows", f"{len(others)} rows"


def _rows(path: Path, grid: Grid, header: Header, optional: Sequence[str]) -> list[Row]:
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


def _place(
    path: Path,
    name: str,
    places: Sequence[int],
    header: Header,
    below: Mapping[int, Sequence[object]],
) -> int:
    """The place of a column, the filled one of several; UserError if several filled ones differ."""
    filled: dict[tuple[str, ...], int] = {}
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
    """Why a cell does not say what was entered; "" if it may."""
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


def _no_header(path: Path, headers: Mapping[str, Header], columns: Columns) -> UserError:
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


_DELIMITERS = (",", ";", "\t", "|", " ")
_SAID = re.compile(r'\A"?sep=(.)"?[ \t]*(?:\r\n|\r|\n|\Z)', re.IGNORECASE)
_FORMULA_OF_TEXT = re.compile(r'="([^"]*)"')


def grids(text: str) -> dict[str, Grid]:
    """The table by each delimiter under which it can be read, the likeliest first.

    The order does not settle which is right: it is the one under which the header fits. Excel's
    first line "sep=;" does settle it. Rows are numbered as in Excel, which counts a cell of several
    lines once and does not show "sep=;".
    """
    said = _SAID.match(text)
    if said:
        text = text[said.end() :]
    found = {}
    for delimiter in said[1] if said else _DELIMITERS:
        try:
            records = list(_reader(text, delimiter))
        except csv.Error:  # a quotation mark that is never closed swallows the rest of the file
            continue
        lines = {number: list(map(_cell, cells)) for number, cells in enumerate(records, 1)}
        found[delimiter] = Grid({n: line for n, line in lines.items() if any(line)}, text=True)
    return found


def check_quotes(path: Path, text: str, delimiter: str) -> None:
    """Raises UserError if a quotation mark that is never closed makes one cell of several rows."""
    text = text[said.end() :] if (said := _SAID.match(text)) else text
    row = 1
    try:
        for _ in _reader(text, delimiter, strict=True):
            row += 1
    except csv.Error as error:
        ended = "end of data" not in str(error)
        if ended and not any(_several_lines(cells) for cells in _reader(text, delimiter)):
            return
        raise UserError(
            f"{path}: row {row}: a quotation mark begins a cell and does not end it; delete it, or "
            "put the whole cell in quotation marks"
        ) from error


def _several_lines(cells: list[str]) -> bool:
    return any("\n" in cell or "\r" in cell for cell in cells)


def _reader(text: str, delimiter: str, strict: bool = False):
    return csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=strict
    )


def _cell(text: str) -> str:
    """The cell, which may be `="001"` to keep Excel from dropping the zeros."""
    match = _FORMULA_OF_TEXT.fullmatch(text.strip())
    return match[1] if match else text


_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_LEGACY = dict.fromkeys(
    ("cp1252", "gb18030", "cp932", "cp949", "cp950", "cp1251", "mac_roman"), True
) | {"cp1250": False}
"""Encodings that spreadsheet programs write by default, depending on the computer's language.

False is for one that is too near to another to be told from it by its looks.
"""
_WESTERN = frozenset("ŒœŠšŽžŸ€…–—‘’“”„•°§£¡¿«»ºª·´±²³µ½¼¾×©®™\u00a0")
_COMMON = {"gb2312": range(0xB0, 0xD8), "cp932": range(0x88, 0x98), "cp950": range(0xA4, 0xC7)}
"""First bytes of the ideographs in everyday use; the rarer ones come after them."""
_BEYOND_ASCII = re.compile(r"[^\0-\x7f]")
_LOOKED_AT = 1000  # characters that are judged: more would take longer


class Reading(NamedTuple):
    """A text that a file may hold; its `oddness` is infinite if only its use can prove it."""

    text: str
    oddness: float


def readings(encoded: bytes) -> list[Reading]:
    """Every text that the bytes may be, the likeliest first; only one if there is no doubt.

    A mark at the start, or being valid UTF-8, leaves no doubt.
    """
    for mark, encoding in _MARKS:
        if encoded.startswith(mark):
            return [Reading(encoded.decode(encoding, "replace"), 0.0)]
    for encoding in (*_without_mark(encoded), "utf-8"):
        if (text := _decoded(encoded, encoding)) is not None:
            return [Reading(text, 0.0)]
    if b"\0" in encoded:  # no text at all
        return [Reading(encoded.decode("latin-1"), 0.0)]
    found: dict[str, float] = {}
    for encoding, guessed in _LEGACY.items():
        if (text := _decoded(encoded, encoding)) is not None:
            found.setdefault(text, oddness(text) if guessed else math.inf)
    ordered = sorted(found.items(), key=lambda item: item[1])
    return [Reading(*item) for item in ordered]


def oddness(text: str) -> float:
    """How little the characters beyond ASCII look like words: 0 if they do, about 1 if not."""
    found = list(islice(_BEYOND_ASCII.finditer(text), _LOOKED_AT))
    odd = (_odd(text[m.start() - 1 : m.start()], m[0], text[m.end() : m.end() + 1]) for m in found)
    return sum(odd) / max(1, len(found))


def _without_mark(encoded: bytes) -> list[str]:
    """UTF-16 without a mark has a NUL in every other byte of its ASCII characters."""
    if b"\x1b$" in encoded:
        return ["iso2022_jp"]
    head = encoded[:4000]
    for first, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        nuls, others = head[first::2].count(0), head[1 - first :: 2].count(0)
        if nuls > len(head) // 4 > 4 * others:
            return [encoding]
    return []


def _decoded(encoded: bytes, encoding: str) -> str | None:
    try:
        return encoded.decode(encoding)
    except UnicodeDecodeError:
        return None


def _odd(before: str, char: str, after: str) -> bool:
    name = unicodedata.name(char, "")
    touching = [other for other in (before, after) if other.isalpha()]
    in_latin = any(other.isascii() for other in touching)
    inner_capital = before.islower() and char.isupper()
    if name.startswith("CJK UNIFIED"):
        return in_latin or not _everyday(char)
    if name.startswith("HANGUL SYLLABLE"):
        return in_latin or len(_encoded(char, "euc_kr")) != 2
    if name.startswith(("HIRAGANA", "KATAKANA", "IDEOGRAPHIC", "FULLWIDTH")):
        return in_latin
    if name.startswith("CYRILLIC"):
        return in_latin or inner_capital or len(_encoded(char, "koi8_r")) != 1
    if char.isalpha() and (char in _WESTERN or _encoded(char, "latin-1")):
        return inner_capital or (before > "\x7f" and before.isalpha())
    if char in _WESTERN:
        return before > "\x7f" or (len(touching) == 2 and char not in "’–·")
    return True


def _everyday(char: str) -> bool:
    return any(
        code[0] in first for name, first in _COMMON.items() if (code := _encoded(char, name))
    )


def _encoded(char: str, encoding: str) -> bytes:
    return char.encode(encoding, "ignore")


ZIP = b"PK\x03\x04"
OLD = b"\xd0\xcf\x11\xe0"
RESAVE = "open it in a spreadsheet program and save it as .xlsx"


def read_workbook(path: Path, start: bytes) -> dict[str, Grid]:
    """The sheets of a workbook by name, in order, without empty ones.

    Args:
      path: the file.
      start: its first bytes, `ZIP` or `OLD`, which tell the kind whatever the file is called.

    Raises:
      UserError: it is another kind of document, damaged, or protected by a password.
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
        solved = any(cell.data_type == "f" for sheet in book.worksheets for cell in _cells(sheet))
        results = openpyxl.load_workbook(file, data_only=True) if solved else book
    grids = {}
    for sheet in book.worksheets:
        lines: dict[int, list[object]] = {}
        for cell in _cells(sheet):
            value = cell.value
            if cell.data_type == "f":
                value = results[sheet.title].cell(cell.row, cell.column).value
                value = Unsolved(_formula(cell.value)) if value is None else value
            _put(lines, cell.row, cell.column, value)
        for merged in sheet.merged_cells.ranges:
            _fill(lines, merged.min_row, merged.max_row, merged.min_col)
        hidden = (number for number, size in sheet.row_dimensions.items() if size.hidden)
        grids[sheet.title] = _grid(lines, hidden, sheet.sheet_state == "visible")
    return grids


def _formula(value: object) -> str:
    """The text of a formula, which may be an object if it is for a whole range."""
    return str(getattr(value, "text", value))


def _cells(sheet: Any) -> list[Any]:
    """The cells that the file holds; going through all rows would make up to a million others."""
    return list(sheet._cells.values())


def _read_old(path: Path) -> dict[str, Grid]:
    import xlrd
    from xlrd.biffh import XLRDError

    if "EncryptedPackage".encode("utf-16-le") in path.read_bytes():
        raise UserError(f"{path}: protected by a password; save a copy without one")
    try:
        book = xlrd.open_workbook(str(path), formatting_info=True, logfile=io.StringIO())
    except XLRDError as error:
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


def _old_value(cell: Any, datemode: Any) -> object:
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
    """Gives all rows of a merged cell the content of its first one."""
    line = lines.get(first, [])
    if len(line) >= column:
        for row in range(first + 1, last + 1):
            if row in lines:
                _put(lines, row, column, line[column - 1])


def _grid(lines: dict[int, list[object]], hidden: Iterable[int], visible: bool) -> Grid:
    return Grid(dict(sorted(lines.items())), frozenset(hidden) & lines.keys(), visible)
