"""What is odd about the frames of a clip that is kept all the same."""

from collections.abc import Iterator, Sequence

import numpy as np

# The brightest pixel, in grey levels of 255: 12 bits read as 16 give at most 15, 13 bits 31.
DARKEST = 32
DARK = "nearly black; were they made with more than 8 bits?"
# Share of the announced frames below which the rest is reported as lost: headers are often a few
# frames off.
_WHOLE = 0.9


class FramesSeen:
    """Looks at the frames of one clip as they go by."""

    def __init__(self):
        self._brightest = 0
        self._shapes: dict[tuple[int, ...], None] = {}

    def add(self, image: np.ndarray) -> None:
        """The next frame, (H, W, 3) uint8."""
        self._brightest = max(self._brightest, int(image.max()))
        self._shapes[image.shape[:2]] = None

    def notes(self, numbers: Sequence[int], announced: int) -> Iterator[str]:
        """What is odd, in words.

        Args:
          numbers: the frame numbers, in order.
          announced: the number of frames that the file promises, 0 where unknown.
        """
        if len(numbers) < _WHOLE * announced:
            yield f"{len(numbers)} frames could be read, its file announces {announced}"
        if self._brightest < DARKEST:
            yield f"its frames are {DARK}"
        if len(self._shapes) > 1:
            sizes = " and ".join(f"{w}x{h}" for h, w in list(self._shapes)[:2])
            yield f"its frames differ in size, {sizes}, and are brought to one"
        if (step := typical_step(np.asarray(numbers))) > 1:
            yield f"frame numbers go up by {step}; delta counts in these numbers, not in frames"


def typical_step(numbers: np.ndarray) -> int:
    """The median distance between successive numbers, which ascend; 1 for a single one."""
    return int(np.median(np.diff(numbers))) if len(numbers) > 1 else 1
