"""The sets that `mubert prepare sequences` knows: one module per set, found by its name.

A module defines `SET`, with `collect` as `long_set.LongSet` has it.
"""

import sys
from typing import Any

from mubert_jax import discovery


def available_long_sets() -> list[str]:
    """The names of all sets, sorted."""
    return discovery.names(sys.modules[__name__])


def load_long_set(name: str) -> Any:
    """The set of that name; UserError with the nearest name when there is none."""
    return discovery.module(sys.modules[__name__], name, "set of long videos").SET
