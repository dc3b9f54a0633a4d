"""Any video file, or a folder searched for video files at every depth; one clip a file."""

from collections import Counter
from functools import partial
from pathlib import Path

from mubert_jax.data.clips import Clip, subject_of
from mubert_jax.data.video import VIDEO_SUFFIXES, announced_frames, read_video, sample_video
from mubert_jax.errors import UserError


def clips(input: Path) -> list[Clip]:
    """One clip a video file below `input`, or of `input` itself.

    A clip is named by its path below `input` without the suffix; in `SUBJECT/.../clip.mp4` the
    subject is the first folder. Raises UserError when there is no video file.
    """
    if input.is_file():
        return [_clip(input, Path(input.stem))]
    paths = sorted(
        path
        for path in input.rglob("*")
        if path.suffix.lower() in VIDEO_SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(input).parts)
        and path.is_file()
    )
    if not paths:
        raise UserError(
            f"{input}: no video file at any depth (looked for {' '.join(sorted(VIDEO_SUFFIXES))}); "
            "for folders of images use `mubert prepare frames`"
        )
    names = [path.relative_to(input).with_suffix("") for path in paths]
    taken = Counter(names)
    return [
        _clip(path, name if taken[name] == 1 else path.relative_to(input))
        for path, name in zip(paths, names, strict=True)
    ]


def _clip(path: Path, name: Path) -> Clip:
    return Clip(
        name=name.as_posix(),
        subject=subject_of(name),
        num_frames=announced_frames(path),
        frames=partial(read_video, path),
        sample=partial(sample_video, path),
        files=path,
    )
