"""A clip: the frames of one face, wherever they are stored."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np

from mubert_jax.errors import UserError


@dataclass(frozen=True)
class Clip:
    """What `mubert prepare` needs to know of one video.

    Attributes:
      name: unique in the data set, like a relative path.
      subject: who is seen.
      num_frames: frames expected, for progress and shard sizes; 0 where unknown.
      frames: starts a new iteration over (frame number, (H, W, 3) uint8 RGB).
      sample: gives about that many frames spread over the clip, the first frame among them.
      files: what it is read from.
      note: what a user should know of the frames, asked for when they were read.
    """

    name: str
    subject: str
    num_frames: int
    frames: Callable[[], Iterator[tuple[int, np.ndarray]]]
    sample: Callable[[int], list[np.ndarray]]
    files: Path
    note: Callable[[], str] = lambda: ""


def unusable(name: str, subject: str, num_frames: int, reason: str, files: Path) -> Clip:
    """A clip that is there and cannot be read: reading it raises UserError with the reason."""

    def refuse(*_):
        raise UserError(reason)

    return Clip(name, subject, num_frames, refuse, refuse, files)


def subject_of(relative: PurePath) -> str:
    """The first folder of a clip's path below the input; without one, the clip's own name."""
    return relative.parts[0] if len(relative.parts) >= 2 else relative.name
