"""Whose faces weights have seen: it travels with them, so that nobody is tested on a known face."""

import dataclasses
import hashlib
import re
from collections.abc import Iterable


@dataclasses.dataclass(frozen=True)
class Seen:
    """The people in all data that weights were trained on, one training after the other.

    Attributes:
      people: a digest of each one's name, so that exported weights name nobody.
      unknown: sources of weights whose people were not recorded, such as an official file.
    """

    people: frozenset[str] = frozenset()
    unknown: tuple[str, ...] = ()

    @classmethod
    def of(cls, subjects: Iterable[str]) -> "Seen":
        """Seen are `subjects`, and nobody else."""
        return cls(frozenset(_digest(subject) for subject in subjects))

    def __or__(self, other: "Seen") -> "Seen":
        return Seen(self.people | other.people, tuple(dict.fromkeys(self.unknown + other.unknown)))

    def __contains__(self, subject: str) -> bool:
        """Whether one of the people is called so, whatever the data set and the padding of numbers.

        A subject of frames is called as its folder is ("sub01", "s1"), one of pairs bears its data
        set ("casme2/sub01", "smic/s01").
        """
        return _digest(subject) in self.people

    def to_json(self) -> dict:
        return {"people": sorted(self.people), "unknown": list(self.unknown)}

    @classmethod
    def from_json(cls, values: dict | None, source: str) -> "Seen":
        """What `to_json` gave; of weights that say nothing the `source` is unknown."""
        if values is None:
            return cls(unknown=(source,))
        return cls(frozenset(values["people"]), tuple(values["unknown"]))


def _digest(subject: str) -> str:
    name = re.sub(r"\d+", lambda digits: str(int(digits[0])), subject.rsplit("/", 1)[-1].casefold())
    return hashlib.sha256(name.encode()).hexdigest()[:12]
