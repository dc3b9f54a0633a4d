"""Labelled data sets, which are all read in one way: `collect` gives their clips.

`LabelledSet` is a set of the field as a file of `mubert_jax.data.sets` describes it, `Composite` is
several of them as one, and `PairTable` is anyone's own table.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from mubert_jax.data.clips import Clip, ImageFrames, Interval, VideoFrames
from mubert_jax.data.labelled.annotation import (
    Annotation,
    ClassScheme,
    Dropped,
    LeftOut,
    Refused,
    frame_number,
    is_missing,
    measure,
)
from mubert_jax.data.labelled.matching import (
    APEX_CHOICES,
    ClipFolders,
    FrameOf,
    NamedFiles,
    clip_name,
    frames_at,
    match,
    read_damaged,
    usable_numbers,
)
from mubert_jax.data.labelled.sheets import SHEET_SUFFIXES, Row, read_rows
from mubert_jax.data.people import merged_classes, merged_people, plain
from mubert_jax.data.plan import PrepareOptions
from mubert_jax.data.report import count
from mubert_jax.data.searching import PassedOver
from mubert_jax.data.video import frame_number as number_in_name
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


COLUMNS = {
    "subject": ("Subject", "Sub", "Subject No"),
    "clip": ("Filename", "File name", "Clip", "Seq"),
    "onset": ("OnsetFrame", "Onset", "OnsetF"),
    "apex": ("ApexFrame", "Apex", "ApexF"),
    "offset": ("OffsetFrame", "Offset", "OffsetF"),
    "action_units": ("Action Units", "Action Unit", "AU", "AUs"),
    "emotion": ("Estimated Emotion", "Emotion"),
}
"""Names of columns in most sheets, written with or without blanks and capitals."""

Found = tuple[list[Annotation], list[Dropped]]
"""The annotations of a data set, and what could not be read as one."""


@dataclass(frozen=True)
class LabelledSet:
    """One data set.

    Attributes:
      name, title: the names that `mubert prepare` and the owners give it.
      fps: frames per second.
      example: the path of one frame below the input, for messages.
      locate: path parts of a folder -> key of the clip or video in it, or None.
      annotate: a row of the sheet -> its annotation; raises Refused or LeftOut.
      schemes: class mappings by their number of classes, the usual one first.
      columns, optional, sheet: as `read_rows` takes them.
      sheet_name: a regular expression for the letters and digits of the sheet's file name.
      skipped: folders not to look into, in lower case.
      damaged_frame: a line of the owners' lists of damaged frames -> key and frame number; None
        if there are no such lists.
      has_apex: whether the owners annotated apexes.
      first_frame: the number that the annotations give to the first frame of a video.
      annotate_folders: gives the annotations that the folders alone tell, with the first and last
        frame as onset and offset; None if they tell none.
    """

    name: str
    title: str
    fps: float
    example: str
    locate: Callable[[tuple[str, ...]], str | None]
    annotate: Callable[[Row], Annotation]
    schemes: Mapping[int, ClassScheme]
    sheet_name: str
    columns: Mapping[str, tuple[str, ...]]
    optional: tuple[str, ...] = ("action_units",)
    sheet: str | None = None
    skipped: tuple[str, ...] = ()
    damaged_frame: FrameOf | None = None
    has_apex: bool = True
    first_frame: int = 1
    annotate_folders: Callable[[ClipFolders], Found | None] | None = None

    def scheme(self, classes: int | None) -> ClassScheme:
        """The mapping with that many classes, for None the usual one; UserError if it has none."""
        classes = next(iter(self.schemes)) if classes is None else classes
        if classes not in self.schemes:
            known = " or ".join(map(str, self.schemes))
            raise UserError(f"--classes {classes}: {self.name} has {known} classes")
        return self.schemes[classes]

    def collect(self, input: Path, annotation: Path | None, options: PairOptions) -> Collected:
        """Every annotated clip, matched with its frames below `input`.

        Args:
          input: the folder with the frames.
          annotation: the sheet; None looks for it in `input` and beside it.
          options: the class mapping, and what to do about apexes and doubtful clips.

        Raises:
          UserError: the folder does not exist or holds no clip, the sheet is missing or wrong,
            there is no such mapping, or, in a strict run, a clip may be wrong.
        """
        scheme = self.scheme(options.classes)
        damaged = self._damaged(options.damaged)
        folders = ClipFolders(input, self.locate, self.skipped, damaged, self.first_frame)
        if not folders.places:
            raise UserError(
                f"{input}: no clip of {self.title} at any depth (looked for {self.example}, or a "
                f"video in the place of its folder); check --input{folders.passed.clause()}"
            )
        said = None
        if annotation is None and self.annotate_folders is not None:
            said = self.annotate_folders(folders)
        whole = said is not None
        if not whole:
            annotation = annotation or self._find_sheet(input)
            said = self._read(annotation)
        found, dropped = said
        clips, also_dropped = self._match(found, folders, scheme, options, whole)
        return Collected(
            clips,
            dropped + also_dropped,
            scheme.classes,
            scheme.published,
            scheme.subjects,
            str(input if whole else annotation),
            notes=_counting(clips),
            passed=folders.passed,
        ).check(options.lenient)

    def _damaged(self, lists: tuple[str, ...]) -> dict[str, set[int]]:
        if not lists:
            return {}
        if self.damaged_frame is None:
            raise UserError(f"--damaged {lists[0]}: there are no such lists for {self.name}")
        return read_damaged(map(Path, lists), self.damaged_frame, self.example)

    def _read(self, sheet: Path) -> Found:
        found, dropped = [], []
        for row in read_rows(sheet, self.columns, self.optional, self.sheet, with_problems=True):
            if not (row.text("clip") or row.text("onset") or row.problem):
                continue
            try:
                if row.problem:
                    raise Refused(row.problem)
                one = self.annotate(row)
                found.append(replace(one, notes=one.notes + row.notes))
            except (Refused, LeftOut) as error:
                name = " ".join(filter(None, (row.text("subject"), row.text("clip"))))
                refused = isinstance(error, Refused)
                emotion = row.text("emotion").lower()
                dropped.append(Dropped(name, "", row.number, emotion, str(error), refused))
        return found, dropped

    def _match(
        self,
        found: list[Annotation],
        folders: ClipFolders,
        scheme: ClassScheme,
        options: PairOptions,
        whole: bool,
    ) -> tuple[list[Clip], list[Dropped]]:
        apex = options.apex or (None if self.has_apex else "midpoint")
        first: dict[str, Annotation] = {}
        taken = Counter(annotation.name for annotation in dict.fromkeys(map(_content, found)))
        clips, dropped = [], []
        for annotation in found:
            try:
                label = scheme.label(annotation)
                if (same := first.setdefault(annotation.name, annotation)) is not annotation:
                    if _content(same) == _content(annotation):
                        raise LeftOut(f"the same as row {same.row}")
                if taken[annotation.name] > 1:
                    rows = [str(a.row) for a in found if a.name == annotation.name]
                    raise Refused(f"two clips of one id, in rows {' and '.join(rows)}")
                frames = folders.frames(annotation.places)
                damaged = folders.damaged(annotation.places)
                if whole:
                    numbers = usable_numbers(frames, damaged)
                    annotation = replace(annotation, onset=numbers[0], offset=numbers[-1])
                annotation = _with_damage(annotation, damaged)
                name = scheme.classes[label]
                clips.append(
                    match(
                        annotation,
                        frames,
                        self.fps,
                        label,
                        name,
                        apex,
                        damaged,
                        options.clip_frames,
                    )
                )
            except (Refused, LeftOut) as error:
                dropped.append(
                    Dropped(
                        annotation.name,
                        annotation.person,
                        annotation.row,
                        annotation.emotion,
                        str(error),
                        isinstance(error, Refused),
                    )
                )
        return clips, dropped

    def _find_sheet(self, input: Path) -> Path:
        candidates = sorted(
            path
            for folder in (input, input.absolute().parent)
            for path in folder.glob("*")
            if path.suffix.lower() in SHEET_SUFFIXES
            and not path.name.startswith(("~", "."))
            and re.search(self.sheet_name, re.sub(r"[^a-z0-9]", "", path.stem.lower()))
        )
        if len(candidates) == 1:
            return candidates[0]
        if candidates:
            names = ", ".join(str(path) for path in candidates)
            raise UserError(f"{input}: several sheets of {self.title} ({names}); say --annotation")
        raise UserError(
            f"{input}: no sheet of {self.title} in it or beside it; give --annotation FILE"
        )


def _with_damage(annotation: Annotation, damaged: set[int]) -> Annotation:
    """The annotation with a note on each of its frames that is in a list of damaged ones."""
    notes = tuple(
        f"{what} {number} is in the list of damaged frames"
        for what, number in (("onset", annotation.onset), ("apex", annotation.apex))
        if number in damaged
    )
    return replace(annotation, notes=annotation.notes + notes)


def _content(annotation: Annotation) -> Annotation:
    return replace(annotation, row=0, notes=())


def annotation_of(
    row: Row, dataset: str, subject: str, clip: str, places: tuple[str, ...], **other: Any
) -> Annotation:
    """The annotation of a row whose subject and clip are known; Refused for odd frame numbers.

    `other` holds fields of `Annotation` that differ from the columns.
    """
    annotation = Annotation(
        dataset,
        subject,
        clip,
        places,
        onset=frame_number(row.text("onset"), "onset"),
        apex=frame_number(row.text("apex"), "apex"),
        offset=frame_number(row.text("offset"), "offset"),
        emotion=row.identifier("emotion").lower(),
        action_units=row.text("action_units"),
        row=row.number,
    )
    return replace(annotation, **other)


@dataclass(frozen=True)
class Composite:
    """The clips of all `members`, with the same classes.

    Attributes:
      name: the name that `mubert prepare` gives it.
      members: the data sets; each has a mapping with `classes` classes.
      classes: the number of classes.
      subjects: people by the owners' count.
    """

    name: str
    members: tuple[LabelledSet, ...]
    classes: int
    subjects: int

    def collect(
        self,
        input: Mapping[str, Path],
        annotation: Mapping[str, Path] | None,
        options: PairOptions,
    ) -> Collected:
        """As `LabelledSet.collect`, from one folder (and one sheet) per member, by its name.

        `options.apex` is only for members without annotated apexes.
        """
        if options.classes not in (None, self.classes):
            raise UserError(f"--classes {options.classes}: {self.name} has {self.classes} classes")
        names = [member.name for member in self.members]
        for flag, paths in (("--input", input), ("--annotation", annotation or {})):
            if unknown := [name for name in paths if name not in names]:
                raise UserError(f"{flag} {unknown[0]}=...: {self.name} is of {', '.join(names)}")
        if missing := [name for name in names if name not in input]:
            raise UserError(
                f"{self.name} needs --input {' '.join(f'{name}=DIR' for name in names)}; "
                f"{missing[0]} is missing"
            )
        parts = []
        for member in self.members:
            apex = None if member.has_apex else options.apex
            own = PairOptions(**vars(options) | {"classes": self.classes, "apex": apex})
            sheet = (annotation or {}).get(member.name)
            parts.append(member.collect(input[member.name], sheet, own))
        published = {
            name: sum(part.published.get(name, 0) for part in parts) for name in parts[0].classes
        }
        passed = PassedOver()
        for part in parts:
            passed.update(part.passed)
        return Collected(
            [clip for part in parts for clip in part.clips],
            [clip for part in parts for clip in part.dropped],
            parts[0].classes,
            published,
            self.subjects,
            ", ".join(part.annotation for part in parts),
            notes=[note for part in parts for note in part.notes],
            passed=passed,
        )


PAIR_COLUMNS = {
    "onset": ("onset", "onset path", "onset file", "onset frame"),
    "apex": ("apex", "apex path", "apex file", "apex frame"),
    "label": ("label", "class", "emotion"),
    "subject": ("subject",),
    "video": ("video", "video path", "video file"),
    "offset": ("offset", "offset frame"),
    "first_frame": ("first frame",),
    "clip": ("clip", "filename"),
    "dataset": ("dataset",),
    "action_units": ("action units", "AU"),
    "fps": ("fps",),
}
"""Names of columns in people's own tables."""

_NEEDED = ("onset", "label", "subject")
_TRUSTED = tuple(f"{name} is " for name in ("apex", "video", "offset", "first_frame"))


@dataclass(frozen=True)
class PairTable:
    """Anyone's own clips; the classes are the labels of the table, sorted.

    A row names two image files as onset and apex; or a video, or a folder of numbered images, in
    its column `video`, and onset, apex and offset are then frame numbers. The first frame of a
    video is 0, as in everything that `mubert` prints, or what the column `first frame` says.

    Without a column `clip`, a clip is named by the path of its onset, or by that of the video and
    the number of the onset; without `dataset`, the data set is named by the table's file.
    """

    name: str = "pairs"

    def collect(
        self, input: Path | None, annotation: Path | None, options: PairOptions
    ) -> Collected:
        """The clips of the table `annotation`, whose paths are below `input`, or beside the table.

        Raises UserError if the table or a column is missing; in a strict run also for a missing
        image or video, an impossible frame number, a row without label or subject, and two rows of
        one clip.
        """
        if annotation is None:
            raise UserError("pairs needs --annotation TABLE, with onset, apex, label and subject")
        if options.classes is not None:
            raise UserError("--classes is not for pairs: the table says it")
        folder = annotation.parent if input is None else input
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder; check --input")
        files = NamedFiles(folder)
        optional = tuple(name for name in PAIR_COLUMNS if name not in _NEEDED)
        rows = read_rows(
            annotation,
            PAIR_COLUMNS,
            optional,
            fits=partial(_fits, files),
            with_problems=True,
        )
        if not any(row.text("video") for row in rows):
            if rows and not any(row.text("apex") for row in rows):
                raise UserError(
                    f"{annotation}: no column apex ('apex' or 'apex path'), nor a column video for "
                    "onsets that are frame numbers; is it the right file and sheet?"
                )
            if options.apex is not None:
                raise UserError("--apex is not for pairs of images: the table says it")
        named, notes = _one_spelling([_annotation(row, annotation.stem) for row in rows])
        labelled = (one.emotion for row, one in zip(rows, named, strict=True) if _labelled(row))
        classes = tuple(sorted(set(labelled)))
        reader = _RowReader(files, classes, options.apex, options.clip_frames)
        taken = Counter(one.name for one in named)
        clips, dropped = [], []
        for row, one in zip(rows, named, strict=True):
            try:
                if taken[one.name] > 1:
                    same = [str(other.row) for other in named if other.name == one.name]
                    raise Refused(f"two rows of one clip (rows {' and '.join(same)})")
                clips.append(reader.clip(row, one))
            except (Refused, LeftOut) as error:
                dropped.append(
                    Dropped(
                        one.name,
                        one.person,
                        one.row,
                        one.emotion,
                        str(error),
                        isinstance(error, Refused),
                    )
                )
        return Collected(
            clips,
            dropped,
            reader.classes,
            {},
            None,
            str(annotation),
            (*notes, *_counting(clips)),
            reader.passed,
        ).check(options.lenient)


def _fits(files: NamedFiles, row: Row) -> bool:
    if row.text("video"):
        return files.exists(row.text("video"), folders=True)
    return all(files.exists(row.text(name)) for name in ("onset", "apex"))


def _annotation(row: Row, stem: str) -> Annotation:
    place = clip_name(row.text("video"))
    named = f"{place}/{row.text('onset')}" if place else clip_name(row.text("onset"))
    return Annotation(
        dataset=row.text("dataset") or stem,
        subject=row.text("subject"),
        clip=row.text("clip") or named,
        places=(place,) if place else (),
        onset=None,
        apex=None,
        offset=None,
        emotion=row.text("label"),
        action_units=row.text("action_units"),
        row=row.number,
    )


def _one_spelling(annotations: list[Annotation]) -> tuple[list[Annotation], tuple[str, ...]]:
    """The annotations with one spelling per person and class, and lines on what was merged."""
    rows = [one.row for one in annotations]
    people = merged_people(
        [one.dataset for one in annotations], [one.subject for one in annotations], rows
    )
    labels, of_labels = merged_classes([one.emotion for one in annotations], rows)
    found = [
        replace(one, dataset=dataset, subject=subject.removeprefix(f"{dataset}/"), emotion=label)
        for one, dataset, subject, label in zip(
            annotations, people.datasets, people.subjects, labels, strict=True
        )
    ]
    warnings = [f"warning: {warning}" for warning in people.warnings]
    return found, (*(f"note: {note}" for note in (*people.notes, *of_labels)), *warnings)


def _labelled(row: Row) -> bool:
    return not row.problem and not is_missing(row.text("label"))


class _RowReader:
    """Makes clips from the rows of a table.

    Args:
      files: finds the files that a row names.
      classes: class names in label order.
      apex: how to find an apex that a row with a video does not give, or None.
      clip_frames: how many frames of a movement are stored beside onset and apex.

    Attributes:
      passed: what else the folders hold that are named in the place of videos.
    """

    def __init__(
        self, files: NamedFiles, classes: tuple[str, ...], apex: str | None, clip_frames: int
    ):
        self.classes = classes
        self.passed = PassedOver()
        self._files = files
        self._apex, self._clip_frames = apex, clip_frames
        self._frames_at = cache(partial(frames_at, passed=self.passed))

    def clip(self, row: Row, one: Annotation) -> Clip:
        """The clip of a row; raises Refused or LeftOut."""
        if row.problem:
            raise Refused(row.problem)
        of_video = bool(row.text("video"))
        for note in row.notes:
            if note.startswith(_TRUSTED):
                raise Refused(note.removesuffix(": not used"))
        for column in ("onset", "apex", "label", "subject"):
            blank = is_missing(row.text(column)) or not plain(row.text(column))
            if blank and not (of_video and column == "apex"):
                said = f" ({row.text(column)})" if row.text(column) else ""
                raise Refused(f"no {column}{said}")
        fps = measure(row.text("fps"), "fps") or 0.0
        return self._of_video(row, one, fps) if of_video else self._of_images(row, one, fps)

    def _of_video(self, row: Row, one: Annotation, fps: float) -> Clip:
        path, respelt = self._find(row, "video", folders=True)
        first = frame_number(row.text("first_frame"), "first frame") or 0
        one = replace(
            one,
            onset=frame_number(row.text("onset"), "onset"),
            apex=frame_number(row.text("apex"), "apex"),
            offset=frame_number(row.text("offset"), "offset"),
            notes=row.notes,
        )
        frames = self._frames_at(path, first)
        label = self.classes.index(one.emotion)
        clip = match(one, frames, fps, label, one.emotion, self._apex, (), self._clip_frames)
        (interval,) = clip.intervals
        repairs = tuple(filter(None, (respelt, *interval.repairs)))
        return replace(clip, intervals=(replace(interval, repairs=repairs),))

    def _of_images(self, row: Row, one: Annotation, fps: float) -> Clip:
        if self._clip_frames:
            raise Refused(
                "two images hold no frames between them, which --clip-frames asks for; name a "
                "video or a folder of images in a column video"
            )
        found = [self._find(row, column) for column in ("onset", "apex")]
        paths = [path for path, _ in found]
        numbers = [number_in_name(path) for path in paths]
        onset, apex = (at if n is None else n for at, n in enumerate(numbers))
        if onset == apex and paths[0] != paths[1]:
            onset, apex = 0, 1
        interval = Interval(
            one,
            self.classes.index(one.emotion),
            one.emotion,
            fps,
            onset,
            apex,
            repairs=tuple({respelt for _, respelt in found} - {""}),
            notes=row.notes,
        )
        frames = ImageFrames([(onset, paths[0]), (apex, paths[1])])
        return Clip(one.name, one.person, frames, (interval,))

    def _find(self, row: Row, column: str, folders: bool = False) -> tuple[Path, str]:
        try:
            return self._files.find(row.text(column), folders)
        except Refused as error:
            raise Refused(f"{column} {error}") from error


def _counting(clips: Sequence[Clip]) -> tuple[str, ...]:
    """A line on how the frames of videos are counted, as nothing in a video tells."""
    videos = [clip.frames for clip in clips if isinstance(clip.frames, VideoFrames)]
    if not videos:
        return ()
    first = " or ".join(str(number) for number in sorted({video.first for video in videos}))
    return (
        f"note: {count(len(videos), 'clip')} read from video, where the first frame is {first}",
    )
