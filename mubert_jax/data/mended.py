"""Whether the files of a clip changed after it was tried."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from mubert_jax.data.clips import Clip


def changed_since(record: Path, clips: Sequence[Clip]) -> tuple[str, ...]:
    """Names of the clips with a file newer than `record`, written when they were tried."""
    tried = record.stat().st_mtime_ns
    return tuple(clip.name for clip in clips if _newest(clip.frames.files) > tried)


def _newest(files: Iterable[Path]) -> int:
    """When one of the files, or a file in one of the folders, last changed, in nanoseconds."""
    paths = list(files)
    for folder in [path for path in paths if path.is_dir()]:
        paths += [folder / name for name in os.listdir(folder)]
    return max((_changed(path) for path in paths), default=0)


def _changed(path: Path) -> int:
    try:
        status = path.stat()
    except OSError:
        return 0
    return max(status.st_mtime_ns, status.st_ctime_ns)
