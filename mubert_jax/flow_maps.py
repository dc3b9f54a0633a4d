"""Horizontal flow, vertical flow and optical strain as one small image: what light networks read.

The input of STSTNet (Liong et al., 2019) and of the networks after it.
"""

from typing import Literal

import cv2
import numpy as np

# Height and width of the input of OFF-ApexNet, STSTNet and the networks that follow them.
SIDE = 28
# The largest value of a channel that is scaled per channel, as in an image of 8 bits.
LEVELS = 255.0

Normalise = Literal["per-channel", "pixels"]


def strain(flow_HxWx2: np.ndarray) -> np.ndarray:
    """Optical strain, (H, W): how much the skin is stretched and sheared, per pixel of length.

    ε = √(u_x² + v_y² + (u_y + v_x)² / 2), the norm of the flow's symmetric gradient (Shreve et al.,
    Macro- and micro-expression spotting in long videos using spatio-temporal strain, FG 2011).

    Args:
      flow_HxWx2: (u, v) in pixels, u to the right and v downwards.
    """
    u_HxW, v_HxW = np.moveaxis(flow_HxWx2, -1, 0)
    (u_y, u_x), (v_y, v_x) = np.gradient(u_HxW), np.gradient(v_HxW)
    return np.sqrt(u_x**2 + v_y**2 + (u_y + v_x) ** 2 / 2)


def stacked(
    flow_HxWx2: np.ndarray, side: int = SIDE, normalise: Normalise = "per-channel"
) -> np.ndarray:
    """(u, v, optical strain) of a flow, resized: (side, side, 3) float32.

    Strain is computed before resizing, so that it is that of the frame.

    Args:
      flow_HxWx2: (u, v) in pixels of the frame, u to the right and v downwards.
      side: Height and width of the result.
      normalise: "per-channel" stretches each channel from its least to its largest value to 0..255,
        as published; a channel without differences becomes 0. "pixels" leaves u and v in pixels of
        the frame, and strain without a unit.

    Raises:
      ValueError: `normalise` is neither.
    """
    if normalise not in ("per-channel", "pixels"):
        raise ValueError(f"normalise is {normalise!r}; it is 'per-channel' or 'pixels'")
    flow_HxWx2 = np.asarray(flow_HxWx2, np.float32)
    maps_HxWx3 = np.concatenate([flow_HxWx2, strain(flow_HxWx2)[..., None]], axis=-1)
    # The mean of what a cell covers; where nothing shrinks, OpenCV interpolates instead.
    small = cv2.resize(maps_HxWx3, (side, side), interpolation=cv2.INTER_AREA)
    return per_channel(small) if normalise == "per-channel" else small


def per_channel(maps: np.ndarray) -> np.ndarray:
    """Maps (..., H, W, C) with each channel of each map stretched to 0..255, float32."""
    low, high = maps.min((-3, -2), keepdims=True), maps.max((-3, -2), keepdims=True)
    spread = np.where(high > low, high - low, 1.0)
    return ((maps - low) / spread * LEVELS).astype(np.float32)
