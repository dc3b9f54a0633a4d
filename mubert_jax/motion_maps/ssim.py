"""1 - SSIM, structural similarity (Wang et al., 2004), of the grey frames."""

import cv2
import numpy as np

from mubert_jax.data.video import grey
from mubert_jax.motion_maps import MotionMap


def dissimilarity(onset: np.ndarray, apex: np.ndarray) -> np.ndarray:
    """1 - SSIM in Gaussian windows; their width and the constants are those of the paper."""
    a, b = grey(onset), grey(apex)

    def mean(image: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(image, (11, 11), 1.5)

    mean_a, mean_b = mean(a), mean(b)
    variance_a, variance_b = mean(a * a) - mean_a**2, mean(b * b) - mean_b**2
    covariance = mean(a * b) - mean_a * mean_b
    light, structure = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    similarity = (2 * mean_a * mean_b + light) * (2 * covariance + structure)
    similarity /= (mean_a**2 + mean_b**2 + light) * (variance_a + variance_b + structure)
    return 1 - similarity


METHOD = MotionMap("1 - SSIM", "map", dissimilarity)
