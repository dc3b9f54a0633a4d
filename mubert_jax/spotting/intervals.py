"""Intervals of long videos, annotated or spotted, and the tables that hold them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mubert_jax.config_values import unknown
from mubert_jax.data.files import replacing
from mubert_jax.data.labelled.annotation import Refused, measure
from mubert_jax.data.labelled.sheets import Row, plain, read_rows
from mubert_jax.errors import UserError

MICRO, MACRO = "micro", "macro"
# How tables spell the two kinds, without capitals and signs.
_KINDS = {
    MICRO: ("micro", "microexpression", "me", "mie"),
    MACRO: ("macro", "macroexpression", "mae"),
}
_COLUMNS = {
    "subject": ("subject", "participant", "sub"),
    "video": ("video", "video name", "vid", "filename", "clip"),
    "onset": ("onset", "onset frame", "pred_onset", "start"),
    "offset": ("offset", "offset frame", "pred_offset", "end"),
    "apex": ("apex", "apex frame"),
    "kind": ("kind", "type", "expression type"),
    "emotion": ("emotion", "expression", "pred_emotion", "label"),
    "score": ("score", "confidence"),
}
_OPTIONAL = ("subject", "apex", "kind", "emotion", "score")
_OF_VIDEOS = {
    "subject": _COLUMNS["subject"],
    "video": _COLUMNS["video"],
    "frames": ("frames", "number of frames", "length"),
    "fps": ("fps", "frame rate", "frames per second"),
}


@dataclass(frozen=True)
class Interval:
    """One expression.

    Attributes:
      subject, video: who is seen, and where.
      onset, offset: its first and its last frame, both of which belong to it.
      apex: the frame of its peak, None where it is not known.
      kind: "micro", "macro" or "" where it is not told.
      emotion: as written, in lower case.
      score: how sure a spotter is; NaN where it does not say.
    """

    subject: str
    video: str
    onset: int
    offset: int
    apex: int | None = None
    kind: str = ""
    emotion: str = ""
    score: float = float("nan")

    @property
    def recording(self) -> tuple[str, str]:
        """Subject and video."""
        return self.subject, self.video


@dataclass(frozen=True)
class Recording:
    """How long a video is: `frames`, at `fps` frames per second."""

    frames: int
    fps: float

    @property
    def minutes(self) -> float:
        return self.frames / self.fps / 60


def iou(one: Interval, other: Interval) -> float:
    """Frames that both have over frames that either has, first and last frames included."""
    both = min(one.offset, other.offset) - max(one.onset, other.onset) + 1
    either = (one.offset - one.onset + 1) + (other.offset - other.onset + 1) - max(both, 0)
    return max(both, 0) / either


def read_intervals(path: Path, spotted: bool = False) -> list[Interval]:
    """The intervals of a table with the columns video, onset and offset, of any usual kind.

    Subject, apex, kind (micro or macro), emotion and score may be there. Intervals that were
    spotted may begin before the video, as some spotters write them.

    Raises:
      UserError: there is no such table, or a row has no video, no whole numbers, ends that are
        swapped, an apex outside, an unknown kind, a score that is no number, or is there twice.
    """
    intervals, seen = [], {}
    for row in _rows(path, _COLUMNS, _OPTIONAL):
        interval = _interval(path, row, spotted)
        key = interval.recording, interval.onset, interval.offset, interval.kind
        if key in seen:
            raise UserError(f"{path}, row {row.number}: the interval of row {seen[key]} again")
        seen[key] = row.number
        intervals.append(interval)
    return intervals


def read_recordings(path: Path) -> dict[tuple[str, str], Recording]:
    """(subject, video) -> how long it is, of a table with the columns video, frames and fps.

    Raises:
      UserError: there is no such table, a video is there twice, or a number is not positive.
    """
    found: dict[tuple[str, str], Recording] = {}
    for row in _rows(path, _OF_VIDEOS, ("subject",)):
        key = row.text("subject"), row.text("video")
        if key in found:
            raise UserError(f"{path}, row {row.number}: {'/'.join(key)} is there twice")
        frames, fps = (_number(path, row, name) for name in ("frames", "fps"))
        if frames < 1 or fps <= 0:
            raise UserError(f"{path}, row {row.number}: frames and fps must be positive")
        found[key] = Recording(int(frames), fps)
    return found


def write_intervals(
    path: Path, intervals: Sequence[Interval], further: Mapping[str, Sequence[float]] | None = None
) -> None:
    """Writes the table that `read_intervals` reads.

    Args:
      further: more columns, by their names.
    """
    table = pd.DataFrame([vars(one) for one in intervals], columns=list(_COLUMNS))
    with replacing(path) as temporary:
        table.assign(**(further or {})).to_csv(
            temporary, index=False, float_format="%.6g", lineterminator="\n"
        )


def _rows(path: Path, columns: Mapping[str, Sequence[str]], optional: Sequence[str]) -> list[Row]:
    if not path.is_file():
        raise UserError(f"{path}: {'a folder' if path.is_dir() else 'no such file'}; give a table")
    rows = read_rows(path, columns, optional)
    if not rows:
        raise UserError(f"{path}: a header and no row")
    for row in rows:
        if not row.text("video"):
            raise UserError(f"{path}, row {row.number}, column video: empty")
    return rows


def _interval(path: Path, row: Row, spotted: bool) -> Interval:
    where = f"{path}, row {row.number}"
    onset, offset = (_frame(path, row, name) for name in ("onset", "offset"))
    apex = _frame(path, row, "apex") if row.text("apex") else None
    if onset > offset:
        raise UserError(f"{where}: onset {onset} is after offset {offset}; are they swapped?")
    if onset < 0 and not spotted:
        raise UserError(f"{where}, column onset: {onset} is before the video")
    if apex is not None and not onset <= apex <= offset:
        raise UserError(f"{where}: apex {apex} is outside of {onset} to {offset}")
    score = _number(path, row, "score") if row.text("score") else float("nan")
    emotion = row.text("emotion").lower()
    names = row.text("subject"), row.text("video")
    return Interval(*names, onset, offset, apex, _kind(where, row.text("kind")), emotion, score)


def _kind(where: str, text: str) -> str:
    if not text:
        return ""
    for kind, spelt in _KINDS.items():
        if plain(text) in spelt:
            return kind
    known = [name for spelt in _KINDS.values() for name in spelt]
    raise unknown(f"kind {text!r} ({where})", plain(text), known)


def _frame(path: Path, row: Row, column: str) -> int:
    number = _number(path, row, column)
    if number != int(number):
        raise UserError(f"{path}, row {row.number}, column {column}: {number:g} is no frame")
    return int(number)


def _number(path: Path, row: Row, column: str) -> float:
    try:
        number = measure(row.text(column), column)
    except Refused as error:
        raise UserError(f"{path}, row {row.number}: {error}") from error
    if number is None or not np.isfinite(number):
        raise UserError(f"{path}, row {row.number}, column {column}: no number")
    return number
