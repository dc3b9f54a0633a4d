"""Any video file, or a folder searched for video files at every depth; one clip per file."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePath

from mubert_jax.data.clips import Clip, VideoFrames, subject_of
from mubert_jax.data.names import printable
from mubert_jax.data.searching import LINK_AGAIN, PassedOver, folders
from mubert_jax.data.video import VIDEO_SUFFIXES, is_video
from mubert_jax.errors import UserError


def clips(input: Path, passed: PassedOver | None = None) -> list[Clip]:
    """One clip per video file below `input`, or of `input` itself.

    A clip is named by its path below `input` without the suffix; who is seen in it is left to
    `layouts.with_subjects`. Raises UserError when there is no video file; other files are told to
    `passed`.
    """
    passed = PassedOver(input) if passed is None else passed
    if input.is_file():
        return [_clip(input, PurePath(printable(input.stem)))]
    paths = sorted(_videos(input, passed))
    if not paths:
        raise UserError(
            f"{input}: no video file at any depth (looked for {' '.join(sorted(VIDEO_SUFFIXES))}); "
            f"for folders of images use `mubert prepare frames`{passed.clause()}"
        )
    whole = [path.relative_to(input) for path in paths]
    taken = Counter(path.with_suffix("") for path in whole) + Counter(whole)
    names = [path if taken[path.with_suffix("")] > 1 else path.with_suffix("") for path in whole]
    return [_clip(path, PurePath(printable(name))) for path, name in zip(paths, names, strict=True)]


def _videos(input: Path, passed: PassedOver) -> Iterator[Path]:
    """The video files below `input`; one that is linked is given once, by its own name."""
    found = [path for _, files in folders(input, passed) for path in files]
    seen = set()
    for path in sorted(found, key=lambda path: (path.is_symlink(), path)):
        if path.suffix.lower() not in VIDEO_SUFFIXES:
            passed.add_file(path)
        elif not is_video(path):
            passed.add("TypeScript file", path)
        elif (real := os.path.realpath(path)) in seen:
            passed.add(LINK_AGAIN, path)
        else:
            seen.add(real)
            yield path


def _clip(path: Path, name: PurePath) -> Clip:
    return Clip(name.as_posix(), subject_of(name), VideoFrames(path))
