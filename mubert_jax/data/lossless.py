"""Writing videos that lose nothing: every pixel is read as it was written."""

import functools
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np

from mubert_jax.data.quiet import quiet_opencv
from mubert_jax.data.video import announced_frames
from mubert_jax.errors import UserError

# FFV1 (RFC 9043) keeps RGB as it is; OpenCV's wheels encode it.
CODEC, SUFFIX = "FFV1", ".avi"
_HALF_WRITTEN = ".part-"


@functools.cache
def writes_lossless_video() -> bool:
    """Whether this OpenCV writes `CODEC`, and reads it again as it was."""
    frames = list(np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8))
    with tempfile.TemporaryDirectory() as folder, quiet_opencv():
        path = Path(folder) / f"try{SUFFIX}"
        _write_video(frames, 25.0, path)
        capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
        read = [capture.read()[1] for _ in frames]
        capture.release()
    return all(
        image is not None and np.array_equal(image, cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        for image, frame in zip(read, frames, strict=True)
    )


def write_lossless(
    frames: Iterable[np.ndarray], count: int, fps: float, folder: Path, name: str
) -> Path:
    """Writes a video, or else a folder of PNG images that are numbered from 0, whole or not at all.

    Args:
      frames: (H, W, 3) uint8 RGB, H and W even; they are taken one by one.
      count: how many there are.

    Returns:
      The file or folder, `name` in `folder`.

    Raises:
      UserError: not all frames could be written.
    """
    video = writes_lossless_video()
    final = folder / (f"{name}{SUFFIX}" if video else name)
    temporary = folder / f"{_HALF_WRITTEN}{final.name}"
    try:
        if video:
            with quiet_opencv():
                _write_video(frames, fps, temporary)
            written = announced_frames(temporary)
        else:
            written = _write_images(frames, temporary)
        if written != count:
            raise UserError(f"{final}: {written} of {count} frames were written; is the disk full?")
        os.replace(temporary, final)
    finally:
        remove(temporary)
    return final


def remove_half_written(folder: Path) -> None:
    """Removes what killed runs left in a folder and below."""
    for path in list(folder.rglob(f"{_HALF_WRITTEN}*")):
        remove(path)


def remove(path: Path) -> None:
    """Removes a file, or a folder with all that is in it, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _write_video(frames: Iterable[np.ndarray], fps: float, path: Path) -> None:
    images: Iterator[np.ndarray] = iter(frames)
    first = next(images)
    code, (height, width) = cv2.VideoWriter.fourcc(*CODEC), first.shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, code, fps, (width, height))
    try:
        writer.write(cv2.cvtColor(first, cv2.COLOR_RGB2BGR))
        for image in images:
            writer.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    finally:
        writer.release()


def _write_images(frames: Iterable[np.ndarray], folder: Path) -> int:
    remove(folder)
    folder.mkdir()
    written = 0
    for written, image in enumerate(frames, 1):
        picture = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        if not cv2.imwrite(str(folder / f"{written - 1:06d}.png"), picture):
            return written - 1
    return written
