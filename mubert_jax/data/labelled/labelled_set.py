"""Labelled data sets, which are all read in one way: `collect` gives their clips.

`LabelledSet` is a set of the field as a file of `mubert_jax.data.sets` describes it, `Composite` is
several of them as one; `pair_table.PairTable` is anyone's own table.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mubert_jax.data.clips import Clip
from mubert_jax.data.labelled.annotation import (
    Annotation,
    ClassScheme,
    Dropped,
    LeftOut,
    Refused,
    frame_number,
)
from mubert_jax.data.labelled.collected import Collected, PairOptions, counting
from mubert_jax.data.labelled.matching import (
    ClipFolders,
    FrameOf,
    match,
    read_damaged,
    usable_numbers,
)
from mubert_jax.data.labelled.sheets import SHEET_SUFFIXES, Row, read_rows
from mubert_jax.data.searching import PassedOver
from mubert_jax.errors import UserError

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
            notes=counting(clips),
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
