"""Every clip of a labelled data set: the ones that can be stored, and the others with a reason."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mubert_jax.data.labelled.annotation import Dropped
from mubert_jax.data.labelled.clips import LabelledClip
from mubert_jax.data.searching import PassedOver
from mubert_jax.errors import UserError


@dataclass(frozen=True)
class Collected:
    """What was found, before any image is read.

    Attributes:
      clips: to be stored, in any order.
      dropped: not to be stored.
      classes: names in label order.
      published: clips of each class by the owners' count, empty where there is none.
      published_subjects: people by the owners' count, or None.
      annotation: the files with the annotations, or the folder that stands for them.
      notes: what has to be said of people and classes: which spellings were taken for one.
      passed: what the folder of the frames holds besides.
    """

    clips: Sequence[LabelledClip]
    dropped: Sequence[Dropped]
    classes: tuple[str, ...]
    published: Mapping[str, int]
    published_subjects: int | None
    annotation: str
    notes: Sequence[str] = ()
    passed: PassedOver = field(default_factory=PassedOver)

    @property
    def fingerprint(self) -> str:
        """8 hex digits over all that shapes the records but the pixels."""
        text = "\n".join(sorted(clip.key for clip in self.clips))
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    def check(self, lenient: bool) -> "Collected":
        """Itself; UserError in a strict run that refuses clips, or where none is left."""
        refused = [clip for clip in self.dropped if clip.refused]
        if refused and not lenient:
            raise UserError(
                f"{self.annotation}: {_where(refused[0])}: {refused[0].reason}; correct it, or "
                f"add --lenient to leave such clips out{_more(refused[1:])}"
            )
        if not self.clips and not self.dropped:
            raise UserError(f"{self.annotation}: no clip below its header; is it the right file?")
        if not self.clips:
            first = self.dropped[0]
            raise UserError(
                f"{self.annotation}: none of {len(self.dropped)} clips could be used; the first: "
                f"{_where(first)}: {first.reason}"
            )
        return self


def _where(clip: Dropped) -> str:
    return f"row {clip.row} ({clip.name})" if clip.row else clip.name


def _more(others: Sequence[Dropped], count: int = 5) -> str:
    if not others:
        return ""
    names = ", ".join(f"row {clip.row}" if clip.row else clip.name for clip in others[:count])
    return f" ({len(others)} more: {names}{', ...' if len(others) > count else ''})"
