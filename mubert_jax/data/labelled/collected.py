"""What is asked of a labelled set, and what it gives: clips, before any image is read."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mubert_jax.data.clips import Clip, VideoFrames
from mubert_jax.data.labelled.annotation import (
    Dropped,
)
from mubert_jax.data.labelled.matching import (
    APEX_CHOICES,
)
from mubert_jax.data.plan import PrepareOptions
from mubert_jax.data.report import count
from mubert_jax.data.searching import PassedOver
from mubert_jax.errors import UserError


@dataclass(frozen=True)
class PairOptions(PrepareOptions):
    """`PrepareOptions`, and what labels need.

    Attributes:
      classes: which of the set's class mappings; None takes its first.
      apex: "midpoint" or "auto", the apex of a clip without an annotated one; None takes the
        midpoint in a set that has no apexes at all, and leaves such clips out of other sets.
      damaged: files that list frames not to be used.
      lenient: leave out clips that may be wrong, and list them, instead of stopping.
      clip_frames: how many frames of the movement are stored beside onset and apex.
    """

    classes: int | None = None
    apex: str | None = None
    damaged: tuple[str, ...] = ()
    lenient: bool = False
    clip_frames: int = 0

    def __post_init__(self):
        super().__post_init__()
        if self.clip_frames < 0:
            raise UserError(f"--clip-frames {self.clip_frames}: choose 0 or more")
        if self.apex not in (None, *APEX_CHOICES):
            raise UserError(f"--apex {self.apex!r}: choose {', '.join(APEX_CHOICES)}")


@dataclass(frozen=True)
class Collected:
    """What was found, before any image is read.

    Attributes:
      clips: the clips to be stored, in any order.
      dropped: the clips not to be stored.
      classes: names in label order.
      published: class -> clips by the owners' count, empty if there is no such count.
      published_subjects: people by the owners' count, or None.
      annotation: the files with the annotations, or the folder that stands for them.
      notes: lines on people and classes (which spellings were taken for one), and on how frames are
        counted.
      passed: what else the folder with the frames holds.
    """

    clips: Sequence[Clip]
    dropped: Sequence[Dropped]
    classes: tuple[str, ...]
    published: Mapping[str, int]
    published_subjects: int | None
    annotation: str
    notes: Sequence[str] = ()
    passed: PassedOver = field(default_factory=PassedOver)

    @property
    def fingerprint(self) -> str:
        """8 hex digits over everything but the pixels that shapes the records."""
        text = "\n".join(sorted(clip.intervals[0].key for clip in self.clips))
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    def check(self, lenient: bool) -> "Collected":
        """Gives itself; UserError if a strict run refuses clips, or if none is left."""
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


def counting(clips: Sequence[Clip]) -> tuple[str, ...]:
    """A line on how the frames of videos are counted, as nothing in a video tells."""
    videos = [clip.frames for clip in clips if isinstance(clip.frames, VideoFrames)]
    if not videos:
        return ()
    first = " or ".join(str(number) for number in sorted({video.first for video in videos}))
    return (
        f"note: {count(len(videos), 'clip')} read from video, where the first frame is {first}",
    )
