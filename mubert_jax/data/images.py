"""Image files as RGB arrays; images of more than eight bits get one scale per clip."""

import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from mubert_jax.data.names import printable
from mubert_jax.data.quiet import quiet_opencv
from mubert_jax.errors import UserError

_PNG = b"\x89PNG\r\n\x1a\n"
# Depths that cameras and file formats have.
_BITS = (8, 10, 12, 14, 16, 24, 32)


class ClipImages:
    """The image files of one clip, all read with one scale.

    Eight-bit images are read as they are. Where others hold 16 bits or floats, the depth is the
    smallest usual one that holds the largest value of the clip: cameras of 10 or 12 bits fill the
    lower bits, and a scale for each image would make the clip flicker.

    Args:
      paths: every image of the clip.
    """

    def __init__(self, paths: Sequence[str | Path]):
        self._paths = paths
        self._largest: dict[np.dtype, float] = {}

    def read(self, path: str | Path) -> np.ndarray:
        """One of the images as (H, W, 3) uint8 RGB; UserError if it is missing or not an image."""
        image = _decoded(path)
        if image.dtype != np.uint8:
            image = _eight_bits(image, self._largest_of(image.dtype))
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)

    @property
    def note(self) -> str:
        """The scales of the images read so far; empty where all had eight bits."""
        return "; ".join(
            f"{dtype} images, read as of {_depth(dtype, largest)}"
            for dtype, largest in self._largest.items()
        )

    def _largest_of(self, dtype: np.dtype) -> float:
        if dtype not in self._largest:
            self._largest[dtype] = max(_largest_values(self._paths, dtype), default=0.0)
        return self._largest[dtype]


def read_image(path: str | Path) -> np.ndarray:
    """An image file as (H, W, 3) uint8 RGB; UserError when it is missing or not an image."""
    return ClipImages([path]).read(path)


def read_images(paths: Sequence[str | Path]) -> list[np.ndarray]:
    """Image files of one clip, such as onset and apex, as `ClipImages` reads them."""
    clip = ClipImages(paths)
    return [clip.read(path) for path in paths]


def _largest_values(paths: Sequence[str | Path], dtype: np.dtype) -> Iterator[float]:
    for path in paths:
        try:
            image = _decoded(path)
        except UserError:
            continue
        if image.dtype == dtype:
            if not np.isfinite(image).all() or image.min() < 0:
                raise UserError(
                    f"{printable(path)}: {dtype} values of {image.min():g} to {image.max():g} are "
                    "no colours; convert it to an 8-bit PNG"
                )
            yield float(image.max())


def _eight_bits(image: np.ndarray, largest: float) -> np.ndarray:
    bits = _bits(image.dtype, largest)
    if image.dtype.kind == "f":
        scale = 255.0 if bits == 0 else 2.0 ** (8 - bits)
        return np.clip(np.round(image * scale), 0, 255).astype(np.uint8)
    return (image >> (bits - 8)).astype(np.uint8)


def _bits(dtype: np.dtype, largest: float) -> int:
    """The depth that holds `largest`; 0 for floats from 0 to 1."""
    if dtype.kind == "f" and largest <= 1:
        return 0
    return next((bits for bits in _BITS if largest < 2**bits), 64)


def _depth(dtype: np.dtype, largest: float) -> str:
    bits = _bits(dtype, largest)
    return f"{bits} bits" if bits else "0 to 1"


def _decoded(path: str | Path) -> np.ndarray:
    """(H, W, 3) BGR with the depth of the file, turned as its EXIF data say."""
    try:
        encoded = np.fromfile(path, np.uint8)
    except OSError as error:
        raise UserError(
            f"{printable(path)}: cannot be read ({error.strerror}); check the path"
        ) from error
    if not encoded.size:
        raise UserError(f"{printable(path)}: not an image, the file is empty; copy it again")
    if not _whole(encoded.data):
        raise UserError(f"{printable(path)}: not an image, the PNG is damaged; copy it again")
    image = _imdecode(encoded, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    if image is None:
        image = _imdecode(encoded, cv2.IMREAD_UNCHANGED)
    if image is None:
        raise UserError(f"{printable(path)}: not an image that OpenCV can read; convert it to PNG")
    if image.ndim == 2:
        image = np.repeat(image[..., None], 3, axis=2)
    return np.ascontiguousarray(image[..., :3])


def _imdecode(encoded: np.ndarray, flags: int) -> np.ndarray | None:
    with quiet_opencv():
        try:
            return cv2.imdecode(encoded, flags)
        except cv2.error:
            return None


def _whole(encoded: memoryview) -> bool:
    """Whether a PNG is complete and undamaged; libpng would print a line for one that is not.

    Anything but a PNG passes.
    """
    if encoded[:8] != _PNG:
        return True
    position = len(_PNG)
    while position + 12 <= len(encoded):
        length, kind = struct.unpack_from(">I4s", encoded, position)
        end = position + 8 + length
        if end + 4 > len(encoded):
            return False
        needed = kind[:1].isupper()
        crc = struct.unpack_from(">I", encoded, end)[0]
        if needed and zlib.crc32(encoded[position + 4 : end]) != crc:
            return False
        if kind == b"IEND":
            return True
        position = end + 4
    return False
