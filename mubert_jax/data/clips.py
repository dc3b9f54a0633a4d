"""A clip: the frames of one face, wherever they are stored, and what is annotated in them.

One class serves every kind of data set. A set of frames is made of clips without intervals. A set
of pairs is made of clips with one interval each, whose onset and apex are stored. A set of
sequences, for finding movements in long video, is made of whole recordings with all their
intervals; see `sequences`.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePath

import numpy as np

from mubert_jax.data.images import ClipImages
from mubert_jax.data.labelled.annotation import Annotation
from mubert_jax.data.names import printable
from mubert_jax.data.records import UNKNOWN, Ellipse
from mubert_jax.data.video import announced_frames, read_video, sample_video
from mubert_jax.errors import UserError


class Frames(ABC):
    """The frames of one recording, asked for by their numbers.

    Images are (H, W, 3) uint8 RGB. Whatever cannot be read raises UserError.

    Attributes:
      files: the files that they are read from, or the folder of these.
      has_end: whether no frame can ever have followed the last one, as in a video file. Folders of
        images are thinned out by their owners.
    """

    files: tuple[Path, ...]
    has_end = False

    @property
    def note(self) -> str:
        """What a user should know about the frames read so far, "" where all is well."""
        return ""

    @property
    def whole(self) -> "Frames":
        """The frames that these are a part of, or themselves."""
        return self

    @property
    @abstractmethod
    def expected(self) -> int:
        """How many frames there should be; 0 where only reading all of them tells."""

    @abstractmethod
    def __iter__(self) -> Iterator[tuple[int, np.ndarray]]:
        """Starts a new pass over (frame number, image), numbers ascending."""

    def face(self, number: int) -> Ellipse:
        """Where the face is in a frame; `UNKNOWN` where only a detector could tell."""
        return UNKNOWN

    @abstractmethod
    def sample(self, count: int) -> list[np.ndarray]:
        """About `count` images spread over the recording, its first frame among them."""

    @abstractmethod
    def read(self, numbers: Collection[int]) -> Iterator[tuple[int, np.ndarray]]:
        """These frames as (number, image), ascending and each once, read in one pass.

        A number that is not there, or whose frame is damaged, raises a UserError that names it.
        """


class NumberedFrames(Frames):
    """Frames whose numbers are known without decoding them, which annotations need."""

    @abstractmethod
    def numbers(self, reach: int | None = None) -> Sequence[int]:
        """The numbers of all frames, ascending.

        Args:
          reach: the highest number that matters; None stands for all. Up to it, a video's header
            is believed, as `read` finds out whether it was right.
        """

    @abstractmethod
    def part(self, numbers: Collection[int]) -> "NumberedFrames":
        """These frames only."""


class ImageFrames(NumberedFrames):
    """Image files, one per frame.

    Args:
      images: frame numbers and files, in any order.
      files: the place, as the user knows it; the images themselves if None.
      whole: the frames that these are a part of; None for these themselves.
    """

    def __init__(
        self,
        images: Iterable[tuple[int, Path]],
        files: tuple[Path, ...] | None = None,
        whole: "ImageFrames | None" = None,
    ):
        self._paths = dict(sorted(images))
        self._reader = ClipImages(list(self._paths.values()))
        self._whole = whole
        self.files = tuple(self._paths.values()) if files is None else files

    def __str__(self) -> str:
        return str(next(iter(self._paths.values())).parent)

    @property
    def whole(self) -> "ImageFrames":
        return self if self._whole is None else self._whole

    @property
    def expected(self) -> int:
        return len(self._paths)

    @property
    def note(self) -> str:
        return self._reader.note

    def __iter__(self) -> Iterator[tuple[int, np.ndarray]]:
        return ((number, self._reader.read(path)) for number, path in self._paths.items())

    def sample(self, count: int) -> list[np.ndarray]:
        paths = list(self._paths.values())
        positions = np.unique(np.linspace(0, len(paths) - 1, count).astype(int))
        return [self._reader.read(paths[position]) for position in positions]

    def read(self, numbers: Collection[int]) -> Iterator[tuple[int, np.ndarray]]:
        for number in sorted(set(numbers)):
            if number not in self._paths:
                raise UserError(f"{printable(str(self))}: no image of frame {number}")
            yield number, self._reader.read(self._paths[number])

    def numbers(self, reach: int | None = None) -> list[int]:
        return list(self._paths)

    def part(self, numbers: Collection[int]) -> "ImageFrames":
        kept = [(number, path) for number, path in self._paths.items() if number in numbers]
        return ImageFrames(kept, whole=self.whole)


class VideoFrames(NumberedFrames):
    """A video file, always decoded from its beginning: a decoder that seeks may land elsewhere.

    Args:
      path: the file.
      first: the number of its first frame.
      whole: the frames that these are a part of; None for these themselves.

    Attributes:
      first: the number of the first frame.
    """

    has_end = True

    def __init__(self, path: Path, first: int = 0, whole: "VideoFrames | None" = None):
        self._path, self.first, self._whole = path, first, whole
        self._lost = 0
        self.files = (path,)

    def __str__(self) -> str:
        return str(self._path)

    @property
    def whole(self) -> "VideoFrames":
        return self if self._whole is None else self._whole

    @cached_property
    def expected(self) -> int:
        return announced_frames(self._path)

    @property
    def note(self) -> str:
        return "frames inside the video are damaged and left out" if self._lost else ""

    def __iter__(self) -> Iterator[tuple[int, np.ndarray]]:
        for count, (number, image) in enumerate(read_video(self._path)):
            self._lost = number - count
            yield self.first + number, image

    def sample(self, count: int) -> list[np.ndarray]:
        return sample_video(self._path, count)

    def read(self, numbers: Collection[int]) -> Iterator[tuple[int, np.ndarray]]:
        wanted = sorted(set(numbers), reverse=True)
        last = None
        for last, image in self:
            if wanted and last > wanted[-1]:
                raise UserError(f"{printable(str(self))}: frame {wanted[-1]} is damaged")
            if wanted and last == wanted[-1]:
                yield wanted.pop(), image
            if not wanted:
                return
        raise UserError(
            f"{printable(str(self))}: frame {wanted[-1]} cannot be read, the video ends with frame "
            f"{last}" + (" and is cut short" if self._promised(wanted[-1]) else "")
        )

    def numbers(self, reach: int | None = None) -> Sequence[int]:
        if reach is not None and self._promised(reach):
            return range(self.first, self.first + self.expected)
        return self._decoded

    def part(self, numbers: Collection[int]) -> "VideoFrames":
        return VideoFrames(self._path, self.first, self.whole)

    def _promised(self, number: int) -> bool:
        return number < self.first + self.expected

    @cached_property
    def _decoded(self) -> list[int]:
        return [number for number, _ in self]


class Unreadable(Frames):
    """Frames that are there and cannot be read: every attempt raises UserError with the reason."""

    def __init__(self, reason: str, expected: int, files: tuple[Path, ...]):
        self._reason, self._expected, self.files = reason, expected, files

    @property
    def expected(self) -> int:
        return self._expected

    def __iter__(self) -> Iterator[tuple[int, np.ndarray]]:
        raise UserError(self._reason)

    def sample(self, count: int) -> list[np.ndarray]:
        raise UserError(self._reason)

    def read(self, numbers: Collection[int]) -> Iterator[tuple[int, np.ndarray]]:
        raise UserError(self._reason)


@dataclass(frozen=True)
class Interval:
    """One movement that is annotated in a recording, by the numbers of frames that are there.

    Attributes:
      annotation: what the sheet says.
      label, class_name: the number and the name of its class.
      fps: frames per second; 0 where unknown.
      onset, apex: frame numbers; the apex is None where it is to be found in `candidates`.
      candidates: the numbers of the frames after the onset, up to the offset.
      apex_source: as in `PairRecord`.
      offset: frame number; -1 where unknown.
      spread: the numbers of frames that are stored beside onset and apex, ascending; some occur
        twice where the movement is shorter.
      repairs: what was mended; notes: what is odd but was left as it is.
    """

    annotation: Annotation
    label: int
    class_name: str
    fps: float
    onset: int
    apex: int | None
    candidates: tuple[int, ...] = ()
    apex_source: str = "annotated"
    offset: int = -1
    spread: tuple[int, ...] = ()
    repairs: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Everything but the pixels that shapes the record of a pair, as one text."""
        a = self.annotation
        return (
            f"{a.name} {self.label} {self.onset} {self.apex} {self.offset} {self.apex_source} "
            f"{a.emotion} {a.action_units}" + (f" {self.spread}" if self.spread else "")
        )


@dataclass(frozen=True)
class Clip:
    """What `mubert prepare` needs to know of one clip.

    Attributes:
      name: unique in the data set, like a relative path.
      subject: who is seen.
      frames: where its frames are.
      intervals: the annotated movements; none in a set of frames, one in a set of pairs.
    """

    name: str
    subject: str
    frames: Frames
    intervals: tuple[Interval, ...] = ()

    @property
    def num_frames(self) -> int:
        """How many of its images are stored, for progress and sizes; 0 where unknown."""
        return 2 * len(self.intervals) or self.frames.expected


def sequences(clips: Iterable[Clip]) -> list[Clip]:
    """Whole recordings with everything that is annotated in each: a set of sequences.

    Work on spotting movements in long video starts from these: a recording's clip has all of its
    frames, in order, and its intervals give the onset, the apex (None where nobody annotated one)
    and the offset of each movement. Recordings without an annotation are left out.

    Args:
      clips: clips with one interval each, as the `collect` of a labelled set gives them.

    Returns:
      One clip per recording, sorted by name; intervals are sorted by their onset.
    """
    found: dict[int, list[Clip]] = {}
    for clip in clips:
        found.setdefault(id(clip.frames.whole), []).append(clip)
    recordings = [
        replace(
            clips[0],
            name=_recording(clips[0]),
            frames=clips[0].frames.whole,
            intervals=tuple(
                sorted((i for clip in clips for i in clip.intervals), key=lambda i: i.onset)
            ),
        )
        for clips in found.values()
    ]
    return sorted(recordings, key=lambda clip: clip.name)


def _recording(clip: Clip) -> str:
    annotation = clip.intervals[0].annotation
    return f"{clip.subject}/{(annotation.places or (annotation.clip,))[0]}"


def subject_of(relative: PurePath) -> str:
    """The first folder of a clip's path below the input; without one, the clip's own name."""
    return relative.parts[0] if len(relative.parts) >= 2 else relative.name
