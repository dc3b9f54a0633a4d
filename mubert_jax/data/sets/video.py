"""Any video file, or a folder searched for video files at every depth; one clip a file."""

import os
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePath

import numpy as np

from mubert_jax.data.clips import Clip, subject_of
from mubert_jax.data.names import printable
from mubert_jax.data.searching import LINK_AGAIN, PassedOver, folders
from mubert_jax.data.video import (
    VIDEO_SUFFIXES,
    announced_frames,
    is_video,
    read_video,
    sample_video,
)
from mubert_jax.errors import UserError


def clips(input: Path, passed: PassedOver | None = None) -> list[Clip]:
    """One clip a video file below `input`, or of `input` itself.

    A clip is named by its path below `input` without the suffix; who is seen in it is left to
    `layouts.with_subjects`. Raises UserError when there is no video file; what else is there is
    told to `passed`.
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
    reader = _Reader(path)
    return Clip(
        name=name.as_posix(),
        subject=subject_of(name),
        num_frames=announced_frames(path),
        frames=reader.frames,
        sample=partial(sample_video, path),
        files=path,
        note=reader.note,
    )


class _Reader:
    """Reads a video and knows afterwards how many frames inside it were lost."""

    def __init__(self, path: Path):
        self._path = path
        self._lost = 0

    def frames(self) -> Iterator[tuple[int, np.ndarray]]:
        for count, (number, image) in enumerate(read_video(self._path)):
            self._lost = number - count
            yield number, image

    def note(self) -> str:
        return "frames inside the video are damaged and left out" if self._lost else ""
