"""Tables of a page: cells of text with bars, and the same in Markdown."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from mubert_jax.recognition.metrics import deviation


@dataclass(frozen=True)
class Cell:
    """A text, and what a page shows with it.

    Attributes:
      bar: the length, 0 to 1, of a bar below the text.
      note: words after the text, in a fainter colour.
      shade: how much the cell is coloured, -1 to 1, in one of two colours.
      picture: an SVG in the place of the text.
    """

    text: str
    bar: float | None = None
    note: str = ""
    shade: float | None = None
    picture: Markup | None = None

    @property
    def whole(self) -> str:
        """The text with its note."""
        return f"{self.text} {self.note}".strip()


@dataclass(frozen=True)
class Table:
    """A title, a header, rows of as many cells, and a note below.

    Attributes:
      words: the number of columns, from the left, that hold words; the others hold numbers.
      own: the indices of the rows that stand out, such as this run's among others.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    words: int = 1
    own: tuple[int, ...] = ()


def percent(values: np.ndarray) -> Cell:
    """The mean of values (S,) from 0 to 1 in percent, with the deviation if there are several."""
    mean = float(np.mean(values))
    if np.isnan(mean):
        return Cell("–")
    return Cell(spread(100 * values, 2), mean)


def spread(values: np.ndarray, digits: int) -> str:
    tail = f" ± {deviation(values):.{digits}f}" if len(values) > 1 else ""
    return f"{np.mean(values):.{digits}f}{tail}"


def markdown(table: Table, stamps: Sequence[str]) -> str:
    """The table in Markdown, under the stamps."""
    lines = [f"## {table.title}", ""]
    for stamp in stamps:
        lines += [f"> **⚠ {stamp}**", ""]
    numbers = len(table.columns) - table.words
    lines.append(_line(table.columns))
    lines.append("|" + " --- |" * table.words + " ---: |" * numbers)
    for i, row in enumerate(table.rows):
        texts = [cell.whole for cell in row]
        lines.append(_line([f"**{text}**" for text in texts] if i in table.own else texts))
    return "\n".join([*lines, "", *([table.note, ""] if table.note else [])])


def _line(texts: Iterable[str]) -> str:
    return "| " + " | ".join(text.replace("|", "\\|") for text in texts) + " |"
