"""Folders of image files; one clip a folder that holds images, at every depth."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePath

import numpy as np

from mubert_jax.data.clips import Clip, subject_of, unusable
from mubert_jax.data.images import ClipImages
from mubert_jax.data.names import printable
from mubert_jax.data.numbering import numbered_images
from mubert_jax.data.searching import PassedOver, files_with
from mubert_jax.data.video import IMAGE_SUFFIXES
from mubert_jax.errors import UserError


def clips(input: Path, passed: PassedOver | None = None) -> list[Clip]:
    """One clip a folder with images, `input` itself included, frames ordered by number.

    A clip is named by its path below `input`; who is seen in it is left to
    `layouts.with_subjects`. A folder whose frames cannot be told is a clip that raises when it is
    read. Raises UserError when there is no image; what else is there is told to `passed`.
    """
    passed = PassedOver(input) if passed is None else passed
    if not input.is_dir():
        raise UserError(f"{input}: not a folder; for a video file use `mubert prepare video`")
    found = list(files_with(IMAGE_SUFFIXES, input, passed))
    if not found:
        raise UserError(
            f"{input}: no image at any depth (looked for {' '.join(sorted(IMAGE_SUFFIXES))}); "
            f"for video files use `mubert prepare video`{passed.clause()}"
        )
    names = {folder.relative_to(input) for folder, _ in found}
    return [_clip(input, folder, images, names, passed) for folder, images in found]


def _clip(
    input: Path, folder: Path, images: list[Path], names: set[Path], passed: PassedOver
) -> Clip:
    name = folder.relative_to(input)
    if folder == input:
        own = Path(input.resolve().name)
        name = own.with_name(f"{own.name}.") if own in names else own
    name = PurePath(printable(name))
    try:
        numbered = numbered_images(images, passed)
    except UserError as error:
        reason = str(error).removeprefix(f"{printable(folder)}: ")
        return unusable(name.as_posix(), subject_of(name), len(images), reason, folder)
    reader = ClipImages([path for _, path in numbered])
    return Clip(
        name=name.as_posix(),
        subject=subject_of(name),
        num_frames=len(numbered),
        frames=partial(_read, reader, numbered),
        sample=partial(_sample, reader, numbered),
        files=folder,
        note=lambda: reader.note,
    )


def _read(reader: ClipImages, images: list[tuple[int, Path]]) -> Iterator[tuple[int, np.ndarray]]:
    return ((number, reader.read(path)) for number, path in images)


def _sample(reader: ClipImages, images: list[tuple[int, Path]], count: int) -> list[np.ndarray]:
    positions = np.unique(np.linspace(0, len(images) - 1, count).astype(int))
    return [reader.read(images[position][1]) for position in positions]
