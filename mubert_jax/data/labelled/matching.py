"""Annotations matched with what is on the disk: folders, videos, files, and frames in them."""

import logging
import math
import os
import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cache, cached_property, partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import NamedTuple

import numpy as np

from mubert_jax.data.clips import Clip, ImageFrames, Interval, NumberedFrames, VideoFrames
from mubert_jax.data.labelled.annotation import NO_MOVEMENT, Annotation, LeftOut, Refused
from mubert_jax.data.labelled.sheets import OLD, SHEET_SUFFIXES, ZIP, read_workbook, readings
from mubert_jax.data.names import printable
from mubert_jax.data.numbering import numbered_images
from mubert_jax.data.searching import PassedOver, files_in, folders
from mubert_jax.data.video import IMAGE_SUFFIXES, VIDEO_SUFFIXES, frame_number, is_video
from mubert_jax.errors import UserError

BESIDE_IMAGES = "video of a clip whose images are there"


class ClipFolders:
    """The clips of a data set, found at any depth below its input: folders of images, or videos.

    A video stands for the folder that would have its name without the suffix.

    Args:
      input: the folder to search; folders are recognised by the last parts of their paths, so any
        parent of the clips will do.
      locate: path parts of a folder -> key of the clip or video in it, or None.
      skipped: names of folders not to look into, in lower case.
      damaged: key -> numbers of frames that are not to be used.
      first_frame: the number of the first frame of a video.

    Attributes:
      passed: what else was found in the folders that were looked into.
    """

    def __init__(
        self,
        input: Path,
        locate: Callable[[tuple[str, ...]], str | None],
        skipped: Collection[str] = (),
        damaged: Mapping[str, Collection[int]] | None = None,
        first_frame: int = 1,
    ):
        if not input.is_dir():
            raise UserError(f"{input}: no such folder; check --input")
        self._input = input
        self.passed = PassedOver(input)
        self._locate = locate
        self._skipped = set(skipped)
        self._damaged = damaged or {}
        self._frames_at = cache(partial(frames_at, first=first_frame, passed=self.passed))

    @cached_property
    def places(self) -> dict[str, list[Path]]:
        """Key -> folders, several if the key is found several times; or else videos.

        Clip folders are not listed for this, as a video of CAS(ME)3 has thousands of frames; links
        are followed.
        """
        found: dict[str, list[Path]] = {}
        videos: dict[str, dict[str, Path]] = {}
        for _, files in folders(self._input, self.passed, partial(self._enter, found)):
            for path in files:
                suffix = path.suffix.lower()
                if suffix in VIDEO_SUFFIXES and is_video(path) and (key := self._key(path)):
                    videos.setdefault(key, {})[os.path.realpath(path)] = path
                elif suffix in IMAGE_SUFFIXES:
                    self.passed.add("image outside the folders of clips", path)
                elif suffix not in SHEET_SUFFIXES:
                    self.passed.add_file(path)
        for key, paths in videos.items():
            if key in found:
                for path in paths.values():
                    self.passed.add(BESIDE_IMAGES, path)
            else:
                found[key] = list(paths.values())
        return found

    def _enter(self, found: dict[str, list[Path]], folder: Path) -> bool:
        key = self._key(folder)
        if key is not None:
            found.setdefault(key, []).append(folder)
            return False
        return folder == self._input or folder.name.lower() not in self._skipped

    def _key(self, place: Path) -> str | None:
        folder = place if place.is_dir() else place.with_suffix("")
        return self._locate(folder.absolute().parts)

    def frames(self, keys: Sequence[str]) -> NumberedFrames:
        """The frames under the first key that is there; Refused if none is, or if it is twice."""
        places = next((self.places[key] for key in keys if key in self.places), [])
        if not places:
            raise Refused(f"no folder or video {' or '.join(keys)} below {self._input}")
        if len(places) > 1:
            what = "folders" if places[0].is_dir() else "videos"
            raise Refused(
                f"two {what} of one id: {places[0]} and {places[1]}; point --input at one"
            )
        return self._frames_at(places[0])

    def damaged(self, keys: Sequence[str]) -> set[int]:
        """Numbers of the frames under these keys that are not to be used."""
        return {number for key in keys for number in self._damaged.get(key, ())}


def frames_at(path: Path, first: int, passed: PassedOver) -> NumberedFrames:
    """The frames of a folder of images, or of a video file.

    Args:
      path: the folder or file; a folder without images may hold one video.
      first: the number of the first frame of a video.
      passed: is told of what else a folder holds.

    Raises:
      Refused: there is no image, or the frame numbers cannot be told.
    """
    if not path.is_dir():
        return VideoFrames(path, first)
    images, videos, others = [], [], []
    for file in files_in(path, passed):
        suffix = file.suffix.lower()
        kind = (
            images if suffix in IMAGE_SUFFIXES else videos if suffix in VIDEO_SUFFIXES else others
        )
        kind.append(file)
    alone = not images and len(videos) == 1
    for file in others if alone else sorted(videos + others):
        passed.add_file(file)
    return VideoFrames(videos[0], first) if alone else ImageFrames(_numbered(path, images, passed))


def _numbered(folder: Path, paths: list[Path], passed: PassedOver) -> list[tuple[int, Path]]:
    try:
        images = numbered_images(paths, passed)
    except UserError as error:
        raise Refused(str(error)) from error
    if not images:
        raise Refused(f"no image in {printable(folder)}")
    taken = dict(images)
    for path in sorted(set(paths) - set(taken.values())):
        if (number := frame_number(path)) in taken:
            names = " and ".join(sorted((path.name, taken[number].name)))
            raise Refused(
                f"{folder}: {names} both count as frame {number}; keep one file per frame"
            )
    return images


RESPELT = "its file's name is written otherwise on the disk (capitals, accents or blanks)"


class NamedFiles:
    """The files below a folder, by the names that a table gives them.

    Args:
      folder: the folder that the names are relative to.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._names = cache(_names)

    def find(self, name: str, folders: bool = False) -> tuple[Path, str]:
        r"""The file, and `RESPELT` if its name is not quite the given one, else "".

        "\" is taken for "/" if that finds a file. A file that is not found is searched for once
        more regardless of capitals and of how accents and blanks are encoded.

        Args:
          name: the name in the table.
          folders: whether a folder will do, too.

        Raises:
          Refused: there is no such file, it is a folder, several differ only in capitals, or the
            path is one of another computer.
        """
        kind = Path.exists if folders else Path.is_file
        ways = dict.fromkeys((name, name.strip("\"'"), _forward(name)))
        paths = [self._folder / way for way in ways]
        if name.startswith("~/"):
            paths.append(Path(name).expanduser())
        for path in paths:
            if _is(path, kind):
                return path, ""
        for path in paths:
            found = self._respelt(path, kind)
            if len(found) > 1:
                raise Refused(f"{path}: no such file, but {found[0].name} and {found[1].name}")
            if found:
                return found[0], RESPELT
        raise Refused(self._advice(name, paths))

    def exists(self, name: str, folders: bool = False) -> bool:
        """Whether `find` finds it."""
        try:
            return bool(name and self.find(name, folders))
        except Refused:
            return False

    def _respelt(self, path: Path, kind: Callable[[Path], bool]) -> list[Path]:
        try:
            parts = path.relative_to(self._folder).parts
        except ValueError:
            return []
        found = [self._folder]
        for part in parts:
            found = [folder / name for folder in found for name in self._spellings(folder, part)]
        return [path for path in found if _is(path, kind)]

    def _spellings(self, folder: Path, name: str) -> list[str]:
        names = self._names(folder).get(_key(name), [])
        return [name] if name == ".." or name in names else names

    def _advice(self, name: str, paths: list[Path]) -> str:
        if any(_is(path, Path.is_dir) for path in paths):
            return f"{paths[0]}: a folder, not an image"
        parts = PureWindowsPath(name).parts
        if not PureWindowsPath(name).is_absolute() and not name.startswith(("/", "\\")):
            return f"{paths[-1]}: no such file"
        tails = ("/".join(parts[first:]) for first in range(1, len(parts)))
        here = next((tail for tail in tails if _is(self._folder / tail, Path.is_file)), "")
        there = f"; {here} is there below {self._folder}" if here else ""
        return (
            f"{name}: no such file on this computer{there}; give paths relative to the table's "
            "folder or to --input"
        )


def clip_name(name: str) -> str:
    """The name of an image without its suffix, with "/" between its folders."""
    path = PurePosixPath(_forward(name))
    return path.with_suffix("").as_posix() if path.name else name


def _forward(name: str) -> str:
    return name.strip("\"'").replace("\\", "/")


def _key(name: str) -> str:
    """Equal for names that look alike: without capitals, in one form of accents and blanks."""
    shown = "".join(c for c in name if unicodedata.category(c) != "Cf")
    return " ".join(unicodedata.normalize("NFKC", shown.casefold()).casefold().split())


def _names(folder: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    try:
        for path in folder.iterdir():
            found.setdefault(_key(path.name), []).append(path.name)
    except OSError:
        pass
    return {key: sorted(names) for key, names in found.items()}


def _is(path: Path, kind: Callable[[Path], bool]) -> bool:
    try:
        return kind(path)
    except (OSError, ValueError):  # a name that no file can have
        return False


FrameOf = Callable[[str], tuple[str, int] | None]
"""A line of a list -> key of the clip or video, as `LabelledSet.locate` gives it, and frame."""

_log = logging.getLogger(__name__)


def read_damaged(lists: Iterable[Path], frame_of: FrameOf, example: str) -> dict[str, set[int]]:
    """Key of a video -> its damaged frames; empty lines are passed over.

    Lines that name no frame are counted in a warning.

    Args:
      lists: text files or workbooks with one frame per line or row.
      frame_of: reads a line, or the cells of a row with blanks between them.
      example: such a line, for messages.

    Raises:
      UserError: a list does not exist, or none of its lines names a frame.
    """
    found: dict[str, set[int]] = {}
    for path in lists:
        odd: list[str] = []
        lines = _lines(path)
        for where, line in lines:
            if (known := frame_of(line)) is None:
                odd.append(f"{where}: {line.strip()[:60]!r}")
            else:
                key, frame = known
                found.setdefault(key, set()).add(frame)
        if len(odd) == len(lines):
            first = f", {odd[0]}" if odd else ": empty"
            raise UserError(
                f"{path}{first} names no frame, nor does any other line (such as {example}); "
                "check --damaged"
            )
        if odd:
            more = f" (and {len(odd) - 1} more)" if len(odd) > 1 else ""
            _log.warning("%s, %s names no frame, passed over%s", path, odd[0], more)
    return found


def _lines(path: Path) -> list[tuple[str, str]]:
    """Each filled line, after where it is."""
    try:
        encoded = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; check --damaged") from error
    if encoded[:4] not in (ZIP, OLD):
        lines = enumerate(readings(encoded)[0].text.splitlines(), 1)
        return [(f"line {number}", line) for number, line in lines if line.strip()]
    return [
        (f"row {number} of sheet {name!r}", " ".join(str(cell) for cell in cells if cell != ""))
        for name, grid in read_workbook(path, encoded[:4]).items()
        for number, cells in grid.lines.items()
    ]


APEX_CHOICES = ("midpoint", "auto")
# From the onset to the apex or offset, far beyond any micro-expression (up to half a second, says
# the paper's abstract): anything longer is a typing mistake, such as a digit too many.
_LONGEST_SECONDS = 10.0
# From the onset to the offset; longer clips are kept with a note, as CAS(ME)3 has 72 of them.
_UNUSUAL_SECONDS = 2.0


def usable_numbers(
    frames: NumberedFrames, damaged: Collection[int], reach: int | None = None
) -> Sequence[int]:
    """The numbers of the frames that are not `damaged`, ascending, at least one.

    `reach` is as for `NumberedFrames.numbers`. Raises LeftOut for a video that cannot be decoded,
    Refused if all frames are damaged.
    """
    try:
        numbers = frames.numbers(reach)
    except UserError as error:
        raise LeftOut(str(error)) from error
    usable = [number for number in numbers if number not in damaged] if damaged else numbers
    if not usable:
        raise Refused(f"every frame of {frames} is in the list of damaged frames")
    return usable


def match(
    annotation: Annotation,
    frames: NumberedFrames,
    fps: float,
    label: int,
    class_name: str,
    apex: str | None,
    damaged: Collection[int] = (),
    clip_frames: int = 0,
) -> Clip:
    """The clip with its onset and apex among the frames, and what had to be mended for that.

    - An onset or apex that is not there is replaced by the nearest frame that is, inside the clip
      and at most half the way between the two off. A number behind the last frame of a video is a
      mistake instead.
    - An offset before the onset, or more than 10 s after it, counts as unknown.
    - A missing apex, or one after the offset, is found by `apex`, if that is given.

    Args:
      annotation: what is annotated.
      frames: the frames of its folder or video.
      fps: frames per second; 0 if unknown, and then no time is too long.
      label, class_name: the number and the name of its class.
      apex: how to find an apex that is not annotated: "midpoint", "auto" or None.
      damaged: numbers of frames that are not to be used.
      clip_frames: how many frames of the movement are stored beside onset and apex.

    Raises:
      LeftOut: there is no apex and `apex` is None, or a video cannot be decoded.
      Refused: there is no onset, the apex is before the onset or too late, or no frame is on the
        disk.
    """
    repairs: list[str] = []
    notes = list(annotation.notes)
    annotated = (annotation.onset, annotation.apex, annotation.offset)
    reach = max((number for number in annotated if number is not None), default=0)
    numbers = usable_numbers(frames, damaged, reach)
    onset = _onset(annotation, numbers)
    offset = annotation.offset
    if offset is not None and not 0 <= offset - onset <= (_LONGEST_SECONDS * fps or math.inf):
        repairs.append(f"offset {offset} left out, the onset is {onset}")
        offset = None
    peak, end, source = _peak(annotation, onset, offset, fps, apex, repairs)
    if frames.has_end:
        _check_ends(frames, numbers, onset, peak, offset)
    if not any(onset <= number <= max(end, offset or 0) for number in numbers):
        raise Refused(
            f"none of the frames {onset} to {max(end, offset or 0)} is on the disk, "
            f"{frames} holds {numbers[0]} to {numbers[-1]}"
        )
    if onset not in numbers:
        onset = _moved("onset", onset, (onset, onset + (end - onset) // 2), numbers, repairs)
    later = tuple(number for number in numbers if onset < number <= (offset or end))
    if peak is None:
        if not later:
            raise Refused(f"no frame on the disk after the onset {onset}, up to {end}")
        if apex == "midpoint":
            peak = min(later, key=lambda number: abs(2 * number - onset - end))
    elif peak not in numbers:
        reach = max(1, (peak - onset) // 2)
        last = peak + reach if offset is None else min(offset, peak + reach)
        span = (max(onset + 1, peak - reach), last)
        peak = _moved("apex", peak, span, numbers, repairs)
        source = "nearest"
    if peak == onset:
        notes.append(NO_MOVEMENT)
    if offset is not None and offset not in numbers:
        notes.append(f"offset {offset} is not on the disk")
    if offset is not None and offset - onset > (_UNUSUAL_SECONDS * fps or math.inf):
        notes.append(f"{offset - onset + 1} frames are long for a micro-expression")
    candidates = later if peak is None else ()
    spread = _spread(later or (onset,), clip_frames)
    interval = Interval(
        annotation,
        label,
        class_name,
        fps,
        onset=onset,
        apex=peak,
        candidates=candidates,
        apex_source=source,
        offset=-1 if offset is None else offset,
        spread=spread,
        repairs=tuple(repairs),
        notes=tuple(notes),
    )
    needed = {onset, *(candidates if peak is None else (peak,)), *spread}
    return Clip(annotation.name, annotation.person, frames.part(needed), (interval,))


def _spread(numbers: Sequence[int], count: int) -> tuple[int, ...]:
    """So many of the numbers, evenly spread, the first and the last among them."""
    places = np.linspace(0, len(numbers) - 1, count).round().astype(int)
    return tuple(numbers[place] for place in places)


def _check_ends(
    frames: NumberedFrames,
    numbers: Sequence[int],
    onset: int,
    peak: int | None,
    offset: int | None,
) -> None:
    """Raises Refused if the numbers cannot be those of this video."""
    first, last = numbers[0], numbers[-1]
    if (
        offset is not None
        and offset > last
        and onset > first
        and len(numbers) == offset - onset + 1
    ):
        raise Refused(
            f"{frames} has {len(numbers)} frames, as many as there are from {onset} to {offset}: "
            f"it seems to begin at the onset, not at frame {first}; extract its frames into a "
            "folder, numbered as they are annotated"
        )
    for what, number in (("onset", onset), ("apex", peak)):
        if number is not None and number > last:
            raise Refused(f"{what} {number} is beyond {frames}, which holds {first} to {last}")


def _onset(annotation: Annotation, numbers: Sequence[int]) -> int:
    if annotation.onset is None:
        raise Refused("no onset annotated")
    if annotation.onset == 0 and 0 not in numbers:
        raise Refused("onset 0 is not on the disk, so none was annotated")
    return annotation.onset


class _Peak(NamedTuple):
    """The apex of a clip.

    Attributes:
      frame: the annotated apex if it can be used; None if it is to be found up to the offset.
      end: the last frame that matters: the apex, or else the offset.
      source: as `Interval.apex_source`.
    """

    frame: int | None
    end: int
    source: str


def _peak(
    annotation: Annotation,
    onset: int,
    offset: int | None,
    fps: float,
    apex: str | None,
    repairs: list[str],
) -> _Peak:
    peak = annotation.apex
    if peak is not None and peak < onset:
        raise Refused(f"apex {peak} before onset {onset}")
    wrong = None
    if peak is not None and offset is not None and peak > offset:
        wrong = f"apex {peak} after offset {offset}"
    elif peak is not None and peak - onset > (_LONGEST_SECONDS * fps or math.inf):
        wrong = f"apex {peak} is {(peak - onset) / fps:.0f} s after onset {onset}"
    if peak is not None and wrong is None:
        return _Peak(peak, peak, "annotated")
    if apex is None:
        if wrong is None:
            raise LeftOut("no apex annotated (--apex midpoint or auto would find one)")
        raise Refused(f"{wrong} (--apex midpoint or auto would find another)")
    if offset is None:
        raise Refused(f"{wrong or 'no apex annotated'}, and no usable offset to find one")
    if wrong is not None:
        repairs.append(f"{wrong}, {apex} taken")
    return _Peak(None, offset, apex)


def _moved(
    what: str, frame: int, span: tuple[int, int], numbers: Sequence[int], repairs: list[str]
) -> int:
    inside = [number for number in numbers if span[0] <= number <= span[1]]
    if not inside:
        raise Refused(f"{what} {frame} is not on the disk, nor any frame of {span[0]} to {span[1]}")
    nearest = min(inside, key=lambda number: abs(number - frame))
    repairs.append(f"{what} {frame} is not on the disk, {nearest} taken")
    return nearest
