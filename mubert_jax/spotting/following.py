"""Stretches of a recording in which one face is seen through one box, and holes between them.

The box does not move within a stretch, so it adds no motion.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from mubert_jax.data.faces import (
    Box,
    Detection,
    Detector,
    center_box,
    clip_box,
    crop_and_resize,
)
from mubert_jax.spotting.footage import Frame

# Seconds without a frame that end a stretch.
LONGEST_GAP = 0.25
# Seconds in which a face is looked for before a box is fixed, and the frames tried in it.
_LOOK, _TRIED = 0.5, 5
# Seconds from one look for the face to the next.
_CHECK = 2.0
# Looks in a row, a quarter of a second apart, that may miss a face: detectors miss turned heads.
_MISSES, _AGAIN = 3, 0.25
# How far, as a share of its side, a face may go in its box, and how much it may grow or shrink.
_FAR, _GROWN = 0.2, 1.35
# A picture is a new one if it differs from the last by this share of its own contrast: a face that
# moves has less than half of it. Pictures are compared at this side, which noise does not reach.
_CUT, _SIDE = 0.5, 24
NO_FACE, CUT, GAP, LEFT, LOST = (
    "no face",
    "a cut",
    "no readable frame",
    "the face has left its box",
    "the face was lost",
)
SEVERAL = "several faces: the largest is followed"


@dataclass(frozen=True, eq=False)
class Seen:
    """A frame of a stretch, cut out: (S, S, 3) uint8 RGB; `box` is None for whole frames."""

    stretch: int
    number: int
    seconds: float
    face: np.ndarray
    box: Box | None


@dataclass(frozen=True)
class Hole:
    """Where nothing is spotted: its first and last frame, its times in seconds, and why."""

    first: int
    last: int
    start: float
    end: float
    reason: str


class Follower:
    """Cuts the face out of the frames of one recording.

    Args:
      size: the side of what is cut out, in pixels.
      rate: frames per second.
      detector: finds faces; None for frames that show one and nothing else.
      margin: what is added around the face, in its sides.
      center: whether, without a detector, to cut out the middle square, not the whole frame.

    Attributes:
      holes: what was passed over so far.
      notes: what a reader has to know.
    """

    def __init__(
        self,
        size: int,
        rate: float,
        detector: Detector | None,
        margin: float = 0.3,
        center: bool = False,
    ):
        self._size, self._rate = size, rate
        self._detector, self._margin, self._center = detector, margin, center
        self.holes: list[Hole] = []
        self.notes: list[str] = []

    def __call__(self, frames: Iterator[Frame]) -> Iterator[Seen]:
        """The frames of all stretches, in order; `holes` has what is between them."""
        stretch, box, waiting = 0, None, list[Frame]()
        last, picture, misses, look_at = None, None, 0, 0.0
        for frame in frames:
            before, picture = picture, _thumbnail(frame.image)
            ended = ""
            if last is not None and frame.seconds - last.seconds > LONGEST_GAP:
                ended = GAP
                self._hole(last.number + 1, frame.number - 1, last.seconds, frame.seconds, GAP)
            elif before is not None and is_cut(before, picture):
                ended = CUT
                self._hole(frame.number, frame.number, frame.seconds, frame.seconds, CUT)
            elif box is not None and self._detector and frame.seconds >= look_at:
                state = self._look(frame.image, box)
                misses = misses + 1 if state == LOST else 0
                look_at = frame.seconds + (_AGAIN if misses else _CHECK)
                if state == LEFT or misses >= _MISSES:
                    ended = state
                    self._hole(frame.number, frame.number, frame.seconds, frame.seconds, state)
            if ended:
                yield from self._begun(stretch, waiting)
                stretch, box, waiting, misses = stretch + 1, None, [], 0
            if box is None:
                waiting.append(frame)
                if len(waiting) >= max(1, round(_LOOK * self._rate)):
                    found = self._box(waiting)
                    if found is None:
                        self._no_face(waiting)
                    else:
                        box, look_at = found, frame.seconds + _CHECK
                        yield from self._cut_out(stretch, waiting, box)
                    waiting = []
            else:
                yield from self._cut_out(stretch, [frame], box)
            last = frame
        yield from self._begun(stretch, waiting)

    def _begun(self, stretch: int, waiting: list[Frame]) -> Iterator[Seen]:
        """What has waited for a box in a stretch that is over before it had one."""
        if waiting:
            box = self._box(waiting)
            if box is None:
                self._no_face(waiting)
            else:
                yield from self._cut_out(stretch, waiting, box)

    def _cut_out(self, stretch: int, frames: list[Frame], box: Box) -> Iterator[Seen]:
        whole = None if box.side == 0 else box
        for frame in frames:
            face = crop_and_resize(frame.image, whole, self._size)
            yield Seen(stretch, frame.number, frame.seconds, face, whole)

    def _box(self, frames: list[Frame]) -> Box | None:
        """The box of some frames; one without a side for all of a frame."""
        if self._detector is None:
            return center_box(frames[0].image) if self._center else Box(0, 0, 0)
        places = np.unique(np.linspace(0, len(frames) - 1, _TRIED).astype(int))
        images = [frames[i].image for i in places]
        found: list[list[Detection]] = []

        def detector(image: np.ndarray) -> list[Detection]:
            found.append(self._detector(image) if self._detector else [])
            return found[-1]

        box = clip_box(images, detector, self._margin)
        if sum(len(faces) > 1 for faces in found) > len(images) / 2 and SEVERAL not in self.notes:
            self.notes.append(SEVERAL)
        return box

    def _look(self, image: np.ndarray, box: Box) -> str:
        """Why the face is not where its box is, `LEFT` or `LOST`; nothing where it is."""
        faces = self._detector(image) if self._detector else []
        side, x, y = box.side / (1 + 2 * self._margin), box.x + box.side / 2, box.y + box.side / 2

        def away(face: Detection) -> float:
            to = face.x + face.width / 2 - x, face.y + face.height / 2 - y
            return float(np.hypot(*to)) / side

        near = [face for face in faces if away(face) < 1]
        if not near:
            return LOST
        face = min(near, key=away)
        grown = max(face.width, face.height) / side
        kept = away(face) <= _FAR and 1 / _GROWN <= grown <= _GROWN
        return "" if kept else LEFT

    def _no_face(self, frames: list[Frame]) -> None:
        first, last = frames[0], frames[-1]
        self._hole(first.number, last.number, first.seconds, last.seconds, NO_FACE)

    def _hole(self, first: int, last: int, start: float, end: float, reason: str) -> None:
        before = self.holes[-1] if self.holes else None
        if before and before.reason == reason == NO_FACE and first - before.last <= self._rate:
            first, start = before.first, before.start
            self.holes.pop()
        self.holes.append(Hole(first, last, start, end, reason))


def _thumbnail(image: np.ndarray) -> np.ndarray:
    small = cv2.resize(image, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)


def is_cut(before: np.ndarray, after: np.ndarray) -> bool:
    """Whether two small grey pictures in a row are of two scenes; light alone makes none."""
    return change(before, after) > _CUT


def change(before: np.ndarray, after: np.ndarray) -> float:
    """The mean difference of two grey pictures, of mean 0 and spread alike, over their spread."""
    # Of a picture of a single colour, noise is no contrast.
    one, other = ((x - x.mean()) / max(float(x.std()), 4.0) for x in (before, after))
    return float(np.abs(one - other).mean())
