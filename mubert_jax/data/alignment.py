"""Registration of a frame to a template, so that head drift does not hide micro-movements."""

import cv2
import numpy as np

_CRITERIA = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 50, 1e-4)
_LARGEST_SHIFT = 0.15
_MOTIONS = {"euclidean": cv2.MOTION_EUCLIDEAN, "affine": cv2.MOTION_AFFINE}


def align_ecc(image: np.ndarray, template: np.ndarray, motion: str = "euclidean") -> np.ndarray:
    """`image` moved onto `template` by the transform that maximises their correlation (ECC).

    Args:
      image, template: (H, W, 3) uint8 RGB of one size.
      motion: "euclidean" (shift and turn) or "affine".

    Returns:
      (H, W, 3) uint8. The image as it came where ECC does not converge, moves a corner by more
      than 15 % of the side, or does not raise the correlation.
    """
    grey_image = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    grey_template = cv2.cvtColor(template, cv2.COLOR_RGB2GRAY)
    start = np.eye(2, 3, dtype=np.float32)
    try:
        _, warp = cv2.findTransformECC(
            grey_template, grey_image, start, _MOTIONS[motion], _CRITERIA, None, 5
        )
    except cv2.error:
        return image
    height, width = grey_image.shape
    corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1]], np.float32)
    shift = np.abs(corners @ warp.T - corners[:, :2]).max()
    if not shift <= _LARGEST_SHIFT * max(height, width):
        return image
    aligned = cv2.warpAffine(
        image,
        warp,
        (width, height),
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    grey_aligned = cv2.cvtColor(aligned, cv2.COLOR_RGB2GRAY)
    before = cv2.computeECC(grey_template, grey_image)
    return aligned if cv2.computeECC(grey_template, grey_aligned) > before else image
