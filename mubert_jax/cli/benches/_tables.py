"""How the rows of a bench are shown."""

from typing import Any

from rich import box
from rich.table import Table


def rows(title: str, rows: list[dict[str, Any]]) -> Table:
    """A table of a line per row."""
    table = Table(title=title)
    for name in rows[0]:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*map(_shown, row.values()))
    return table


def columns(title: str, rows: list[dict[str, Any]]) -> Table:
    """A table of a line per figure and a column per row, which fits a narrow terminal."""
    table = Table(title=title, show_header=False, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column(no_wrap=True)
    for _ in rows:
        table.add_column(justify="right", overflow="fold")
    # A row that came to nothing has fewer figures.
    for name in max(rows, key=len):
        table.add_row(name.replace("_", " "), *(_shown(row.get(name)) for row in rows))
    return table


def _shown(value: object) -> str:
    if value is None:
        return "-"
    if not isinstance(value, float):
        return str(value)
    return f"{value:.3g}" if value < 100 else f"{value:,.0f}"
