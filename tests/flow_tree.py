"""Made-up flow in the published layout: Gaussian movements on 28×28 fields."""

from pathlib import Path

import cv2
import numpy as np


def bump(row: float, column: float, sigma: float = 2.5) -> np.ndarray:
    """A Gaussian (28, 28) of height 1."""
    rows, columns = np.mgrid[:28, :28]
    return np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * sigma**2))


def channels(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """u, v and their strain (28, 28, 3), each stretched to 0..255."""
    u_y, u_x = np.gradient(u, 170 / 28, 140 / 28)
    v_y, v_x = np.gradient(v, 170 / 28, 140 / 28)
    strain = np.sqrt(u_x**2 + v_y**2 + (u_y + v_x) ** 2 / 2)
    stretched = [(x - x.min()) / (np.ptp(x) or 1) * 255 for x in (u, v, strain)]
    return np.stack(stretched, -1).round().astype(np.uint8)


def write_flow(path: Path, u: np.ndarray, v: np.ndarray, red: str = "u") -> Path:
    """The file of one clip; `red` says whether the red channel is u, as published, or strain."""
    path.parent.mkdir(parents=True, exist_ok=True)
    blue_first = channels(u, v)[..., :: -1 if red == "u" else 1]
    path.write_bytes(cv2.imencode(".png", blue_first)[1].tobytes())
    return path


# To the right in the upper right of the picture, and half as far down in its lower left.
RIGHT, DOWN = bump(8, 19), 0.5 * bump(22, 10)
