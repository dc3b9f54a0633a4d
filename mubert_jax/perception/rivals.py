"""What can be seen of a movement without learning: the rows that a learned map has to beat.

Every method takes `Frames` and gives a map (H, W) that is larger where it sees more movement.
"""

import dataclasses
import functools

import cv2
import numpy as np

from mubert_jax.data.alignment import fit_motion_and_light
from mubert_jax.data.video import grey

UPSAMPLING = 4


@dataclasses.dataclass(frozen=True, eq=False)
class Frames:
    """Onset and apex, (H, W, 3) uint8, and what several methods read of them, found once.

    Attributes:
      face: the true face mask (H, W), which most methods leave unused.
    """

    onset: np.ndarray
    apex: np.ndarray
    face: np.ndarray

    @functools.cached_property
    def change(self) -> np.ndarray:
        """Of the grey levels, (H, W)."""
        return grey(self.apex) - grey(self.onset)

    @functools.cached_property
    def dis(self) -> np.ndarray:
        """DIS optical flow (H, W, 2)."""
        finder = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        flow = finder.calc(_enlarged(self.onset), _enlarged(self.apex), None)
        return _back(flow, self.onset.shape)

    @functools.cached_property
    def farneback(self) -> np.ndarray:
        """Farnebäck's optical flow (H, W, 2)."""
        return farneback(self.onset, self.apex)


def difference(frames: Frames):
    """|onset - apex| in grey levels."""
    return np.abs(frames.change)


def compensated(frames: Frames):
    """|difference| after a robust least-squares fit of light and drift over the true face."""
    onset, apex = grey(frames.onset), grey(frames.apex)
    return np.abs(fit_motion_and_light(onset, apex, frames.face > 0.5).residual)


def dis_flow(frames: Frames):
    """Length of the DIS optical flow, in pixels, found at four times the size."""
    return np.linalg.norm(frames.dis, axis=-1)


def dis_flow_less_median(frames: Frames):
    """The same, less the median flow of the true face."""
    return _less_median(frames.dis, frames.face)


def farneback_flow(frames: Frames):
    """Length of Farnebäck's optical flow, in pixels, found at four times the size."""
    return np.linalg.norm(frames.farneback, axis=-1)


def farneback_flow_less_median(frames: Frames):
    """The same, less the median flow of the true face."""
    return _less_median(frames.farneback, frames.face)


def eulerian(frames: Frames, magnification: float = 10.0, levels: int = 4):
    """|difference| after linear Eulerian magnification of the middle bands of a Laplacian pyramid.

    Of two frames nothing can be filtered in time: the change itself is magnified.
    """
    total, low = np.zeros_like(frames.change), frames.change
    for level in range(levels):
        smooth = cv2.GaussianBlur(low, (0, 0), 2.0**level)
        if level > 0:
            total += low - smooth
        low = smooth
    return np.abs(magnification * total)


def structural(frames: Frames):
    """1 - SSIM of the grey pictures, Gaussian windows of 1.5 pixels."""
    a, b = grey(frames.onset), grey(frames.apex)

    def mean(image):
        return cv2.GaussianBlur(image, (11, 11), 1.5)

    mean_a, mean_b = mean(a), mean(b)
    variance_a, variance_b = mean(a * a) - mean_a**2, mean(b * b) - mean_b**2
    covariance = mean(a * b) - mean_a * mean_b
    light, structure = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    similarity = (2 * mean_a * mean_b + light) * (2 * covariance + structure)
    similarity /= (mean_a**2 + mean_b**2 + light) * (variance_a + variance_b + structure)
    return 1 - similarity


RIVALS = {
    "difference": difference,
    "difference, light and drift removed": compensated,
    "DIS flow": dis_flow,
    "DIS flow - face's median": dis_flow_less_median,
    "Farnebäck flow": farneback_flow,
    "Farnebäck flow - face's median": farneback_flow_less_median,
    "Eulerian magnification": eulerian,
    "1 - SSIM": structural,
}


def _enlarged(image):
    image = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return cv2.resize(image, None, fx=UPSAMPLING, fy=UPSAMPLING, interpolation=cv2.INTER_CUBIC)


def _back(flow, shape):
    return cv2.resize(flow, shape[1::-1], interpolation=cv2.INTER_AREA) / UPSAMPLING


def farneback(onset, apex):
    """Optical flow (H, W, 2), (x, y) in pixels, found at four times the size."""
    flow = cv2.calcOpticalFlowFarneback(
        _enlarged(onset), _enlarged(apex), None, 0.5, 4, 31, 3, 7, 1.5, 0
    )
    return _back(flow, onset.shape)


def _less_median(flow, face):
    return np.linalg.norm(flow - np.median(flow[face > 0.5], axis=0), axis=-1)
