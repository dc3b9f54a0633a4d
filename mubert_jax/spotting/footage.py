"""Videos and folders of frames, read once, with the time of every frame."""

import dataclasses
import os
import statistics
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np

from mubert_jax.data.clips import ImageFrames
from mubert_jax.data.names import printable
from mubert_jax.data.numbering import numbered_images
from mubert_jax.data.searching import PassedOver
from mubert_jax.data.sets.video import clips
from mubert_jax.data.video import (
    IMAGE_SUFFIXES,
    announced_frames,
    frame_rate,
    read_timed_video,
)
from mubert_jax.errors import UserError
from mubert_jax.spotting.intervals import read_recordings
from mubert_jax.spotting.videos import VIDEOS_FILE, read_files

# A micro-expression may last a sixth of a second, and has to be seen in two frames at least.
SLOWEST = 12.0


@dataclasses.dataclass(frozen=True, eq=False)
class Frame:
    """A frame of a recording: its number from 0, its time in seconds, (H, W, 3) uint8 RGB."""

    number: int
    seconds: float
    image: np.ndarray


@dataclasses.dataclass(frozen=True)
class Footage:
    """A recording.

    Attributes:
      subject, video: who is seen, "" where the place does not say; what the recording is called.
      path: a video file or a folder of images.
      fps: frames per second.
      stamped: whether the times are those of the stream; else they are counted by `fps`.
      images: the files of a folder, by their numbers; () for a video file.
    """

    subject: str
    video: str
    path: Path
    fps: float
    stamped: bool = True
    images: tuple[tuple[int, Path], ...] = ()

    @property
    def expected(self) -> int:
        """How many frames there should be; 0 where a video does not say."""
        return len(self.images) or announced_frames(self.path)

    def __iter__(self) -> Iterator[Frame]:
        """All frames that can be read, in order.

        Raises:
          UserError: none can be.
        """
        if self.images:
            return self._of_folder()
        return self._of_video()

    def _of_folder(self) -> Iterator[Frame]:
        frames = ImageFrames(self.images, (self.path,))
        damaged = 0
        for number in frames.numbers():
            try:
                ((_, image),) = frames.read([number])
            except UserError:
                damaged += 1
                continue
            yield Frame(number, number / self.fps, image)
        if damaged == len(self.images):
            raise UserError(
                f"{printable(self.path)}: none of its images can be read; copy it again"
            )

    def _of_video(self) -> Iterator[Frame]:
        last = None
        for number, stamp, image in read_timed_video(self.path):
            seconds = stamp if self.stamped else number / self.fps
            if last is not None and seconds <= last:
                # Some streams carry no time, or one that goes back.
                seconds = last + 1 / self.fps
            last = seconds
            yield Frame(number, seconds, image)

    def read(self, numbers: Collection[int]) -> Iterator[Frame]:
        """These frames in one pass, as `__iter__` has them, without those that cannot be read."""
        wanted = set(numbers)
        frames = iter(self._part(wanted)) if wanted else iter(())
        while wanted:
            try:
                frame = next(frames, None)
            except UserError:
                # It was read before: none of what is wanted can be read now.
                return
            if frame is None:
                return
            if frame.number in wanted:
                wanted.remove(frame.number)
                yield frame

    def _part(self, wanted: set[int]) -> "Footage":
        """Only these of a folder's images; a video is decoded from its beginning."""
        if not self.images:
            return self
        kept = tuple(item for item in self.images if item[0] in wanted)
        return dataclasses.replace(self, images=kept)


def footage(
    videos: Sequence[Path], folder: Path | None = None, fps: float | None = None
) -> list[Footage]:
    """What is to be spotted: video files, or all that is in a folder.

    A folder with a videos.csv is a prepared set, as `mubert prepare sequences` makes one. A folder
    of images is one recording; any other folder is searched for video files at every depth, and the
    subject of one is the folder that it is in, below `folder`.

    Args:
      fps: frames per second, whatever the videos say; images need it.

    Raises:
      UserError: a file is missing, two recordings have one name, or there is nothing to read.
    """
    found = [_of_video(path, "", fps) for path in videos]
    if folder is not None:
        found += _in_folder(folder, fps)
    seen: dict[str, Path] = {}
    for one in found:
        if (name := file_name(one)) in seen:
            raise UserError(
                f"{printable(one.path)} and {printable(seen[name])} have one name; spot them with "
                "two --output folders"
            )
        seen[name] = one.path
    return found


def file_name(one: Footage) -> str:
    """What the files of a recording are called, without a suffix."""
    subject = one.subject.replace(os.sep, "_")
    if one.video.startswith(subject):
        return one.video
    return f"{subject}_{one.video}"


def _of_video(path: Path, subject: str, fps: float | None) -> Footage:
    rate = fps or frame_rate(path)
    return Footage(subject, printable(path.stem), path, _checked(path, rate), fps is None)


def _in_folder(folder: Path, fps: float | None) -> list[Footage]:
    if not folder.is_dir():
        what = "a file; give it as --video" if folder.exists() else "no such folder; check the path"
        raise UserError(f"{printable(folder)}: {what}")
    if (folder / VIDEOS_FILE).is_file():
        return _of_set(folder / VIDEOS_FILE, fps)
    if not any(path.suffix.lower() in IMAGE_SUFFIXES for path in folder.iterdir()):
        return [
            _of_video(path, "/".join(map(printable, path.relative_to(folder).parts[:-1])), fps)
            for clip in clips(folder)
            for path in clip.frames.files
        ]
    if fps is None:
        raise UserError(f"{printable(folder)}: images do not say how fast they are; give --fps")
    return [_of_images(folder, "", printable(folder.resolve().name), fps)]


def _of_images(folder: Path, subject: str, name: str, fps: float) -> Footage:
    """Frames count from 0, in the order of the numbers in their names."""
    images = [path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES]
    numbered = numbered_images(images, PassedOver(folder))
    counted = tuple((place, path) for place, (_, path) in enumerate(numbered))
    return Footage(subject, name, folder, _checked(folder, fps), False, counted)


def _of_set(table: Path, fps: float | None) -> list[Footage]:
    """The recordings of a prepared set, by its names and its frame rates."""
    found, rates = [], read_recordings(table)
    for (subject, name), path in read_files(table).items():
        rate = fps or rates[subject, name].fps
        if path.is_dir():
            found.append(_of_images(path, subject, name, rate))
        else:
            found.append(Footage(subject, name, path, _checked(path, rate), fps is None))
    return found


def _checked(path: Path, fps: float) -> float:
    if fps < SLOWEST:
        raise UserError(
            f"{printable(path)}: {fps:g} frames per second are too slow for micro-expressions; "
            f"{SLOWEST:g} are needed (--fps says otherwise)"
        )
    return fps


def working_rate(fps: float, most: float) -> float:
    """The rate nearest to `most` that is a whole part of `fps`: all frames are apart alike."""
    return fps / max(1, round(fps / most))


def thinned(frames: Iterator[Frame], rate: float, longest_gap: float) -> Iterator[Frame]:
    """The frames nearest to the times i / rate; where frames are slower, some come twice.

    It starts anew behind a gap of more than `longest_gap` seconds.
    """
    before: Frame | None = None
    start, tick = 0.0, 0
    for frame in frames:
        if before is None or frame.seconds - before.seconds > longest_gap:
            if before is not None and start + tick / rate <= before.seconds + 1e-6:
                yield before
            start, tick = frame.seconds, 0
        else:
            while (at := start + tick / rate) <= frame.seconds - 1e-6:
                yield before if at - before.seconds < frame.seconds - at else frame
                tick += 1
        before = frame
    if before is not None and start + tick / rate <= before.seconds + 0.5 / rate:
        yield before


def measured_rate(seconds: Sequence[float]) -> float:
    """Frames per second of frames at these times, by the median distance."""
    return 1 / statistics.median(b - a for a, b in zip(seconds, seconds[1:], strict=False))
