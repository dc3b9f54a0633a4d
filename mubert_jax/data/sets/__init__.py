"""The data sets that `mubert prepare` knows: one module per set, found by its name.

A module of frames defines `clips(input: Path) -> list[Clip]`, which raises a UserError when it
finds nothing, saying what it searched for and where. (`synthetic` reads nothing: its input is a
`Cast`.) A module of labelled pairs defines `SET`, with `collect` as `LabelledSet` has it. From what
it collects, `clips.sequences` makes whole recordings with all intervals annotated in them.
"""

import sys
from types import ModuleType

from mubert_jax import discovery


def available_sets() -> list[str]:
    """The names of all data sets, sorted."""
    return discovery.names(sys.modules[__name__])


def load_set(name: str) -> ModuleType:
    """The module of a data set; UserError with the nearest name when there is none."""
    return discovery.module(sys.modules[__name__], name, "data set")


def is_labelled(name: str) -> bool:
    """Whether a data set is one of labelled pairs; UserError as for `load_set`."""
    return hasattr(load_set(name), "SET")
