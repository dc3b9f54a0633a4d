"""Any table (.csv, .xlsx): video, onset, apex, offset, type, emotion, and paths of videos.

`video` is a video file or a folder of images, relative to the input or to the table's own folder.
A row without onset and offset is a video in which nobody expresses anything.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mubert_jax.data.clips import VideoFrames, subject_of
from mubert_jax.data.labelled.annotation import Dropped, Refused, frame_number, measure
from mubert_jax.data.labelled.matching import NamedFiles, clip_name, frames_at
from mubert_jax.data.labelled.sheets import Columns, Row, read_rows
from mubert_jax.data.searching import PassedOver
from mubert_jax.data.video import frame_rate
from mubert_jax.errors import UserError
from mubert_jax.spotting.annotated import Annotated, annotated, kind_of
from mubert_jax.spotting.long_set import CollectedSequences, Found, SequenceOptions, collected

_COLUMNS: Columns = {
    "video": ("video", "path", "file", "filename"),
    "onset": ("onset", "onset frame", "start"),
    "offset": ("offset", "offset frame", "end"),
    "apex": ("apex", "apex frame"),
    "kind": ("type", "kind", "expression type"),
    "emotion": ("emotion", "label"),
    "subject": ("subject", "participant"),
    "fps": ("fps", "frame rate"),
    "first_frame": ("first frame",),
}
_OPTIONAL = ("apex", "kind", "emotion", "subject", "fps", "first_frame")


@dataclass(frozen=True)
class LongTable:
    """Long videos as anybody's own table names them."""

    name: str = "table"

    def collect(
        self, input: Path | None, annotation: Sequence[Path], options: SequenceOptions
    ) -> CollectedSequences:
        """Every video that the tables name, with the expressions in it.

        Args:
          input: the folder that the paths are relative to, the table's own if None.

        Raises:
          UserError: there is no table, or it is wrong, and, in a strict run, an interval may be.
        """
        if not annotation:
            raise UserError("table needs --annotation=FILE: video,onset,apex,offset,type,emotion")
        if input is not None and not input.is_dir():
            raise UserError(f"{input}: no such folder; check --input")
        folder = annotation[0].parent if input is None else input
        videos: dict[str, Found | str] = {}
        found: list[Annotated] = []
        dropped: list[Dropped] = []
        passed = PassedOver(folder)
        for table in annotation:
            files = NamedFiles(folder)
            for row in read_rows(table, _COLUMNS, _OPTIONAL, with_problems=True):
                key = row.text("video")
                try:
                    if row.problem or not key:
                        raise Refused(row.problem or "no video")
                    if key not in videos:
                        videos[key] = _found(row, files, options, passed)
                    if row.text("onset") or row.text("offset"):
                        kind = kind_of(row.text("kind")) if row.text("kind") else ""
                        found.append(annotated(row, key, kind, table.name))
                except Refused as error:
                    emotion = row.text("emotion").lower()
                    dropped.append(Dropped(key, "", row.number, emotion, str(error), True))
        return collected(videos, found, dropped, annotation, passed, folder, options)


def _found(row: Row, files: NamedFiles, options: SequenceOptions, passed: PassedOver) -> Found:
    path, _ = files.find(row.text("video"), folders=True)
    name = clip_name(row.text("video"))
    first = frame_number(row.text("first_frame"), "first frame") or 0
    frames = frames_at(path, first, passed)
    fps = measure(row.text("fps"), "fps") or options.fps
    if fps is None and isinstance(frames, VideoFrames):
        try:
            fps = frame_rate(frames.files[0])
        except UserError as error:
            raise Refused(str(error)) from error
    if not fps or fps <= 0:
        raise Refused(f"{path}: images do not tell their frame rate; give --fps, or a column fps")
    return Found(row.text("subject") or subject_of(Path(name)), name, frames, path, fps)


SET = LongTable()
