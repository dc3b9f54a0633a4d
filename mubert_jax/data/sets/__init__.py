"""The data sets that `mubert prepare` knows: one module per set, found by its name.

A module of frames defines `clips(input: Path) -> list[Clip]`, which raises a UserError when it
finds nothing, saying what it searched for and where. (`synthetic` reads nothing: its input is a
`Cast`.) A module of labelled pairs defines `SET`, with `collect` as `LabelledSet` has it. From what
it collects, `clips.sequences` makes whole recordings with all intervals annotated in them.
"""

import difflib
import importlib
import pkgutil
from types import ModuleType

from mubert_jax.errors import UserError


def available_sets() -> list[str]:
    """The names of all data sets, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def load_set(name: str) -> ModuleType:
    """The module of a data set; UserError with the nearest name when there is none."""
    if name not in available_sets():
        near = difflib.get_close_matches(name, available_sets(), n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise UserError(f"no data set {name!r}: {hint}Known: {', '.join(available_sets())}")
    return importlib.import_module(f"{__name__}.{name}")


def is_labelled(name: str) -> bool:
    """Whether a data set is one of labelled pairs; UserError as for `load_set`."""
    return hasattr(load_set(name), "SET")
