"""Lists of frames that the owners of a data set know to be damaged or of poor quality."""

from collections.abc import Callable, Iterable
from pathlib import Path

from mubert_jax.errors import UserError

FrameOf = Callable[[str], tuple[str, int] | None]
"""A line of a list -> key of the clip or video, as `LabelledSet.locate` gives it, and frame."""


def read_damaged(lists: Iterable[Path], frame_of: FrameOf, example: str) -> dict[str, set[int]]:
    """Damaged frame numbers by the key of their video; empty lines are passed over.

    Args:
      lists: text files, a frame a line.
      frame_of: understands a line.
      example: such a line, for messages.

    Raises:
      UserError: no such list, a line that names no frame.
    """
    found: dict[str, set[int]] = {}
    for path in lists:
        try:
            lines = path.read_text(errors="replace").splitlines()
        except OSError as error:
            raise UserError(f"{path}: {error.strerror}; check --damaged") from error
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            known = frame_of(line)
            if known is None:
                raise UserError(
                    f"{path}, line {number}: {line.strip()[:60]!r} names no frame (such as "
                    f"{example}); check --damaged"
                )
            key, frame = known
            found.setdefault(key, set()).add(frame)
    return found
