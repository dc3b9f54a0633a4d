"""A labelled data set as one file describes it, and the one way in which all are read."""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from mubert_jax.data.labelled.annotation import (
    Annotation,
    Dropped,
    LeftOut,
    Refused,
    frame_number,
)
from mubert_jax.data.labelled.classes import ClassScheme
from mubert_jax.data.labelled.clips import LabelledClip
from mubert_jax.data.labelled.collected import Collected
from mubert_jax.data.labelled.damaged import FrameOf, read_damaged
from mubert_jax.data.labelled.folders import ClipFolders
from mubert_jax.data.labelled.matching import match
from mubert_jax.data.labelled.options import PairOptions
from mubert_jax.data.labelled.sheets import SHEET_SUFFIXES, Row, read_rows
from mubert_jax.data.labelled.videos import extraction
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
"""What most sheets call their columns, written with or without blanks and capitals."""

Found = tuple[list[Annotation], list[Dropped]]
"""The annotations of a data set, and what could not be read as one."""


@dataclass(frozen=True)
class LabelledSet:
    """One data set.

    Attributes:
      name: as `mubert prepare` calls it; title: as its owners do.
      fps: frames a second.
      example: path of one frame below the input, for messages.
      locate: path parts of a folder -> key of the clip or video in it, or None.
      annotate: a row of the sheet -> what it says; raises Refused.
      schemes: class mappings by their number of classes, the usual one first.
      columns, optional, sheet: as `read_rows` takes them.
      sheet_name: regular expression for the letters and digits of the sheet's file name.
      skipped: folders not to look into, in lower case.
      damaged_frame: a line of the owners' lists of damaged frames -> key and frame number; None
        where there are no such lists.
      has_apex: whether the owners annotated apexes.
      annotate_folders: what the folders alone say, None where they do not tell; onset and offset
        are then the first and last frame.
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
    annotate_folders: Callable[[ClipFolders], Found | None] | None = None

    def scheme(self, classes: int | None) -> ClassScheme:
        """The mapping with that many classes, the usual one for None; UserError if it has none."""
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
          UserError: no such folder, no clip in it, no sheet or a wrong one, no such mapping, and
            in a strict run a clip that may be wrong.
        """
        scheme = self.scheme(options.classes)
        damaged = self._damaged(options.damaged)
        folders = ClipFolders(input, self.locate, self.skipped, damaged)
        if not folders.places:
            advice = extraction(input)
            raise UserError(
                f"{input}: no clip of {self.title} at any depth (looked for {self.example}"
                + (f"), but {advice}" if advice else "); check --input")
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
        ).check(options.lenient)

    def _damaged(self, lists: tuple[str, ...]) -> dict[str, set[int]]:
        if lists and self.damaged_frame is None:
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
    ) -> tuple[list[LabelledClip], list[Dropped]]:
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
                if whole:
                    annotation = replace(annotation, onset=frames[0][0], offset=frames[-1][0])
                annotation = _with_damage(annotation, folders.damaged(annotation.places))
                name = scheme.classes[label]
                clips.append(match(annotation, frames, self.fps, label, name, apex))
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
    """Says in a note which of the annotated frames are in the lists of damaged ones."""
    notes = tuple(
        f"{what} {number} is in the list of damaged frames"
        for what, number in (("onset", annotation.onset), ("apex", annotation.apex))
        if number in damaged
    )
    return replace(annotation, notes=annotation.notes + notes)


def _content(annotation: Annotation) -> Annotation:
    return replace(annotation, row=0, notes=())


def annotation_of(
    row: Row, dataset: str, subject: str, clip: str, places: tuple[str, ...], **other
) -> Annotation:
    """The annotation of a row whose subject and clip are known; Refused for odd frame numbers.

    `other` are fields of `Annotation` that are not what the columns say.
    """
    fields = {
        "onset": frame_number(row.text("onset"), "onset"),
        "apex": frame_number(row.text("apex"), "apex"),
        "offset": frame_number(row.text("offset"), "offset"),
        "emotion": row.identifier("emotion").lower(),
        "action_units": row.text("action_units"),
        "row": row.number,
    }
    return Annotation(dataset, subject, clip, places, **(fields | other))
