"""Every network of a comparison, trained and tested by one protocol in the same folds."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import jax
from rich.console import Console

from mubert_jax import discovery
from mubert_jax.config import Config
from mubert_jax.config_files import PACKAGE, load_config
from mubert_jax.errors import UserError, kind_of
from mubert_jax.recognition import networks
from mubert_jax.recognition.finetune import finetune
from mubert_jax.recognition.network import Network
from mubert_jax.recognition.networks import make_network

RUNS_FOLDER = "runs"
RECIPES = "configs/recognition"
# The recipe of a network that brings none.
DEFAULT = "configs/finetune.py"


@dataclass(frozen=True)
class Row:
    """A network to compare, by the name of its folder, and how it is trained."""

    name: str
    config: Config


@dataclass(frozen=True)
class Failed:
    """A network that could not be measured, and why."""

    title: str
    reason: str


def of_network(name: str, overrides: list[str]) -> Row:
    """A network by its recipe, overridden from the command line.

    Raises:
      UserError: there is no such network; as `load_config`.
    """
    recipe = discovery.find(networks, name, Network, "network").recipe or f"{RECIPES}/{name}.py"
    if (PACKAGE / recipe).is_file():
        return Row(name, load_config(recipe, overrides))
    return Row(name, load_config(DEFAULT, [f"--config.recognition.network={name}", *overrides]))


def with_optimism(row: Row) -> Row:
    """The row, which records what picking the epoch would have reported, if it has epochs."""
    config, name = row.config, row.config.recognition.network
    if not discovery.find(networks, name, Network, "config.recognition.network").by_epochs:
        return row
    recognition = replace(config.recognition, optimism=True)
    return Row(row.name, replace(config, recognition=recognition))


def check(rows: Sequence[Row]) -> None:
    """Raises UserError unless all rows have names of their own, one protocol, and emotions."""
    names = [row.name for row in rows]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UserError(f"{twice} is given twice; each row needs a name of its own")
    first = rows[0]
    for row in rows:
        if row.config.recognition.target != "emotion":
            raise UserError(
                f"config.recognition.target of {row.name} is {row.config.recognition.target}; "
                "emotions are compared, run mubert finetune for action units"
            )
        if row.config.recognition.protocol != first.config.recognition.protocol:
            raise UserError(
                f"{row.name} has the protocol {row.config.recognition.protocol}, {first.name} "
                f"{first.config.recognition.protocol}; give all of them one: "
                f"--config.recognition.protocol={first.config.recognition.protocol}"
            )


def run_all(
    rows: Sequence[Row], output: Path, allow_contamination: bool, console: Console
) -> tuple[list[Path], list[Failed]]:
    """Trains and tests what `output`/runs does not hold yet; a row that fails leaves the others.

    Returns:
      The folders of the finished runs, and the rows that failed.

    Raises:
      UserError: every row failed; a disk is full or fails for a moment.
    """
    finished, failed = [], []
    for row in rows:
        console.print(f"[bold]{row.name}[/bold]", highlight=False)
        folder = output / RUNS_FOLDER / row.name
        try:
            finetune(row.config, folder, allow_contamination, console, keep=False)
            finished.append(folder)
        except (UserError, jax.errors.JaxRuntimeError) as error:
            if kind_of(error) is not UserError:  # the others would fail alike
                raise
            reason = str(error).strip().partition("\n")[0]
            said = f"{row.name}: {reason}"
            console.print(said, highlight=False, markup=False, soft_wrap=True)
            failed.append(Failed(_title(row), reason))
    if not finished:
        raise UserError(f"no network could be measured; the first: {failed[0].reason}")
    return finished, failed


def _title(row: Row) -> str:
    """What tables call a network, unless its config has a fault."""
    try:
        return make_network(row.config).title or row.name
    except UserError:
        return row.name
