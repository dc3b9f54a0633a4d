"""Colours that lie over a face where something has moved."""

import cv2
import numpy as np
from matplotlib import colormaps

from mubert_jax.perception.render import COLOURS


def heat(share: np.ndarray) -> np.ndarray:
    """A share of 0 to 1, any shape -> red, green, blue and opacity (..., 4), from 0 to 1."""
    share = np.clip(share, 0, 1)
    return np.concatenate([colormaps[COLOURS](share)[..., :3], np.sqrt(share)[..., None]], axis=-1)


def heated(image_HxWx3: np.ndarray, share_HxW: np.ndarray) -> np.ndarray:
    """A picture, uint8, with the colours over it."""
    colours = heat(share_HxW)
    opacity = colours[..., 3:]
    return np.round(image_HxWx3 * (1 - opacity) + colours[..., :3] * opacity * 255).astype(np.uint8)


def heat_png(share_gxg: np.ndarray) -> bytes:
    """The colours as a picture of one pixel per patch, transparent where nothing moved."""
    pixels = np.round(heat(share_gxg) * 255).astype(np.uint8)
    _, data = cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGBA2BGRA))
    return data.tobytes()
