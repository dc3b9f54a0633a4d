"""Frames of videos and image files as RGB arrays."""

import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

import cv2  # noqa: E402
import numpy as np  # noqa: E402

from mubert_jax.errors import UserError  # noqa: E402

VIDEO_SUFFIXES = frozenset(
    ".3gp .avi .flv .m4v .mkv .mov .mp4 .mpeg .mpg .mts .ogv .webm .wmv".split()
)
IMAGE_SUFFIXES = frozenset(".bmp .jpeg .jpg .pgm .png .ppm .tif .tiff .webp".split())
_log = logging.getLogger(__name__)
_NUMBER = re.compile(r"\d+")


def _open(path: Path) -> cv2.VideoCapture:
    if not path.is_file():
        raise UserError(f"{path}: no such video file; check the path")
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    if not capture.isOpened():
        raise UserError(f"{path}: cannot be read as a video; re-encode it (ffmpeg -i IN OUT.mp4)")
    return capture


def announced_frames(path: Path) -> int:
    """The number of frames a video's header promises; 0 where it does not or cannot be read."""
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    count = capture.get(cv2.CAP_PROP_FRAME_COUNT) if capture.isOpened() else 0
    capture.release()
    return max(0, int(count))


def read_video(path: str | os.PathLike) -> Iterator[tuple[int, np.ndarray]]:
    """Yields (frame number from 0, (H, W, 3) uint8 RGB) in order.

    Raises UserError when the file is missing, is not a video, or holds no frame.
    """
    path = Path(path)
    capture = _open(path)
    try:
        number = 0
        while True:
            ok, image = capture.read()
            if not ok:
                break
            yield number, cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
            number += 1
    finally:
        capture.release()
    if number == 0:
        raise UserError(f"{path}: the video holds no frame that can be decoded; re-encode it")


def sample_video(path: str | os.PathLike, count: int) -> list[np.ndarray]:
    """The first frame and up to `count - 1` others spread evenly; raises UserError as `read_video`.

    Seeks instead of decoding the whole file, so the positions are only about even.
    """
    path = Path(path)
    capture = _open(path)
    try:
        positions = np.linspace(0, max(0, capture.get(cv2.CAP_PROP_FRAME_COUNT) - 1), count)
        images = []
        for position in np.unique(positions.astype(int)):
            if position > 0:
                capture.set(cv2.CAP_PROP_POS_FRAMES, position)
            ok, image = capture.read()
            if ok:
                images.append(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
    finally:
        capture.release()
    if not images:
        raise UserError(f"{path}: the video holds no frame that can be decoded; re-encode it")
    return images


def grey(images: np.ndarray, dtype=np.float64) -> np.ndarray:
    """Luma of RGB images (..., 3), as `dtype`."""
    return images.astype(dtype) @ np.array([0.299, 0.587, 0.114], dtype)


def read_image(path: str | os.PathLike) -> np.ndarray:
    """An image file as (H, W, 3) uint8 RGB; UserError when it is missing or not an image."""
    try:
        encoded = np.fromfile(path, np.uint8)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    image = cv2.imdecode(encoded, cv2.IMREAD_COLOR) if encoded.size else None
    if image is None:
        raise UserError(f"{path}: not an image that OpenCV can read; convert it to PNG")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image)


def frame_number(path: Path) -> int | None:
    """The last number in a file name: 46 for `reg_img46.jpg`; None where there is none."""
    numbers = _NUMBER.findall(path.stem)
    return int(numbers[-1]) if numbers else None


def numbered_images(paths: list[Path]) -> list[tuple[int, Path]]:
    """Image paths of one folder with their frame numbers, ordered by number, not by name.

    Images without a number (previews, posters) are left out with a logged warning. Raises UserError
    when two have the same number or none has one.
    """
    numbered: dict[int, Path] = {}
    for path in sorted(paths):
        number = frame_number(path)
        if number is None:
            _log.warning("%s: left out, its name holds no frame number", path)
            continue
        if number in numbered:
            raise UserError(
                f"{path.parent}: {numbered[number].name} and {path.name} both count as frame "
                f"{number}; keep one clip a folder and one file a frame"
            )
        numbered[number] = path
    if paths and not numbered:
        raise UserError(
            f"{paths[0].parent}: no image has a frame number in its name; "
            "rename them as img1.png, img2.png, ..."
        )
    return sorted(numbered.items())
