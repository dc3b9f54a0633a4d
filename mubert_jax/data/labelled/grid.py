"""A sheet as rows of cells, whatever kind of file it comes from."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Unsolved:
    """A cell with a formula whose result is neither saved with the workbook nor easily found."""

    formula: str


@dataclass(frozen=True)
class Grid:
    """The cells of one sheet.

    Attributes:
      lines: cells by the number that a spreadsheet program shows for their row, ascending. A cell
        is a str, int, float, bool, date, time or `Unsolved`; "" where it is blank.
      hidden: numbers of the rows that the program does not show, as filters do.
      visible: whether the program shows the sheet.
      text: whether the sheet was a text file, whose rows cannot be longer than its header.
    """

    lines: dict[int, list[object]]
    hidden: frozenset[int] = field(default_factory=frozenset)
    visible: bool = True
    text: bool = False
