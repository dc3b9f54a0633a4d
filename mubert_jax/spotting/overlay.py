"""The overlay of a spotted recording: its frames, what moved since each onset, and a time bar."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from mubert_jax.data.faces import Box, crop_and_resize
from mubert_jax.data.files import replacing
from mubert_jax.data.video import write_video
from mubert_jax.spotting.comparing import Comparison
from mubert_jax.spotting.following import LONGEST_GAP
from mubert_jax.spotting.footage import Footage, Frame, thinned
from mubert_jax.spotting.found import Found
from mubert_jax.spotting.heat import heated
from mubert_jax.spotting.spotter import Stretch, stretch_of

# The rows of a picture at most, and those of the bar below it. Smaller frames are enlarged, so that
# a face can be seen.
ROWS, BAR, SMALLEST = 360, 36, 240
# Frames whose movement is read at a time, and the most that are held.
BATCH = 16
# The colours of the page.
COLOURS = {"micro": (196, 80, 10), "macro": (43, 95, 179), "blink": (152, 162, 179)}
_SPEECH, _INK, _PAPER = (142, 68, 173), (27, 34, 48), (246, 247, 249)


@dataclass(frozen=True, eq=False)
class _Waiting:
    """A frame before it is drawn.

    Attributes:
      box: where its face is.
      happens: what is found at it.
      pair: the face at the onset of that, the face now, and the interest of the former.
    """

    frame: Frame
    box: Box | None
    happens: Found | None
    pair: tuple[np.ndarray, ...] = ()


def write_overlay(
    path: Path,
    footage: Footage,
    rate: float,
    stretches: Sequence[Stretch],
    found: Sequence[Found],
    comparison: Comparison,
    peaks: Mapping[Found, float],
    seen: Callable[[], None] = lambda: None,
) -> None:
    """Writes an MP4 of `rate` frames per second; a few frames are held, whatever the length.

    In expressions and all else that was found, W (`Comparison`) from its onset to the frame lies
    over the face; below, a bar shows when what happens, and where the frame is.

    Args:
      found: what is shown.
      peaks: the largest movement of a patch from onset to apex, for the colours; of what is not
        there, the largest so far.
      seen: called for every frame.

    Raises:
      UserError: the recording cannot be read any more, or OpenCV has no encoder.
    """
    drawn = _drawn(footage, rate, stretches, found, comparison, dict(peaks))
    with replacing(path) as temporary:
        write_video(_told(drawn, seen), rate, temporary, "leave --overlay out")


def _told(frames: Iterator[np.ndarray], seen: Callable[[], None]) -> Iterator[np.ndarray]:
    for frame in frames:
        seen()
        yield frame


def _drawn(
    footage: Footage,
    rate: float,
    stretches: Sequence[Stretch],
    found: Sequence[Found],
    comparison: Comparison,
    peaks: dict[Found, float],
) -> Iterator[np.ndarray]:
    seconds = max([footage.expected / footage.fps, *(one.end for one in found)])
    bar: np.ndarray | None = None
    for waiting in _batches(_waiting(footage, rate, stretches, found, comparison)):
        movement = _moved([one for one in waiting if one.happens is not None], comparison)
        for one in waiting:
            picture = _scaled(one.frame.image)
            if one.happens is not None:
                moved = next(movement)
                peaks[one.happens] = max(peaks.get(one.happens, 0.0), float(moved.max()))
                picture = _with_heat(picture, one, moved / max(peaks[one.happens], 1e-9))
            if bar is None:
                bar = _bar(picture.shape[1], seconds, found)
            yield np.concatenate([picture, _at(bar, one, seconds)])


def _waiting(
    footage: Footage,
    rate: float,
    stretches: Sequence[Stretch],
    found: Sequence[Found],
    comparison: Comparison,
) -> Iterator[_Waiting]:
    """Every frame, with the highest of what happens at it."""
    happens, onset = None, (np.zeros(0), np.zeros(0))
    for frame in thinned(iter(footage), rate, LONGEST_GAP):
        stretch = stretch_of(frame.number, stretches)
        here = [one for one in found if one.onset <= frame.number <= one.offset]
        if stretch is None or not here:
            happens = None
            yield _Waiting(frame, None, None)
            continue
        face = crop_and_resize(frame.image, stretch.box, comparison.size)
        if (highest := max(here, key=lambda one: one.score)) is not happens:
            happens, onset = highest, (face, comparison.interest(face[None])[0])
        yield _Waiting(frame, stretch.box, happens, (onset[0], face, onset[1]))


def _batches(waiting: Iterator[_Waiting]) -> Iterator[list[_Waiting]]:
    batch: list[_Waiting] = []
    for one in waiting:
        batch.append(one)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _moved(waiting: Sequence[_Waiting], comparison: Comparison) -> Iterator[np.ndarray]:
    """(g, g) for each."""
    if not waiting:
        return
    moved_PxN = comparison.batch([one.pair for one in waiting], BATCH)
    yield from moved_PxN.reshape(-1, comparison.grid, comparison.grid)


def _scaled(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    rows = min(max(height, SMALLEST), ROWS)
    size = max(2, round(width * rows / height)), rows
    way = cv2.INTER_AREA if rows < height else cv2.INTER_CUBIC
    return cv2.resize(image, size, interpolation=way)


def _with_heat(picture: np.ndarray, one: _Waiting, share_gxg: np.ndarray) -> np.ndarray:
    """The movement over the part of the picture that the face was cut out of."""
    height, width = one.frame.image.shape[:2]
    scale = picture.shape[0] / height
    box = one.box or Box(0, 0, 0)
    # Without a box, the face is the whole frame.
    sides = (box.side, box.side) if one.box else (width, height)
    left, top = round(box.x * scale), round(box.y * scale)
    right, bottom = (round((at + side) * scale) for at, side in zip(box[:2], sides, strict=True))
    inside = np.s_[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    own = np.s_[max(-top, 0) :, max(-left, 0) :]
    shown = picture.copy()
    part = shown[inside]
    share = cv2.resize(
        share_gxg.astype(np.float32), (right - left, bottom - top), interpolation=cv2.INTER_LINEAR
    )[own][: part.shape[0], : part.shape[1]]
    shown[inside] = heated(part, share)
    return shown


def _bar(width: int, seconds: float, found: Sequence[Found]) -> np.ndarray:
    bar = np.full((BAR, width, 3), _PAPER, np.uint8)
    for one in sorted(found, key=lambda one: one.score):
        left, right = (int(at / seconds * width) for at in (one.start, one.end))
        bar[BAR // 2 + 2 : -3, left : max(right, left + 2)] = COLOURS.get(one.what, _SPEECH)
    return bar


def _at(bar: np.ndarray, one: _Waiting, seconds: float) -> np.ndarray:
    """The bar, where the frame is, and in words what happens at it."""
    shown, happens = bar.copy(), one.happens
    at = min(int(one.frame.seconds / seconds * bar.shape[1]), bar.shape[1] - 2)
    shown[BAR // 2 :, at : at + 2] = _INK
    text = f"{one.frame.seconds:.2f} s"
    if happens is not None:
        name = f"{happens.what}, {happens.emotion}" if happens.emotion else happens.what
        text += f"  {name}  {happens.score:.1f}"
    cv2.putText(shown, text, (4, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.42, _INK, 1, cv2.LINE_AA)
    return shown
