"""Sets of long videos, which are all read in one way: `collect` gives videos and intervals."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

from mubert_jax.data.clips import NumberedFrames
from mubert_jax.data.labelled.annotation import Dropped, LeftOut, Refused
from mubert_jax.data.labelled.matching import ClipFolders
from mubert_jax.data.labelled.sheets import SHEET_SUFFIXES, Columns, Row, read_rows
from mubert_jax.data.searching import PassedOver
from mubert_jax.errors import UserError
from mubert_jax.spotting.annotated import OFFSETS, Annotated, Settled, settle
from mubert_jax.spotting.videos import LongVideoFile


@dataclass(frozen=True)
class SequenceOptions:
    """What a sheet leaves open.

    Attributes:
      unknown_offset: one of `annotated.OFFSETS`; None refuses expressions without an offset.
      fps: frames per second, where neither the set nor its table tells.
      lenient: leave out what may be wrong, and list it, instead of stopping.
    """

    unknown_offset: str | None = None
    fps: float | None = None
    lenient: bool = False

    def __post_init__(self):
        if self.unknown_offset not in (None, *OFFSETS):
            raise UserError(
                f"--unknown-offset {self.unknown_offset!r}: choose {' or '.join(OFFSETS)}"
            )


@dataclass(frozen=True)
class Found:
    """One video on the disk.

    Attributes:
      subject, video: what the tables call them.
      frames: its frames, by the sheet's numbers.
      path: the file, or the folder of its images.
      fps: frames per second.
    """

    subject: str
    video: str
    frames: NumberedFrames
    path: Path
    fps: float


@dataclass(frozen=True)
class CollectedSequences:
    """What was found.

    Attributes:
      videos: all that are on the disk, also without an expression.
      settled: the intervals, each beside what is annotated.
      dropped: what has no interval, and why.
      annotation: the sheets.
      passed: what else the folder holds.
    """

    videos: Sequence[LongVideoFile]
    settled: Sequence[tuple[Annotated, Settled]]
    dropped: Sequence[Dropped]
    annotation: str
    passed: PassedOver = field(default_factory=PassedOver)

    def check(self, lenient: bool) -> "CollectedSequences":
        """Gives itself; UserError if a strict run refuses something, or if nothing is left."""
        refused = [one for one in self.dropped if one.refused]
        if refused and not lenient:
            more = f" ({len(refused) - 1} more like it)" if len(refused) > 1 else ""
            raise UserError(
                f"{self.annotation}: row {refused[0].row} ({refused[0].name}): "
                f"{refused[0].reason}; correct it, or add --lenient to leave such out{more}"
            )
        if not self.settled:
            why = f"; the first: {self.dropped[0].reason}" if self.dropped else ""
            raise UserError(
                f"{self.annotation}: none of {len(self.dropped)} expressions could be used{why}"
            )
        return self


Read = tuple[list[Annotated], list[Dropped]]
"""What a sheet holds, and what could not be read."""


def read_sheet(
    path: Path,
    columns: Columns,
    optional: Sequence[str],
    annotate: Callable[[Row, str], Annotated],
    sheet: str | None = None,
) -> Read:
    """What `annotate` makes of the rows of a sheet and of the name of its file.

    Raises:
      UserError: as `read_rows`.
    """
    found, dropped = [], []
    for row in read_rows(path, columns, optional, sheet, with_problems=True):
        if not (row.text("clip") or row.text("onset") or row.problem):
            continue
        try:
            if row.problem:
                raise Refused(row.problem)
            found.append(annotate(row, path.name))
        except Refused as error:
            name = " ".join(filter(None, (row.text("subject"), row.text("clip"))))
            emotion = row.text("emotion").lower()
            dropped.append(Dropped(name, "", row.number, emotion, str(error), True))
    return found, dropped


@dataclass(frozen=True)
class LongSet:
    """One data set of long videos.

    Attributes:
      name, title: the names that `mubert prepare sequences` and the owners give it.
      fps: frames per second.
      example: the path of one frame below the input, for messages.
      locate: path parts of a folder, or of a video without its suffix -> key of the video, or None.
      named: the same -> subject and video, as the tables call them.
      read: a sheet -> what is annotated in it.
      sheets: sets of regular expressions for the letters and digits of file names, the best first;
        of the first set of which each finds one file, all are read.
      skipped: folders not to look into, in lower case.
      first_frame: the number that the sheet gives to the first frame of a video file.
    """

    name: str
    title: str
    fps: float
    example: str
    locate: Callable[[tuple[str, ...]], str | None]
    named: Callable[[tuple[str, ...]], tuple[str, str]]
    read: Callable[[Path], Read]
    sheets: tuple[tuple[str, ...], ...]
    skipped: tuple[str, ...] = ()
    first_frame: int = 1

    def collect(
        self, input: Path | None, annotation: Sequence[Path], options: SequenceOptions
    ) -> CollectedSequences:
        """Every video below `input`, with the expressions that are annotated in it.

        Args:
          annotation: the sheets; none looks for them in `input` and beside it.

        Raises:
          UserError: no folder is given, it does not exist or holds no video, a sheet is missing or
            wrong, or, in a strict run, an interval may be wrong.
        """
        if input is None:
            raise UserError(f"{self.name} needs --input=DIR, the folder with its videos")
        if options.fps is not None:
            raise UserError(f"--fps is not for {self.name}: it has {self.fps:g}")
        folders = ClipFolders(input, self.locate, self.skipped, first_frame=self.first_frame)
        if not folders.places:
            raise UserError(
                f"{input}: no video of {self.title} at any depth (looked for {self.example}, or a "
                f"video in the place of its folder); check --input{folders.passed.clause()}"
            )
        sheets = list(annotation) or self._find_sheets(input)
        found, dropped = [], []
        for sheet in sheets:
            here, left = self.read(sheet)
            found += here
            dropped += left
        videos: dict[str, Found | str] = {}
        for key, (place, *_) in folders.places.items():
            folder = place if place.is_dir() else place.with_suffix("")
            try:
                names = self.named(folder.absolute().parts)
                videos[key] = Found(*names, folders.frames([key]), place, self.fps)
            except Refused as error:
                videos[key] = str(error)
        return collected(videos, found, dropped, sheets, folders.passed, input, options)

    def _find_sheets(self, input: Path) -> list[Path]:
        here = [
            path
            for folder in (input, input.absolute().parent)
            for path in sorted(folder.glob("*"))
            if path.suffix.lower() in SHEET_SUFFIXES and not path.name.startswith(("~", "."))
        ]
        for patterns in self.sheets:
            matching = [
                [p for p in here if re.search(pattern, re.sub(r"[^a-z0-9]", "", p.stem.lower()))]
                for pattern in patterns
            ]
            if several := next((paths for paths in matching if len(paths) > 1), None):
                names = ", ".join(map(str, several))
                raise UserError(
                    f"{input}: several sheets of {self.title} ({names}); say --annotation"
                )
            if all(matching):
                return [paths[0] for paths in matching]
        raise UserError(
            f"{input}: no sheet of {self.title} in it or beside it; give --annotation FILE"
        )


def collected(
    videos: Mapping[str, Found | str],
    found: Sequence[Annotated],
    dropped: Sequence[Dropped],
    sheets: Sequence[Path],
    passed: PassedOver,
    input: Path,
    options: SequenceOptions,
) -> CollectedSequences:
    """Annotations matched with videos.

    Args:
      videos: by their keys; a text says why one cannot be used.
      dropped: what could not be read of the sheets.

    Raises:
      UserError: as `CollectedSequences.check`.
    """
    usable, why = _with_numbers(videos, found)
    settled: list[tuple[Annotated, Settled]] = []
    dropped, seen = list(dropped), {}
    ways = Counter(_interval(one) for one in {_content(one): one for one in found}.values())
    for one in found:
        try:
            if (first := seen.setdefault(_content(one), one)) is not one:
                raise LeftOut(f"the same as row {first.row} of {first.sheet}")
            if ways[_interval(one)] > 1:
                raise Refused("annotated twice, in different ways")
            if one.key not in usable:
                raise Refused(why.get(one.key, f"no folder or video {one.key} below {input}"))
            video, numbers = usable[one.key]
            rule = options.unknown_offset
            made = settle(one, video.subject, video.video, numbers, video.fps, rule)
            settled.append((one, made))
        except (Refused, LeftOut) as error:
            reason, refused = str(error), isinstance(error, Refused)
            dropped.append(Dropped(one.name, "", one.row, one.emotion, reason, refused))
    files = [
        LongVideoFile(
            video.subject,
            video.video,
            len(numbers),
            video.fps,
            str(video.path.resolve()),
            numbers[0],
        )
        for video, numbers in usable.values()
    ]
    files.sort(key=lambda file: (file.subject, file.video))
    told = ", ".join(map(str, sheets))
    settled = _with_overlaps(settled)
    return CollectedSequences(files, settled, dropped, told, passed).check(options.lenient)


def _with_numbers(
    videos: Mapping[str, Found | str], found: Sequence[Annotated]
) -> tuple[dict[str, tuple[Found, Sequence[int]]], dict[str, str]]:
    """The videos with the numbers of their frames, and why the others have none."""
    reach: dict[str, int] = {}
    for one in found:
        numbers = (one.onset or 0, one.offset or 0, 2 * (one.apex or 0) - (one.onset or 0))
        reach[one.key] = max(reach.get(one.key, 0), *numbers)
    usable, why = {}, {}
    for key, video in videos.items():
        if isinstance(video, str):
            why[key] = video
            continue
        try:
            usable[key] = video, video.frames.numbers(reach.get(key, 0))
        except UserError as error:
            why[key] = str(error)
    return usable, why


def _content(one: Annotated) -> Annotated:
    return replace(one, row=0, sheet="", notes=())


def _interval(one: Annotated) -> tuple[str, int | None, int | None, str]:
    return one.key, one.onset, one.offset, one.kind


def _with_overlaps(
    settled: Sequence[tuple[Annotated, Settled]],
) -> list[tuple[Annotated, Settled]]:
    """The same, by video and onset, with a note where one begins before the last has ended."""
    ordered = sorted(settled, key=lambda pair: (pair[1].interval.recording, pair[1].interval.onset))
    noted = ordered[:1]
    for (before, last), (one, made) in pairwise(ordered):
        first, second = last.interval, made.interval
        if first.recording == second.recording and second.onset <= first.offset:
            note = f"overlaps row {before.row} of {before.sheet}"
            made = replace(made, notes=(*made.notes, note))
        noted.append((one, made))
    return noted
