"""The folder of a prepared set of long videos: which tables it holds, and where its frames lie."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from mubert_jax.data.clips import NumberedFrames
from mubert_jax.data.files import replacing
from mubert_jax.data.labelled.annotation import Refused, frame_number
from mubert_jax.data.labelled.matching import frames_at
from mubert_jax.data.labelled.sheets import read_rows
from mubert_jax.data.searching import PassedOver
from mubert_jax.errors import UserError
from mubert_jax.spotting.intervals import read_recordings

INTERVALS_FILE, VIDEOS_FILE, EVENTS_FILE = "intervals.csv", "videos.csv", "events.csv"
_COLUMNS = {
    "subject": ("subject",),
    "video": ("video",),
    "file": ("file",),
    "condition": ("condition",),
    "first_frame": ("first_frame",),
}


@dataclass(frozen=True)
class LongVideoFile:
    """One long video of a prepared set.

    Attributes:
      subject, video: who is seen, and where, as in the tables of intervals.
      frames, fps: how many frames it has, and how many there are per second.
      file: the video, or the folder of its images, relative to the table's folder or absolute. Its
        frames count from 0 in the tables, in the order of the numbers in their names.
      first_frame: what the owners' sheet calls the first frame.
      condition: what it was recorded under; "" where nobody says.
    """

    subject: str
    video: str
    frames: int
    fps: float
    file: str
    first_frame: int = 0
    condition: str = ""


def write_videos(path: Path, videos: Sequence[LongVideoFile]) -> None:
    """Writes the table that `read_files` and `intervals.read_recordings` read."""
    columns = list(LongVideoFile.__dataclass_fields__)
    with replacing(path) as temporary:
        pd.DataFrame([asdict(one) for one in videos], columns=columns).to_csv(
            temporary, index=False, lineterminator="\n"
        )


def read_files(path: Path) -> Mapping[tuple[str, str], Path]:
    """(subject, video) -> the video or the folder of its images, of a table of `write_videos`.

    Raises:
      UserError: as `read_recordings`; a file is not there.
    """
    known = read_recordings(path)
    found = {}
    for row in read_rows(path, _COLUMNS, ("condition", "first_frame")):
        file = path.parent / row.text("file")
        if not row.text("file") or not file.exists():
            raise UserError(
                f"{path}, row {row.number}: {file} is not there; prepare the set again, or correct "
                "the table"
            )
        found[row.text("subject"), row.text("video")] = file
    return {key: found[key] for key in known}


def first_frames(path: Path) -> Mapping[tuple[str, str], int]:
    """(subject, video) -> what the owners' sheet calls the first frame, of the same table.

    Raises:
      UserError: there is no such table, or a number is none.
    """
    found = {}
    for row in read_rows(path, _COLUMNS, ("file", "condition", "first_frame")):
        try:
            number = frame_number(row.text("first_frame") or "0", "first_frame")
        except Refused as error:
            raise UserError(f"{path}, row {row.number}: {error}") from error
        found[row.text("subject"), row.text("video")] = number or 0
    return found


def frames_of(file: Path) -> NumberedFrames:
    """The frames of one such file; those of a video count from 0.

    Raises:
      UserError: a folder holds no images, or their numbers cannot be told.
    """
    try:
        return frames_at(file, 0, PassedOver(file))
    except Refused as error:
        raise UserError(str(error)) from error
