"""Action units as sheets write them: "4+7", "4+L10", "L12 or L14", "10A/B", "?"."""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

# A side, a number, an intensity from A (trace) to E (maximum) or two of them.
_UNIT = re.compile(r"(?:AU)?\s*([LR]?)\s*(\d{1,2})\s*(?:[A-E](?:\s*/\s*[A-E])?)?", re.IGNORECASE)
_ALTERNATIVES = re.compile(r"\bor\b|/(?=\s*(?:AU)?\s*[LR]?\d)", re.IGNORECASE)
SHOWN, NOT_SHOWN, UNKNOWN = 1, 0, -1


class Units(NamedTuple):
    """The action units of a clip: those it shows, and those of which it shows one or the other.

    A unit is a number, such as "12", whichever side shows it; with a side, "L12" is there as well.
    """

    shown: frozenset[str]
    unsure: frozenset[str]


def units_of(text: str) -> Units | None:
    """What a sheet's cell names; None where it does not say, or not in a way that is known."""
    shown, unsure = set(), set()
    for part in filter(None, (part.strip() for part in re.split(r"[+,;&]", text))):
        found = [_UNIT.fullmatch(one.strip()) for one in _ALTERNATIVES.split(part)]
        for unit in found:
            if unit is None:
                return None
            side, number = unit[1].upper(), str(int(unit[2]))
            (shown if len(found) == 1 else unsure).update({number, side + number})
    return Units(frozenset(shown), frozenset(unsure - shown)) if shown | unsure else None


def marks(texts: Sequence[str]) -> dict[str, np.ndarray]:
    """Unit -> `SHOWN`, `NOT_SHOWN` or `UNKNOWN` per clip, (P,) int8; by number, then side."""
    found = [units_of(text) for text in texts]
    names = {name for units in found if units for name in units.shown}

    def of_clip(units: Units | None, name: str) -> int:
        if units is None or name in units.unsure:
            return UNKNOWN
        return SHOWN if name in units.shown else NOT_SHOWN

    in_order = sorted(names, key=lambda name: (int(name.lstrip("LR")), name))
    return {name: np.array([of_clip(x, name) for x in found], np.int8) for name in in_order}
