"""The table that the script of the MEGC challenges reads."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from mubert_jax.data.files import replacing, writing_errors
from mubert_jax.errors import UserError
from mubert_jax.spotting.intervals import Interval, read_intervals
from mubert_jax.spotting.videos import first_frames

COLUMNS = ("subject", "video", "onset", "offset", "emotion")
REMEDY = "give another --megc-submission"


def write_submission(
    path: Path, spotted: Sequence[Interval], first: Mapping[tuple[str, str], int]
) -> None:
    """Writes intervals as STRS-Metric reads them: `COLUMNS`, and the owners' frame numbers.

    It has micro- and macro-expressions alike, a row each, by subject, video and onset, and no other
    column.

    Args:
      first: (subject, video) -> what the owners call the first frame; where it is not there, 0.

    Raises:
      UserError: an interval has no emotion, or the file cannot be written.
    """
    rows = []
    for one in sorted(spotted, key=lambda one: (one.recording, one.onset)):
        if not one.emotion:
            raise UserError(
                f"{'/'.join(one.recording).lstrip('/')}, frame {one.onset}: the challenge wants an "
                "emotion of every interval; spot with --recognizer, or add the column emotion"
            )
        number = first.get(one.recording, 0)
        ends = one.onset + number, one.offset + number
        rows.append(dict(zip(COLUMNS, (*one.recording, *ends, one.emotion), strict=True)))
    with writing_errors(path, REMEDY):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            pd.DataFrame(rows, columns=list(COLUMNS)).to_csv(
                temporary, index=False, lineterminator="\n"
            )


def submit(spotted: Path, videos: Path | None, output: Path) -> int:
    """The same of a table of intervals and one of videos; gives the number of rows.

    Raises:
      UserError: as `read_intervals`, `first_frames` and `write_submission`.
    """
    intervals = read_intervals(spotted, spotted=True)
    write_submission(output, intervals, first_frames(videos) if videos else {})
    return len(intervals)
