"""A moving picture of what is seen over a whole video: the frames, and beside them DMA × POI."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from matplotlib import colormaps
from PIL import Image

from mubert_jax.data.files import replacing, writing_errors
from mubert_jax.data.video import grey, write_video
from mubert_jax.perception.maps import Maps
from mubert_jax.perception.render import COLOURS

# The sides of the two pictures: large enough for a page, small enough to be sent around.
SIDE = 192
# What POI weighs more than a mean patch is within its outline.
LOOKED_AT = 1.0
# POI's outline, RGB: a colour that neither skin nor heat has.
OUTLINE = (90, 209, 255)


def write_animation(maps: Maps, limit: float, fps: float, path: Path) -> None:
    """Writes the pairs one after the other, each its apex and DMA × POI with POI's outline.

    Args:
      maps: Pairs in the order of time.
      limit: The value of DMA × POI at full colour.
      fps: Pairs per second.
      path: A .gif or .mp4 file; replaced if it is there, and written whole or not at all.

    Raises:
      UserError: the file cannot be written.
    """
    write = _write_gif if path.suffix.lower() == ".gif" else _write_mp4
    with writing_errors(path, "choose another --animation"):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            write(_pictures(maps, limit), fps, temporary)


def _pictures(maps: Maps, limit: float) -> Iterator[np.ndarray]:
    """(SIDE, 2 · SIDE, 3) uint8 RGB per pair."""
    for apex, poi, seen in zip(maps.apex, maps.poi, maps.dma_poi, strict=True):
        frame = cv2.resize(apex, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        share = np.clip(seen / limit, 0, 1).astype(np.float32)
        share = cv2.resize(share, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
        heat = colormaps[COLOURS](share)[..., :3] * 255
        dimmed = np.repeat(grey(frame)[..., None] * 0.8, 3, axis=-1)
        # What is not seen to move stays a grey picture.
        opacity = np.sqrt(share)[..., None]
        over = np.round(dimmed * (1 - opacity) + heat * opacity).astype(np.uint8)
        looked = cv2.resize(poi.astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
        outlines, _ = cv2.findContours(
            (looked > LOOKED_AT).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
        )
        cv2.drawContours(over, outlines, -1, OUTLINE, 1, cv2.LINE_AA)
        yield np.hstack([frame, over])


def _write_gif(pictures: Iterator[np.ndarray], fps: float, path: Path):
    first, *others = (Image.fromarray(picture) for picture in pictures)
    # Hundredths of a second are what the format knows, and players take fewer than 2 for 10.
    hundredths = max(2, round(100 / fps))
    first.save(
        path, format="GIF", save_all=True, append_images=others, duration=10 * hundredths, loop=0
    )


def _write_mp4(pictures: Iterator[np.ndarray], fps: float, path: Path):
    write_video(pictures, fps, path, "give --animation a .gif")
