"""What is behind the face: a small pool that all clips share, or something new every time.

The numbers are those of drawings and come from no measurement.
"""

import cv2
import numpy as np

from mubert_jax.synthetic.drawing import fractal

POOL = 4  # rooms: one for each function that draws one


def shared_background(random: np.random.Generator, size: int) -> np.ndarray:
    """One of the `POOL` rooms of the recording lab, (size, size, 3) in [0, 1]."""
    number = int(random.integers(POOL))
    fixed = np.random.default_rng([number, 77])
    return (_wall, _curtain, _shelf, _bricks)[number](fixed, size)


def textured_background(random: np.random.Generator, size: int) -> np.ndarray:
    """Coloured blotches with edges, never the same twice."""
    layers = [fractal(random, size, int(random.integers(4, 14)), 4) for _ in range(3)]
    colours = random.uniform(0.05, 0.95, (3, 3))
    picture = np.full((size, size, 3), random.uniform(0.2, 0.8, 3), np.float32)
    for layer, colour in zip(layers, colours, strict=True):
        mask = cv2.GaussianBlur((layer > 0.6).astype(np.float32), (0, 0), size / 400)[..., None]
        picture = picture * (1 - mask) + colour * mask
    return np.clip(picture * (1 + 0.12 * fractal(random, size, 40, 3)[..., None]), 0, 1)


def mosaic_background(random: np.random.Generator, size: int) -> np.ndarray:
    """Flat pale tiles with sharp edges, a few of them striped; never the same twice."""
    count = int(random.integers(14, 40))
    sites = random.uniform(-0.1, 1.1, (count, 2))
    rows, columns = np.mgrid[:size, :size] / size
    away = np.hypot(rows[..., None] - sites[:, 0], columns[..., None] - sites[:, 1])
    tile = away.argmin(-1)
    colours = random.uniform(0.15, 0.8, (2, count, 1)) + random.uniform(-0.12, 0.12, (2, count, 3))
    colours[1] = colours[0] + 0.25 * (colours[1] - colours[0])
    angle, pitch = random.uniform(0, np.pi, count)[tile], random.uniform(15, 40, count)[tile]
    striped = (random.random(count) < 0.25)[tile]
    phase = pitch * (rows * np.sin(angle) + columns * np.cos(angle))
    second = (striped & (phase % 1 < 0.5))[..., None]
    return np.where(second, colours[1][tile], colours[0][tile]).astype(np.float32)


def _wall(random: np.random.Generator, size: int) -> np.ndarray:
    rows, columns = np.mgrid[:size, :size] / size
    light = 0.75 - 0.25 * np.hypot(rows - 0.2, columns - 0.7)
    return _tinted(light, (0.85, 0.88, 0.9), random, 0.012)


def _curtain(random: np.random.Generator, size: int) -> np.ndarray:
    columns = np.mgrid[:size, :size][1] / size
    folds = 0.45 + 0.12 * np.sin(columns * 46 + 2 * np.sin(columns * 9))
    return _tinted(folds, (0.55, 0.62, 0.85), random, 0.02)


def _shelf(random: np.random.Generator, size: int) -> np.ndarray:
    picture = np.full((size, size, 3), 0.25, np.float32)
    for row in range(4):
        top, x = int(row * size / 4), 0
        while x < size:
            width = int(random.integers(size // 50, size // 18))
            height = int(size / 4 * random.uniform(0.65, 0.92))
            bottom = top + size // 4 - size // 80
            picture[bottom - height : bottom, x : x + width] = random.uniform(0.1, 0.75, 3)
            x += width + size // 200 + 1
    return cv2.GaussianBlur(picture, (0, 0), size / 350)


def _bricks(random: np.random.Generator, size: int) -> np.ndarray:
    rows, columns = np.mgrid[:size, :size] / size
    row = np.floor(rows * 14)
    joint = ((rows * 14) % 1 < 0.08) | ((columns * 7 + 0.5 * (row % 2)) % 1 < 0.04)
    light = np.where(joint, 0.72, 0.5) + 0.05 * fractal(random, size, 12, 4)
    return _tinted(light, (0.9, 0.62, 0.5), random, 0.02)


def _tinted(
    light: np.ndarray,
    tint: tuple[float, float, float],
    random: np.random.Generator,
    roughness: float,
) -> np.ndarray:
    light = light + roughness * fractal(random, len(light), 30, 3)
    return np.clip(light[..., None] * np.array(tint, np.float32), 0, 1).astype(np.float32)
