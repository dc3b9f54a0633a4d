"""Whose faces weights have seen: stored with them, so that nobody seen in training is tested."""

import dataclasses
import hashlib
import re
import secrets
from collections import defaultdict
from collections.abc import Iterable

from mubert_jax.data.people import (
    FRAMES,
    KNOWN,
    SYNTHETIC,
    Person,
    alike,
    loose,
    might_be_called,
    plain,
)

# Hex digits of a digest: 48 bits, at which two names among thousands hardly ever collide.
_DIGITS = 12
# The signs between letters and number in names that older versions digested unchanged.
_SIGNS = ("", "_", "-", " ", ".")


@dataclasses.dataclass(frozen=True)
class Group:
    """People of one space, by salted digests of their names.

    The digests are pseudonyms, no more: whoever guesses a name can check whether it is there.

    Attributes:
      space: `Person.space` where that names nobody: a public data set, synthetic people, frames by
        their fingerprint; otherwise a digest of it; "" where it is unknown, as in older files.
      salt: a random text drawn for this group; "" in older files.
      people: a digest of each person's name.
    """

    space: str
    salt: str
    people: frozenset[str]

    @classmethod
    def of(cls, space: str, names: Iterable[str]) -> "Group":
        salt = secrets.token_hex(8)
        digests = frozenset(_digest(salt + loose(name)) for name in names)
        return cls(_shown(space, salt), salt, digests)

    @property
    def called(self) -> str:
        """A name of the space for messages."""
        if not self.space:
            return "training data of which only the names were recorded"
        if self.space.startswith(FRAMES):
            return f"the unlabelled {self.space}"
        return self.space if _public(self.space) else "a data set of another name"

    def holds(self, person: Person) -> bool:
        """Whether `person` is in the group: the same name in the same space."""
        same = self.salt and self.space == _shown(person.space, self.salt)
        return bool(same) and _digest(self.salt + loose(person.name)) in self.people

    def may_hold(self, person: Person) -> str | None:
        """The name of a member who may be `person`, where the spaces do not decide it; or None."""
        spaces = self.space, person.space
        if self.holds(person) or any(space.startswith(SYNTHETIC) for space in spaces):
            return None
        if all(space in KNOWN for space in spaces):
            return None
        if self.space in KNOWN:
            return self._numbered(person)
        if self.salt:
            names = {name: _digest(self.salt + name) for name in might_be_called(person.id)}
        else:
            names = {name: _digest(name) for name in _as_of_old(person.id)}
        found = [name for name, digest in names.items() if digest in self.people]
        return min(found, key=lambda name: (loose(name) != loose(person.id), name), default=None)

    def _numbered(self, person: Person) -> str | None:
        found = re.search(r"\d.*", loose(person.id))
        number = found[0] if found else ""
        name = KNOWN[self.space] + number
        held = number and _digest(self.salt + number) in self.people
        return name if held and alike(name, person.id) else None


@dataclasses.dataclass(frozen=True)
class Seen:
    """The people in all data that weights were trained on, over all trainings in a row.

    Attributes:
      groups: the people, by the data that they are in.
      unknown: sources of weights whose people were not recorded, such as an official file.
    """

    groups: tuple[Group, ...] = ()
    unknown: tuple[str, ...] = ()

    @classmethod
    def of(cls, people: Iterable[Person]) -> "Seen":
        """The record of having seen `people` and nobody else."""
        names = defaultdict(set)
        for person in people:
            names[person.space].add(person.name)
        return cls(tuple(Group.of(space, sorted(names[space])) for space in sorted(names)))

    @classmethod
    def in_frames(cls, people: Iterable[Person], told_apart: bool, data: str) -> "Seen":
        """The record of a `frames` folder: `FramePairs.people`, and `data` is the folder's name."""
        seen = cls.of(people)
        return seen if told_apart else seen | cls(unknown=(f"{data} (one subject holds several)",))

    def __or__(self, other: "Seen") -> "Seen":
        groups = dict.fromkeys(self.groups + other.groups)
        return Seen(tuple(groups), tuple(dict.fromkeys(self.unknown + other.unknown)))

    def __contains__(self, person: Person) -> bool:
        """Whether `person` is certainly among them."""
        return any(group.holds(person) for group in self.groups)

    def may_be(self, person: Person) -> str | None:
        """Who among them may be `person`, in words; None if nobody may or somebody certainly is."""
        if person in self:
            return None
        for group in self.groups:
            if name := group.may_hold(person):
                return f"{name!r} of {group.called}"
        return None

    def to_json(self) -> dict:
        return {
            "groups": [
                {"space": group.space, "salt": group.salt, "people": sorted(group.people)}
                for group in self.groups
            ],
            "unknown": list(self.unknown),
        }

    @classmethod
    def from_json(cls, values: dict | None, source: str) -> "Seen":
        """Reads what `to_json` of this or an older version returned.

        Without `values`, nothing is known about the people that `source` has seen.

        Raises:
          KeyError, TypeError, ValueError: `values` have another form.
        """
        if values is None:
            return cls(unknown=(source,))
        if "people" in values:
            groups = [{"space": "", "salt": "", "people": values["people"]}]
        else:
            groups = values["groups"]
        found = [Group(g["space"], g["salt"], frozenset(map(str, g["people"]))) for g in groups]
        if not all(isinstance(text, str) for g in found for text in (g.space, g.salt)):
            raise TypeError
        return cls(tuple(g for g in found if g.people), tuple(map(str, values["unknown"])))


def _public(space: str) -> bool:
    return space in KNOWN or space.startswith((SYNTHETIC, FRAMES))


def _shown(space: str, salt: str) -> str:
    return space if _public(space) else _digest(f"{salt} {space}")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]


def _as_of_old(name: str) -> set[str]:
    """Names that are `alike`, with signs between letters and number as older versions kept them."""
    names = {plain(name)}
    for other in might_be_called(name):
        letters = re.sub(r"\d.*", "", other, flags=re.DOTALL)
        number = other.removeprefix(letters)
        names |= {letters + sign + number for sign in _SIGNS}
    return names
