"""Text tables (.csv, .tsv, .txt) as grids of cells, under any of the usual delimiters."""

import csv
import io
import re
from pathlib import Path

from mubert_jax.data.labelled.grid import Grid
from mubert_jax.errors import UserError

_DELIMITERS = (",", ";", "\t", "|", " ")
_SAID = re.compile(r'\A"?sep=(.)"?[ \t]*(?:\r\n|\r|\n|\Z)', re.IGNORECASE)
_FORMULA_OF_TEXT = re.compile(r'="([^"]*)"')


def grids(text: str) -> dict[str, Grid]:
    """The table by each delimiter under which it can be read, the likeliest first.

    The order does not settle which is right: the one under which the header fits is. Excel's first
    line "sep=;" settles it. Rows are numbered as Excel does, which counts a cell of several lines
    once and does not show "sep=;".
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
    """UserError where a quotation mark that is never closed makes one cell of several rows."""
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
    """The cell; `="001"` is how to keep Excel from dropping the zeros."""
    match = _FORMULA_OF_TEXT.fullmatch(text.strip())
    return match[1] if match else text
