"""A second look at a recording: the pictures of its page, and the emotions of its expressions."""

import dataclasses
import functools
import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence

import cv2
import numpy as np

from mubert_jax.data.faces import Box, crop_and_resize
from mubert_jax.spotting.comparing import Comparison
from mubert_jax.spotting.footage import Footage, Frame
from mubert_jax.spotting.found import Found
from mubert_jax.spotting.spotter import Stretch, stretch_of

# How many of the highest scores get pictures: a page of more is slow to open.
MOST = 80
# Pictures of each of them, evenly from onset to offset, and its apex; and the most of the time
# between, evenly over the recording.
OF_EACH, BETWEEN = 8, 160
# Seconds before a picture of the time between from which its movement is read.
BEFORE = 0.5
# The side of a picture and the quality of its JPEG: 4 kB each.
SIDE, QUALITY = 144, 80
# Pairs that are compared at a time.
BATCH = 16

Recognise = Callable[[np.ndarray, np.ndarray], dict[str, float]]
"""Onset and apex, (S, S, 3) uint8 RGB each -> emotion -> probability, the most probable first."""


@dataclasses.dataclass(frozen=True, eq=False)
class Picture:
    """A face at one time.

    Attributes:
      number, seconds: which frame it is, and when.
      since: the frame from which on its movement is read; the onset of what it belongs to.
      of: the place of that among all that was found; None in the time between.
      jpeg: the face.
      movement: W (`Comparison`) of every patch, (g, g).
    """

    number: int
    seconds: float
    since: int
    of: int | None
    jpeg: bytes
    movement: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Pair:
    """Two faces of one stretch, (S, S, 3) uint8 RGB, and the frame and box of the later one."""

    since: int
    frame: Frame
    box: Box | None
    before: np.ndarray
    after: np.ndarray

    @property
    def numbers(self) -> tuple[int, int]:
        return self.since, self.frame.number


def pairs_again(
    footage: Footage,
    stretches: Sequence[Stretch],
    wanted: Collection[tuple[int, int]],
    size: int,
) -> Iterator[Pair]:
    """Pairs of frame numbers, earlier and later, read in one pass, in the order of the later ones.

    Earlier faces are held until their last pair, and no others. A pair of which a frame cannot be
    read once more, or whose frames do not lie in one stretch, is left out.

    Args:
      size: S, the side of the faces in pixels.
    """
    until, sinces = dict[int, int](), defaultdict[int, list[int]](list)
    for since, number in wanted:
        until[since] = max(until.get(since, number), number)
        sinces[number].append(since)
    held = dict[int, tuple[Stretch, np.ndarray]]()
    for frame in footage.read({number for pair in wanted for number in pair}):
        stretch = stretch_of(frame.number, stretches)
        if stretch is None:
            continue
        face = crop_and_resize(frame.image, stretch.box, size)
        if frame.number in until:
            held[frame.number] = stretch, face
        for since in sinces.get(frame.number, ()):
            where, before = held.get(since, (None, face))
            if where == stretch:
                yield Pair(since, frame, stretch.box, before, face)
        held = {since: one for since, one in held.items() if until[since] > frame.number}


def second_look(
    footage: Footage,
    stretches: Sequence[Stretch],
    found: Sequence[Found],
    comparison: Comparison,
    recognise: Recognise | None = None,
    seen: Callable[[int], None] = lambda number: None,
) -> tuple[list[Picture], dict[int, dict[str, float]]]:
    """Reads a recording once more.

    Args:
      stretches, found: all that there are.
      recognise: names the emotion of every expression, whether it gets pictures or not.
      seen: called with the number of every frame that is looked at.

    Returns:
      The pictures, in order, of those `MOST` findings that have the highest scores and of the time
      between; and of every expression, by its place in `found`, emotion -> probability.
    """
    views = _views(footage, stretches, found)
    apexes = {
        (one.onset, one.apex): place
        for place, one in enumerate(found)
        if recognise is not None and one.is_expression
    }
    pictures, emotions = list[Picture](), dict[int, dict[str, float]]()
    waiting = list[tuple[Callable[[np.ndarray], Picture], np.ndarray, np.ndarray]]()
    for pair in pairs_again(footage, stretches, {*views, *apexes}, comparison.size):
        seen(pair.frame.number)
        if recognise is not None and pair.numbers in apexes:
            emotions[apexes[pair.numbers]] = recognise(pair.before, pair.after)
        if pair.numbers in views:
            waiting.append((_still(pair, views[pair.numbers]), pair.before, pair.after))
        if len(waiting) == BATCH:
            pictures += _compared(waiting, comparison)
            waiting.clear()
    if waiting:
        pictures += _compared(waiting, comparison)
    return pictures, emotions


def _views(
    footage: Footage, stretches: Sequence[Stretch], found: Sequence[Found]
) -> dict[tuple[int, int], int | None]:
    """The pairs of frames that pictures show -> what each belongs to."""
    views = dict[tuple[int, int], int | None]()
    shown = sorted(range(len(found)), key=lambda place: -found[place].score)[:MOST]
    for place in shown:
        one = found[place]
        numbers = np.linspace(one.onset, one.offset, OF_EACH).round().astype(int).tolist()
        views |= {(one.onset, number): place for number in (*numbers, one.apex)}
    back = round(BEFORE * footage.fps)
    end = max((one.last + 1 for one in stretches), default=0)
    for number in range(0, end, max(1, math.ceil(end / BETWEEN))):
        stretch = stretch_of(number, stretches)
        covered = any(found[at].onset <= number <= found[at].offset for at in shown)
        if stretch is not None and not covered:
            views[max(number - back, stretch.first), number] = None
    return views


def _still(pair: Pair, of: int | None) -> Callable[[np.ndarray], Picture]:
    """The picture, once its movement is known; a face takes less memory than a frame."""
    jpeg = _jpeg(crop_and_resize(pair.frame.image, pair.box, SIDE))
    return functools.partial(Picture, pair.frame.number, pair.frame.seconds, pair.since, of, jpeg)


def _compared(
    waiting: Sequence[tuple[Callable[[np.ndarray], Picture], np.ndarray, np.ndarray]],
    comparison: Comparison,
) -> Iterator[Picture]:
    pairs = [(before, after, comparison.interest(before[None])[0]) for _, before, after in waiting]
    moved_PxN = comparison.batch(pairs, BATCH)
    moved_Pxgxg = moved_PxN.reshape(-1, comparison.grid, comparison.grid)
    for (still, *_), movement in zip(waiting, moved_Pxgxg, strict=True):
        yield still(movement)


def _jpeg(image: np.ndarray) -> bytes:
    picture = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return data.tobytes()


def strongest(pictures: Sequence[Picture]) -> dict[int, float]:
    """The largest movement of a patch in the pictures of each finding, by its place."""
    found = dict[int, float]()
    for one in pictures:
        if one.of is not None:
            found[one.of] = max(found.get(one.of, 0.0), float(one.movement.max()))
    return found
