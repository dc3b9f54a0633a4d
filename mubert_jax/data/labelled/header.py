"""The header of a sheet: in which row it is, and where each of its columns."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mubert_jax.data.labelled.grid import Grid

WITHIN = 60
"""Rows in which the header is looked for."""

Columns = Mapping[str, Sequence[str]]
"""What is read -> how its header may be spelt, the likeliest first."""


@dataclass(frozen=True)
class Header:
    """What was found of a header.

    Attributes:
      row: its number, of the lower one where it takes two; 0 for none.
      places: where the cells of each column are, counted from 0; several where there are several
        columns of one name.
      missing: the columns it must have and lacks.
      names: all its cells as `plain` gives them.
    """

    row: int
    places: Mapping[str, Sequence[int]]
    missing: Sequence[str]
    names: Sequence[str] = ()


def plain(name: object) -> str:
    """Letters and digits alone, in lower case."""
    return re.sub(r"[^a-z0-9]", "", unicodedata.normalize("NFKC", str(name)).lower())


def find_header(grid: Grid, columns: Columns, optional: Sequence[str]) -> Header:
    """The first row that has all columns, or the first two that have; else what lacks fewest."""
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


def _one_row(lines):
    return [(row, names, [{name} for name in names]) for row, names in lines]


def _two_rows(lines):
    """ "Frame" above "onset" may be spelt "onset", "frame" or "frameonset"."""
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
    found = {}
    for name, known in columns.items():
        for spelling in known:
            at = [i for i, cell in enumerate(spellings) if plain(spelling) in cell]
            if at:
                found[name] = at
                break
    return found


def row_names(grid: Grid, header: Header) -> int:
    """1 where each row has a name of its own before the first column, as R writes them, else 0."""
    below = [line for number, line in grid.lines.items() if number > header.row]
    named = {str(line[0]) for line in below if len(line) == len(header.names) + 1}
    ends = any(str(line[-1]).strip() for line in below)
    return int(grid.text and ends and len(named) == len(below) > 0)
