"""Anyone's own table of labelled clips."""

from collections import Counter
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

from mubert_jax.data.clips import Clip, ImageFrames, Interval
from mubert_jax.data.labelled.annotation import (
    Annotation,
    Dropped,
    LeftOut,
    Refused,
    frame_number,
    is_missing,
    measure,
)
from mubert_jax.data.labelled.collected import Collected, PairOptions, counting
from mubert_jax.data.labelled.matching import (
    NamedFiles,
    clip_name,
    frames_at,
    match,
)
from mubert_jax.data.labelled.sheets import Row, read_rows
from mubert_jax.data.people import merged_classes, merged_people, plain
from mubert_jax.data.searching import PassedOver
from mubert_jax.data.video import frame_number as number_in_name
from mubert_jax.errors import UserError

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
            (*notes, *counting(clips)),
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
