"""Folders of image files; one clip a folder that holds images, at every depth."""

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from mubert_jax.data.clips import Clip, subject_of
from mubert_jax.data.video import IMAGE_SUFFIXES, numbered_images, read_image
from mubert_jax.errors import UserError


def clips(input: Path) -> list[Clip]:
    """One clip a folder with images, `input` itself included, frames ordered by number.

    A clip is named by its path below `input`; in `SUBJECT/.../CLIP/img1.jpg` the subject is the
    first folder. Raises UserError when there is no image, or numbers are missing or repeated.
    """
    if not input.is_dir():
        raise UserError(f"{input}: not a folder; for a video file use `mubert prepare video`")
    found = []
    for folder, folders, files in os.walk(input):
        folders[:] = [name for name in folders if not name.startswith((".", "__MACOSX"))]
        path = Path(folder)
        images = [
            path / name
            for name in files
            if Path(name).suffix.lower() in IMAGE_SUFFIXES and not name.startswith(".")
        ]
        if images:
            found.append(_clip(input, path, numbered_images(images)))
    if not found:
        raise UserError(
            f"{input}: no image at any depth (looked for {' '.join(sorted(IMAGE_SUFFIXES))}); "
            "for video files use `mubert prepare video`"
        )
    return found


def _clip(input: Path, folder: Path, images: list[tuple[int, Path]]) -> Clip:
    relative = folder.relative_to(input)
    name = Path(input.resolve().name) if folder == input else relative
    return Clip(
        name=name.as_posix(),
        subject=subject_of(name),
        num_frames=len(images),
        frames=partial(_read, images),
        sample=partial(_sample, images),
        files=folder,
    )


def _read(images: list[tuple[int, Path]]) -> Iterator[tuple[int, np.ndarray]]:
    return ((number, read_image(path)) for number, path in images)


def _sample(images: list[tuple[int, Path]], count: int) -> list[np.ndarray]:
    positions = np.unique(np.linspace(0, len(images) - 1, count).astype(int))
    return [read_image(images[position][1]) for position in positions]
