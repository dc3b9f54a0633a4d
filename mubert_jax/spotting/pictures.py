"""Small pictures of what was found: onset, apex, offset, and what moved to the apex."""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from matplotlib import colormaps

from mubert_jax.data.faces import crop_and_resize
from mubert_jax.data.video import grey
from mubert_jax.errors import UserError
from mubert_jax.perception.render import COLOURS
from mubert_jax.spotting.comparing import Comparison
from mubert_jax.spotting.footage import Footage
from mubert_jax.spotting.found import Found
from mubert_jax.spotting.spotter import Stretch

# How many of the highest scores get pictures: a page of more is slow to open.
MOST = 80
# The side of a picture and the quality of its JPEG: 4 kB each.
SIDE, QUALITY = 144, 80

Recognise = Callable[[np.ndarray, np.ndarray], str]
"""Onset and apex, (S, S, 3) uint8 RGB each -> an emotion."""


@dataclass(frozen=True, eq=False)
class Pair:
    """The faces of one finding, (S, S, 3) uint8 RGB, and the movement from onset to apex (g, g)."""

    onset: np.ndarray
    apex: np.ndarray
    offset: np.ndarray
    movement: np.ndarray

    def jpegs(self) -> list[str]:
        """Data URIs: onset, apex, offset, and the movement over the apex, on a scale of its own."""
        seen = _heat(self.apex, self.movement)
        return [_jpeg(image) for image in (self.onset, self.apex, self.offset, seen)]


def pairs(
    footage: Footage,
    stretches: Sequence[Stretch],
    found: Sequence[Found],
    comparison: Comparison,
) -> dict[Found, Pair]:
    """The pictures of those findings whose frames can be read once more."""
    boxes = {one: stretch for one in found if (stretch := _stretch(one, stretches)) is not None}
    wanted = {number: box for one, box in boxes.items() for number in _places(one)}
    faces: dict[int, np.ndarray] = {}
    try:
        for number, image in footage.read(wanted):
            faces[number] = crop_and_resize(image, wanted[number].box, comparison.size)
    except UserError:
        # It was read before: what is there will do.
        pass
    shown = {}
    for one in boxes:
        if all(number in faces for number in _places(one)):
            onset, apex, offset = (faces[number] for number in _places(one))
            interest = comparison.interest(onset[None])
            movement = comparison(onset[None], apex[None], interest)
            grid = comparison.grid
            shown[one] = Pair(onset, apex, offset, movement.reshape(grid, grid))
    return shown


def _places(one: Found) -> tuple[int, int, int]:
    return one.onset, one.apex, one.offset


def _stretch(one: Found, stretches: Sequence[Stretch]) -> Stretch | None:
    return next((s for s in stretches if s.first <= one.onset and one.offset <= s.last), None)


def _heat(face: np.ndarray, movement: np.ndarray) -> np.ndarray:
    share = (movement / max(float(movement.max()), 1e-9)).astype(np.float32)
    share = cv2.resize(share, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    return heated(_enlarged(face), share, dim=0.0)


def heated(image_HxWx3: np.ndarray, share_HxW: np.ndarray, dim: float = 1.0) -> np.ndarray:
    """A picture, uint8, with colours over it where a share of 0 to 1 is high.

    Args:
      dim: how much of its own colours the picture keeps where the share is 0; below 1 it is grey
        and darker.
    """
    share = np.clip(share_HxW, 0, 1)
    dimmed = np.repeat(grey(image_HxWx3)[..., None] * 0.8, 3, axis=-1)
    below = dim * image_HxWx3 + (1 - dim) * dimmed
    opacity = np.sqrt(share)[..., None]
    heat = colormaps[COLOURS](share)[..., :3] * 255
    return np.round(below * (1 - opacity) + heat * opacity).astype(np.uint8)


def _enlarged(image: np.ndarray) -> np.ndarray:
    return cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)


def _jpeg(image: np.ndarray) -> str:
    picture = cv2.cvtColor(_enlarged(image), cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()
