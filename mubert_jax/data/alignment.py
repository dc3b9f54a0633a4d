"""Registration of a frame to a template, so that head drift does not hide micro-movements."""

import dataclasses

import cv2
import numpy as np

from mubert_jax.data.video import grey

# At most 50 steps, as OpenCV's default has it; a ten times smaller change of the correlation ends
# them, for shifts of a fraction of a pixel.
_CRITERIA = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 50, 1e-4)
# A share of the side: a larger limit would take out more of the head's drift, and let more failed
# fits through.
LARGEST_SHIFT = 0.15
# A fit may leave half of the variance: this share of the median deviation in the face's ellipse.
# Another picture leaves more.
LARGEST_RESIDUAL = 0.5**0.5
# Cauchy's weights with this scale are 95 % as efficient as least squares under normal noise
# (Holland and Welsch, 1977).
CAUCHY_SCALE = 2.385
# The standard deviation of normal noise over its median absolute deviation.
SIGMA_OF_MEDIAN = 1.4826
# A floor in grey levels, far below one: it keeps equal pictures from a division by 0.
SMALLEST_SPREAD = 1e-3


def align_ecc(image: np.ndarray, template: np.ndarray) -> np.ndarray:
    """`image` moved onto `template` by the shift and turn that maximise their correlation (ECC).

    Args:
      image, template: (H, W, 3) uint8 RGB of one size.

    Returns:
      (H, W, 3) uint8. The image as it came where ECC does not converge, moves a corner by more
      than 15 % of the side, or does not raise the correlation.
    """
    grey_image = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    grey_template = cv2.cvtColor(template, cv2.COLOR_RGB2GRAY)
    start = np.eye(2, 3, dtype=np.float32)
    try:
        _, warp = cv2.findTransformECC(
            grey_template, grey_image, start, cv2.MOTION_EUCLIDEAN, _CRITERIA
        )
    except cv2.error:
        return image
    height, width = grey_image.shape
    corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1]], np.float32)
    shift = np.abs(corners @ warp.T - corners[:, :2]).max()
    if not shift <= LARGEST_SHIFT * max(height, width):
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


def align_robust(image: np.ndarray, template: np.ndarray) -> np.ndarray:
    """`image` moved onto `template` and lit like it, as far as the whole face changed alike.

    Shift, turn, gain and gradient of the light are fitted by robust least squares (Cauchy)
    in the middle of the frame, where the face of a cropped frame is: a still background does not
    hold the head back, and what moves by itself is an outlier.

    Args:
      image, template: (H, W, 3) uint8 RGB of one size.

    Returns:
      (H, W, 3) uint8; the image as it came where the fit moves a corner by more than 15 % of the
      side, or leaves a median deviation in the face of more than 0.71 of the template's, as
      it does where that is another picture.
    """
    face, target = face_ellipse(image.shape[:2]), grey(template)
    fit = fit_motion_and_light(grey(image), target, face)
    reach = np.abs(fit.motion[:2]).max() + abs(fit.motion[2]) * max(image.shape) / 2
    if not reach <= LARGEST_SHIFT * max(image.shape[:2]):
        return image
    if not _spread(fit.residual[face]) <= LARGEST_RESIDUAL * _spread(target[face]):
        return image
    aligned = move(image.astype(np.float32), fit.motion) * fit.gain[..., None]
    return np.clip(np.round(aligned), 0, 255).astype(np.uint8)


@dataclasses.dataclass(frozen=True)
class MotionAndLight:
    """How one picture became another, apart from what moved by itself.

    Attributes:
      motion: (3,): shift along x and y in pixels, turn in radians, as `move` takes it.
      gain: (H, W), the change of the light.
      residual: (H, W), the grey levels that remain.
    """

    motion: np.ndarray
    gain: np.ndarray
    residual: np.ndarray


def fit_motion_and_light(
    source: np.ndarray, target: np.ndarray, inside: np.ndarray, rounds: int = 5
) -> MotionAndLight:
    """Fits `target` = light(move(`source`)) where `inside`; all (H, W), grey floats and a mask.

    The motion is found by Gauss-Newton steps, each linear in the light, with Cauchy's weights.

    Args:
      rounds: the number of steps, at least one; by default enough for the fit to converge.
    """
    height, width = source.shape
    rows, columns = np.mgrid[:height, :width].astype(np.float64)
    y, x = rows / height - 0.5, columns / width - 0.5

    def step(motion: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        moved = move(source.astype(np.float32), motion).astype(np.float64)
        dy, dx = np.gradient(moved)
        turn = dy * (columns - width / 2) - dx * (rows - height / 2)
        terms = np.stack([moved, x * moved, y * moved, dx, dy, turn], -1)
        found = _cauchy(terms[inside], (target - moved)[inside])
        return found, target - moved - terms @ found

    motion = np.zeros(3)
    found, residual = step(motion)
    for _ in range(rounds - 1):
        motion = motion + found[3:]
        found, residual = step(motion)
    gain = 1 + found[0] + found[1] * x + found[2] * y
    return MotionAndLight(motion + found[3:], gain, residual)


def move(image: np.ndarray, motion: np.ndarray) -> np.ndarray:
    """A float image (H, W[, C]) shifted by `motion` (x, y) pixels and turned by its radians."""
    height, width = image.shape[:2]
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    x = columns + motion[0] - motion[2] * (rows - height / 2)
    y = rows + motion[1] + motion[2] * (columns - width / 2)
    return cv2.remap(
        image,
        x.astype(np.float32),
        y.astype(np.float32),
        cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )


def _cauchy(terms: np.ndarray, target: np.ndarray, rounds: int = 4) -> np.ndarray:
    """Least squares, then `rounds` times again with residuals that count less the larger they are.

    The weights settle within the default number of rounds.
    """
    found = _weighted(terms, target, np.ones(len(target)))
    for _ in range(rounds):
        left = np.abs(target - terms @ found)
        spread = CAUCHY_SCALE * max(SIGMA_OF_MEDIAN * float(np.median(left)), SMALLEST_SPREAD)
        found = _weighted(terms, target, 1 / (1 + (left / spread) ** 2))
    return found


def _weighted(terms: np.ndarray, target: np.ndarray, weights: np.ndarray) -> np.ndarray:
    weighted = (terms * weights[:, None]).T
    return np.linalg.lstsq(weighted @ terms, weighted @ target, rcond=None)[0]


def _spread(values: np.ndarray) -> float:
    return float(np.median(np.abs(values - np.median(values))))


def face_ellipse(shape: tuple[int, int]) -> np.ndarray:
    """(H, W) mask of the ellipse in which the face of a cropped frame lies.

    Where it lies is an assumption: a smaller one would leave out parts of many faces, a larger one
    would take in what is behind them.
    """
    height, width = shape
    rows, columns = np.mgrid[:height, :width]
    y, x = (rows + 0.5) / height - 0.52, (columns + 0.5) / width - 0.5
    return (x / 0.28) ** 2 + (y / 0.36) ** 2 < 1


ALIGNERS = {"ecc": align_ecc, "robust": align_robust}


def aligned(how: str, image: np.ndarray, template: np.ndarray) -> np.ndarray:
    """`image` registered to `template` by one of `ALIGNERS`; "none" leaves it as it is."""
    return image if how == "none" else ALIGNERS[how](image, template)
