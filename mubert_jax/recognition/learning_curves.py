"""curves.csv: what the training of every fold and seed did, epoch by epoch."""

from pathlib import Path

import pandas as pd

from mubert_jax.errors import UserError

CURVES_FILE = "curves.csv"
KEYS = ("seed", "fold", "epoch")


def load_curves(path: Path) -> pd.DataFrame:
    """A row a seed, fold and epoch; every further column is a curve, `loss` at least.

    Raises:
      UserError: names the file and what is wrong: no table, a missing column, no number.
    """
    try:
        table = pd.read_csv(path, dtype={"fold": str})
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a CSV file ({error}); delete it to go without") from error
    for name in (*KEYS, "loss"):
        if name not in table:
            raise UserError(f"{path}: no column {name!r}; delete the file to go without curves")
    for name in table.columns.drop("fold"):
        if not pd.api.types.is_numeric_dtype(table[name]):
            text = pd.to_numeric(table[name], errors="coerce")
            row = int(text.isna().to_numpy().argmax())
            raise UserError(
                f"{path}, row {row + 2}, column {name}: {table[name][row]!r} is no number; "
                "delete the file to go without curves"
            )
    return table
