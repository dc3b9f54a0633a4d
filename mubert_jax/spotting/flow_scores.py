"""How much moves in a face at a frame, by optical flow: the scores of two usual recipes.

There are no landmarks: regions are where a face box has them, around its middle.
"""

from collections.abc import Callable, Sequence

import cv2
import numpy as np

# Rows and columns from and to, as shares of the frame, where a box of a face with a margin of 0.3
# has them. The eyes are in none.
NOSE = (0.50, 0.58), (0.43, 0.57)
REGIONS = (
    ((0.29, 0.39), (0.25, 0.46)),
    ((0.29, 0.39), (0.54, 0.75)),
    ((0.62, 0.80), (0.33, 0.67)),
)
FACE = (0.2, 0.85), (0.2, 0.8)
# MDMD: blocks along a side of the face, main directions, and the share of the largest differences
# that count, of the pixels of a block and of the blocks.
BLOCKS, DIRECTIONS, LARGEST = 6, 4, 1 / 3

Score = Callable[[Sequence[np.ndarray]], float]
"""Grey frames (S, S) uint8, each a lag after the one before -> how much moves."""


def regional(frames: Sequence[np.ndarray]) -> float:
    """The mean length of the flow from t to t + k in the brows and around the mouth, in pixels.

    The three regions of SoftNet (Liong et al., 2021) and MEAN (Gan et al., 2019), whose networks
    read the same flow.
    """
    flow = _flow(frames[0], frames[1])
    return float(np.mean([np.linalg.norm(_part(flow, one), axis=-1).mean() for one in REGIONS]))


def mdmd(frames: Sequence[np.ndarray]) -> float:
    """The main directional maximal difference (Wang et al., 2017) at t, in pixels.

    The flow from t - k to t less that from t - k to t + k, as far as they go, in the direction that
    most pixels of a block have: it is large where something has come by t and gone by t + k.
    """
    to_here, to_there = (_part(_flow(frames[0], frame), FACE) for frame in frames[1:])
    found = []
    for rows in np.array_split(np.arange(len(to_here)), BLOCKS):
        for columns in np.array_split(np.arange(to_here.shape[1]), BLOCKS):
            block = np.ix_(rows, columns)
            found.append(_difference(to_here[block], to_there[block]))
    return _mean_of_largest(np.array(found))


def _difference(here_RxCx2: np.ndarray, there_RxCx2: np.ndarray) -> float:
    """Of one block."""
    angle = np.arctan2(here_RxCx2[..., 1], here_RxCx2[..., 0])
    sector = np.round(angle / (2 * np.pi / DIRECTIONS)).astype(int) % DIRECTIONS
    main = np.bincount(sector.ravel(), minlength=DIRECTIONS).argmax()
    one, other = (np.linalg.norm(x[sector == main], axis=-1) for x in (here_RxCx2, there_RxCx2))
    return _mean_of_largest(one - other)


def _mean_of_largest(values: np.ndarray) -> float:
    count = max(1, round(len(values) * LARGEST))
    return float(np.sort(values)[-count:].mean())


def _flow(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """(S, S, 2) in pixels, less the mean of the nose, which goes as the head does."""
    flow = np.empty((*before.shape, 2), np.float32)
    cv2.calcOpticalFlowFarneback(
        before, after, flow, 0.5, levels=3, winsize=15, iterations=3, poly_n=5, poly_sigma=1.2,
        flags=0,
    )  # fmt: skip
    return flow - _part(flow, NOSE).mean((0, 1))


def _part(image: np.ndarray, region: tuple[tuple[float, float], tuple[float, float]]):
    (top, bottom), (left, right) = region
    side = len(image)
    return image[round(top * side) : round(bottom * side), round(left * side) : round(right * side)]
