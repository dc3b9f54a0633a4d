"""What is odd about the frames of a clip that is kept all the same."""

from collections.abc import Iterator, Sequence

import numpy as np

DARKEST = 32
DARK = "nearly black; were they made with more than 8 bits?"
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
          numbers: of the frames, in order.
          announced: how many the file promises, 0 where unknown.
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
    """The median distance of successive frame numbers, which ascend; 1 where there is none."""
    return int(np.median(np.diff(numbers))) if len(numbers) > 1 else 1
