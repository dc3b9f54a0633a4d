"""Frames of videos as RGB arrays."""

import itertools
import os
import re
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import DTypeLike

from mubert_jax.data.avi import frames_that_are_there
from mubert_jax.data.images import read_image as read_image
from mubert_jax.data.images import read_images as read_images
from mubert_jax.data.names import printable
from mubert_jax.data.quiet import quiet_opencv
from mubert_jax.errors import UserError

VIDEO_SUFFIXES = frozenset(
    ".3g2 .3gp .asf .avi .divx .f4v .flv .h264 .hevc .m2ts .m2v .m4v .mjpeg .mjpg .mkv .mov .mp4 "
    ".mpe .mpeg .mpg .mts .mxf .nut .ogm .ogv .qt .rm .ts .vob .webm .wmv".split()
)
IMAGE_SUFFIXES = frozenset(
    ".avif .bmp .dib .jfif .jp2 .jpe .jpeg .jpg .pbm .pgm .png .pnm .ppm .tif .tiff .webp".split()
)
_NUMBER = re.compile(r"\d+")
# Packets of a transport stream begin with this byte. The second one is at byte 188, or at 196 where
# each has a time stamp of four bytes before it.
_SYNC, _SECOND, _SECOND_STAMPED = b"G", 188, 196
# A header that promises so many frames that each would have fewer bytes is not believed.
_LEAST_FRAME_BYTES = 8
# The end of a video looks like a damaged frame: a larger number bridges longer gaps, and reads on
# for longer behind the end.
_MOST_LOST_IN_A_ROW = 500
# Share of a frame by which two time stamps may be off: containers round them to milliseconds.
_EVEN = 0.25
# OpenCV's wheels encode no H.264. VP9 is the strongest codec that they do encode: like H.264 it
# predicts from moved blocks and filters their edges. Browsers play it.
CODEC = "vp09"
# Frames per second that no camera for faces has; some headers promise 90,000, the clock of MPEG.
_FASTEST = 10_000.0


@contextmanager
def _open(path: Path) -> Generator[cv2.VideoCapture]:
    if not path.is_file():
        raise UserError(f"{printable(path)}: no such video file; check the path")
    with _readable_name(path) as name, quiet_opencv():
        capture = cv2.VideoCapture(name, cv2.CAP_FFMPEG)
    try:
        if not capture.isOpened():
            raise UserError(
                f"{printable(path)}: cannot be read as a video; re-encode it (ffmpeg -i IN OUT.mp4)"
            )
        yield capture
    finally:
        capture.release()


@contextmanager
def _readable_name(path: Path) -> Generator[str]:
    """A name that FFmpeg takes for a file: absolute, and valid Unicode."""
    name = str(path.absolute())
    try:
        name.encode()
    except UnicodeEncodeError:
        with open(path, "rb") as file:
            yield f"/dev/fd/{file.fileno()}"
    else:
        yield name


def is_video(path: Path) -> bool:
    """Whether a file with the suffix of a video is one: .ts and .mts may be TypeScript, too."""
    if path.suffix.lower() not in (".ts", ".mts"):
        return True
    try:
        with open(path, "rb") as file:
            start = file.read(_SECOND_STAMPED + 1)
    except OSError:
        return True
    plain, stamped = start[::_SECOND][:2], start[4 :: _SECOND_STAMPED - 4][:2]
    return not start or _SYNC * 2 in (plain, stamped)


def announced_frames(path: Path) -> int:
    """The number of frames that a video's header promises; 0 where it does not or cannot be."""
    try:
        with _open(path) as capture:
            return _announced(path, capture)
    except UserError:
        return 0


def _announced(path: Path, capture: cv2.VideoCapture) -> int:
    count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
    possible = 1 <= count <= path.stat().st_size / _LEAST_FRAME_BYTES
    return int(count) if possible else 0


def frame_rate(path: Path) -> float:
    """Frames per second, as a video's header has them; 25 where that cannot be.

    Raises:
      UserError: as for `read_video`.
    """
    with _open(path) as capture:
        rate = capture.get(cv2.CAP_PROP_FPS)
    return rate if 1 <= rate <= _FASTEST else 25.0


def read_video(path: str | os.PathLike) -> Iterator[tuple[int, np.ndarray]]:
    """Yields (frame number from 0, (H, W, 3) uint8 RGB) in order.

    A frame that cannot be decoded counts, and its number is missing. Where the time stamps were
    even until then, they also count the frames that the decoder passes over in silence; of AVI
    files, which have no time stamps, the index does.

    Raises UserError when the file is missing, is not a video, or holds no frame.
    """
    for number, _, image in read_timed_video(path):
        yield number, image


def read_timed_video(path: str | os.PathLike) -> Iterator[tuple[int, float, np.ndarray]]:
    """As `read_video`, with the time stamp of every frame in seconds, from that of the first."""
    path = Path(path)
    number = lost = 0
    first: float | None = None
    with _open(path) as capture:
        clock = _clock(path, capture)
        while lost < _MOST_LOST_IN_A_ROW:
            image = _next(capture)
            if image is None:
                lost += 1
                continue
            number, lost = clock.number(number + lost, lost), 0
            stamp = clock.seconds(number)
            first = stamp if first is None else first
            yield number, stamp - first, image
            number += 1
    if first is None:
        raise _no_frame(path)


def _clock(path: Path, capture: cv2.VideoCapture) -> "_Clock":
    try:
        there = frames_that_are_there(path)
    except (OSError, ValueError):
        there = None
    return _Clock(capture) if there is None else _Index(capture, there)


class _Clock:
    """Counts frames by their time stamps where decoding failed.

    Args:
      capture: the video, which is asked for its time after each frame.
    """

    def __init__(self, capture: cv2.VideoCapture):
        self._capture = capture
        self._rate = capture.get(cv2.CAP_PROP_FPS) / 1000
        self._even = self._rate > 0
        self._last: tuple[int, float] | None = None

    def number(self, counted: int, lost: int) -> int:
        """The number of the frame just read, which would be `counted` behind `lost` failures."""
        time = self._capture.get(cv2.CAP_PROP_POS_MSEC)
        if self._last is not None:
            number, then = self._last
            steps = (time - then) * self._rate
            if lost and self._even:
                counted = max(counted, number + round(steps))
            elif abs(steps - 1) > _EVEN:
                self._even = False
        self._last = counted, time
        return counted

    def seconds(self, number: int) -> float:
        """The time stamp of the frame just read, which has this number."""
        return self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000


class _Index(_Clock):
    """Counts the frames of a damaged AVI file by those that are there, in their order."""

    def __init__(self, capture: cv2.VideoCapture, there: np.ndarray):
        super().__init__(capture)
        self._there, self._read = there, 0

    def number(self, counted: int, lost: int) -> int:
        self._read += lost
        at, last = self._read, len(self._there) - 1
        self._read += 1
        return int(self._there[min(at, last)]) + max(at - last, 0)

    def seconds(self, number: int) -> float:
        return number / (1000 * self._rate) if self._rate > 0 else super().seconds(number)


def _next(capture: cv2.VideoCapture) -> np.ndarray | None:
    with quiet_opencv():
        try:
            ok, image = capture.read()
        except cv2.error:
            return None
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB) if ok else None


def _no_frame(path: Path) -> UserError:
    return UserError(
        f"{printable(path)}: the video holds no frame that can be decoded; re-encode it"
    )


def sample_video(path: str | os.PathLike, count: int) -> list[np.ndarray]:
    """The first frame and up to `count - 1` others spread evenly; raises UserError as `read_video`.

    Seeks instead of decoding the whole file, so the positions are only about even; a file that is
    not as its header says is decoded.
    """
    path = Path(path)
    with _open(path) as capture:
        announced = _announced(path, capture)
        images = _sought(capture, announced, count)
    if len(images) >= min(count, announced) > 0:
        return images
    numbers = [number for number, _ in read_video(path)]
    wanted = {numbers[i] for i in np.linspace(0, len(numbers) - 1, count).astype(int)}
    return [image for number, image in read_video(path) if number in wanted]


def _sought(capture: cv2.VideoCapture, announced: int, count: int) -> list[np.ndarray]:
    images = []
    for position in np.unique(np.linspace(0, max(0, announced - 1), count).astype(int)):
        if position > 0:
            capture.set(cv2.CAP_PROP_POS_FRAMES, position)
        image = _next(capture)
        if image is None:
            break
        images.append(image)
    return images


def write_video(frames: Iterable[np.ndarray], fps: float, path: Path, remedy: str) -> None:
    """Writes (H, W, 3) uint8 RGB frames of one size as MP4 of `CODEC`, whatever the file's suffix.

    The codec wants even sides: an odd one repeats its last row or column.

    Args:
      remedy: what else to do where OpenCV has no encoder for it.

    Raises:
      UserError: OpenCV has none.
    """
    frames = iter(frames)
    first = next(frames)
    height, width = first.shape[:2]
    even = (width + width % 2, height + height % 2)
    code = cv2.VideoWriter.fourcc(*CODEC)
    # OpenCV chooses the container by the suffix.
    named = path.with_name(f"{path.name}.mp4")
    writer = cv2.VideoWriter(str(named), cv2.CAP_FFMPEG, code, fps, even)
    try:
        if not writer.isOpened():
            raise UserError(
                f"this OpenCV cannot encode {CODEC}; take opencv-python-headless from PyPI, or "
                f"{remedy}"
            )
        for frame in itertools.chain([first], frames):
            picture = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
            border = (0, height % 2, 0, width % 2)
            writer.write(cv2.copyMakeBorder(picture, *border, cv2.BORDER_REPLICATE))
        writer.release()
        named.replace(path)
    finally:
        writer.release()
        named.unlink(missing_ok=True)


def grey(images: np.ndarray, dtype: DTypeLike = np.float64) -> np.ndarray:
    """Luma of RGB images (..., 3) by ITU-R BT.601, as in OpenCV, as `dtype`."""
    return images.astype(dtype) @ np.array([0.299, 0.587, 0.114], dtype)


def frame_number(path: Path) -> int | None:
    """The last number in a file name: 46 for `reg_img46.jpg`; None where there is none."""
    numbers = _NUMBER.findall(path.stem)
    return int(numbers[-1]) if numbers else None
