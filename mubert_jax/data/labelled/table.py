"""A plain table of pairs: two image files, a label and a subject a row."""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from mubert_jax.data.labelled.annotation import (
    Annotation,
    Dropped,
    LeftOut,
    Refused,
    is_missing,
    measure,
)
from mubert_jax.data.labelled.clips import LabelledClip
from mubert_jax.data.labelled.collected import Collected
from mubert_jax.data.labelled.options import PairOptions
from mubert_jax.data.labelled.paths import NamedFiles, clip_name
from mubert_jax.data.labelled.sheets import Row, read_rows
from mubert_jax.data.people import merged_classes, merged_people, plain
from mubert_jax.data.video import frame_number
from mubert_jax.errors import UserError

COLUMNS = {
    "onset": ("onset", "onset path", "onset file"),
    "apex": ("apex", "apex path", "apex file"),
    "label": ("label", "class", "emotion"),
    "subject": ("subject",),
    "clip": ("clip", "filename"),
    "dataset": ("dataset",),
    "action_units": ("action units", "AU"),
    "fps": ("fps",),
}
OPTIONAL = ("clip", "dataset", "action_units", "fps")


@dataclass(frozen=True)
class PairTable:
    """The set of anyone's own pairs; classes are the labels of the table, sorted.

    Without a column `clip`, a clip is named by the path of its onset; without `dataset`, the data
    set by the table's file name.
    """

    name: str = "pairs"

    def collect(
        self, input: Path | None, annotation: Path | None, options: PairOptions
    ) -> Collected:
        """The pairs of the table `annotation`, whose paths are below `input`, or beside the table.

        Raises UserError: no table, a column missing; in a strict run also a missing image, a row
        without label or subject, two rows of one clip.
        """
        if annotation is None:
            raise UserError("pairs needs --annotation TABLE, with onset, apex, label and subject")
        for flag, value in (("classes", options.classes), ("apex", options.apex)):
            if value is not None:
                raise UserError(f"--{flag} is not for pairs: the table says it")
        folder = annotation.parent if input is None else input
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder; check --input")
        files = NamedFiles(folder)
        rows = read_rows(
            annotation,
            COLUMNS,
            OPTIONAL,
            fits=lambda row: all(files.exists(row.text(name)) for name in ("onset", "apex")),
            with_problems=True,
        )
        named, notes = _one_spelling([_annotation(row, annotation.stem) for row in rows])
        labelled = (one.emotion for row, one in zip(rows, named, strict=True) if _labelled(row))
        classes = tuple(sorted(set(labelled)))
        taken = Counter(one.name for one in named)
        clips, dropped = [], []
        for row, one in zip(rows, named, strict=True):
            try:
                if taken[one.name] > 1:
                    same = [str(other.row) for other in named if other.name == one.name]
                    raise Refused(f"two rows of one clip (rows {' and '.join(same)})")
                clips.append(_clip(row, one, files, classes))
            except (Refused, LeftOut) as error:
                dropped.append(
                    Dropped(one.name, one.person, one.row, one.emotion, str(error), True)
                )
        collected = Collected(clips, dropped, classes, {}, None, str(annotation), notes)
        return collected.check(options.lenient)


def _annotation(row: Row, stem: str) -> Annotation:
    clip = row.text("clip") or clip_name(row.text("onset"))
    return Annotation(
        dataset=row.text("dataset") or stem,
        subject=row.text("subject"),
        clip=clip,
        places=(),
        onset=None,
        apex=None,
        offset=None,
        emotion=row.text("label"),
        action_units=row.text("action_units"),
        row=row.number,
    )


def _one_spelling(annotations: list[Annotation]) -> tuple[list[Annotation], tuple[str, ...]]:
    """The annotations with one spelling a person and a class, and what is to be said of them."""
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


def _clip(row: Row, one: Annotation, files: NamedFiles, classes: tuple[str, ...]) -> LabelledClip:
    if row.problem:
        raise Refused(row.problem)
    for column in ("onset", "apex", "label", "subject"):
        if is_missing(row.text(column)) or not plain(row.text(column)):
            raise Refused(f"no {column}" + (f" ({row.text(column)})" if row.text(column) else ""))
    images, repairs = [], set()
    for position, column in enumerate(("onset", "apex")):
        try:
            path, respelt = files.find(row.text(column))
        except Refused as error:
            raise Refused(f"{column} {error}") from error
        repairs.add(respelt)
        number = frame_number(path)
        images.append((position if number is None else number, path))
    fps = measure(row.text("fps"), "fps") or 0.0
    label = classes.index(one.emotion)
    return LabelledClip(
        one,
        label,
        one.emotion,
        fps,
        onset=images[0],
        apex=images[1],
        repairs=tuple(repairs - {""}),
        notes=row.notes,
    )
