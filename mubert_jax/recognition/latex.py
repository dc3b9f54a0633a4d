"""Tables for papers: LaTeX with booktabs."""

from collections.abc import Sequence

import pandas as pd

from mubert_jax.recognition.tables import Table

# What pdfLaTeX would read as its own, or does not print with its default fonts.
_LETTERS = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        **{letter: f"\\{letter}" for letter in "&%$#_{}"},
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        **{letter: f"${letter}$" for letter in "<>|"},
        "μ": r"$\mu$",
        "±": r"$\pm$",
        "√": r"$\surd$",
        "²": r"$^2$",
        "³": r"$^3$",
        "⚠": r"$\dagger$",
        "–": "--",
        "“": "``",
        "”": "''",
    }
)


def escaped(text: str) -> str:
    """The text as LaTeX prints it."""
    return text.translate(_LETTERS)


def latex(table: Table, label: str, stamps: Sequence[str], references: Sequence[str] = ()) -> str:
    """The table as a `table*` of booktabs, whose caption holds the stamps and the note.

    Args:
      stamps: Why the numbers are not comparable.
      references: The BibTeX key that is cited behind each row's first cell, "" for none; rows
        beyond these cite nothing.
    """
    rows = [[escaped(cell.whole) for cell in row] for row in table.rows]
    for row, key in zip(rows, references, strict=False):
        row[0] += rf"~\cite{{{key}}}" if key else ""
    cells = pd.DataFrame(rows, columns=list(map(escaped, table.columns)))
    return cells.style.hide(axis="index").to_latex(
        hrules=True,
        environment="table*",
        position_float="centering",
        column_format="l" * table.words + "r" * (len(table.columns) - table.words),
        caption=escaped(
            " ".join([f"{table.title}.", *(f"{stamp}." for stamp in stamps), table.note])
        ),
        label=label,
    )
