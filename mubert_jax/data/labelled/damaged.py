"""Lists of frames that the owners of a data set know to be damaged or of poor quality."""

import logging
from collections.abc import Callable, Iterable
from pathlib import Path

from mubert_jax.data.labelled.encodings import readings
from mubert_jax.data.labelled.workbooks import OLD, ZIP, read_workbook
from mubert_jax.errors import UserError

FrameOf = Callable[[str], tuple[str, int] | None]
"""A line of a list -> key of the clip or video, as `LabelledSet.locate` gives it, and frame."""

_log = logging.getLogger(__name__)


def read_damaged(lists: Iterable[Path], frame_of: FrameOf, example: str) -> dict[str, set[int]]:
    """Damaged frame numbers by the key of their video; empty lines are passed over.

    Lines that name no frame are counted in a warning.

    Args:
      lists: text files or workbooks, a frame a line or row.
      frame_of: understands a line; of a row, the cells with blanks between them.
      example: such a line, for messages.

    Raises:
      UserError: no such list, none of its lines names a frame.
    """
    found: dict[str, set[int]] = {}
    for path in lists:
        odd: list[str] = []
        lines = _lines(path)
        for where, line in lines:
            if (known := frame_of(line)) is None:
                odd.append(f"{where}: {line.strip()[:60]!r}")
            else:
                key, frame = known
                found.setdefault(key, set()).add(frame)
        if len(odd) == len(lines):
            first = f", {odd[0]}" if odd else ": empty"
            raise UserError(
                f"{path}{first} names no frame, nor does any other line (such as {example}); "
                "check --damaged"
            )
        if odd:
            more = f" (and {len(odd) - 1} more)" if len(odd) > 1 else ""
            _log.warning("%s, %s names no frame, passed over%s", path, odd[0], more)
    return found


def _lines(path: Path) -> list[tuple[str, str]]:
    """Where each filled line is, and the line."""
    try:
        encoded = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; check --damaged") from error
    if encoded[:4] not in (ZIP, OLD):
        lines = enumerate(readings(encoded)[0].text.splitlines(), 1)
        return [(f"line {number}", line) for number, line in lines if line.strip()]
    return [
        (f"row {number} of sheet {name!r}", " ".join(str(cell) for cell in cells if cell != ""))
        for name, grid in read_workbook(path, encoded[:4]).items()
        for number, cells in grid.lines.items()
    ]
