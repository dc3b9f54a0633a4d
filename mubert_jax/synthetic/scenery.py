"""What is behind people who are not in a recording lab: a new scene every time.

Landscapes with houses, leaves, printed pages and screens, other people, rooms seen out of focus,
and, where a folder of them is given, photographs. The scenes share nothing with those of the
conditions "textured" and "foreign", which are for testing. The numbers are those of drawings and
come from no measurement.
"""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from mubert_jax.data.images import read_image
from mubert_jax.synthetic.backgrounds import shared_background
from mubert_jax.synthetic.drawing import Pose, draw_person, fractal
from mubert_jax.synthetic.identity import Identity

# The share of scenes that are photographs where there are any: about as many as are drawn.
PHOTOGRAPHED = 0.5
# The share of scenes that are out of focus, and how far: up to this share of the side.
BLURRED, LARGEST_BLUR = 0.4, 0.03


def scene(random: np.random.Generator, size: int, photographs: Sequence[Path] = ()) -> np.ndarray:
    """A scene (size, size, 3) in [0, 1], seen through a window in one of four."""
    if photographs and random.random() < PHOTOGRAPHED:
        picture = _photographed(random, size, photographs)
    else:
        kinds = (_landscape, _leaves, _printed, _crowd, _room)
        picture = kinds[random.integers(len(kinds))](random, size)
    if random.random() < BLURRED:
        sigma = size * LARGEST_BLUR * float(random.uniform(0.1, 1))
        picture = cv2.GaussianBlur(picture, (0, 0), sigma)
    if random.random() < 0.25:
        picture = _through_window(random, picture)
    exposed = picture * random.uniform(0.5, 1.4) + random.uniform(-0.1, 0.15)
    return np.clip(exposed, 0, 1).astype(np.float32)


def _landscape(random: np.random.Generator, size: int) -> np.ndarray:
    """A sky, ridges of hills before each other, and houses with windows."""
    rows = np.linspace(0, 1, size)[:, None, None]
    top, low = random.uniform((0.3, 0.5, 0.7), (0.8, 0.9, 1.0)), random.uniform(0.6, 1.0, 3)
    picture = np.broadcast_to(top + (low - top) * rows, (size, size, 3)).astype(np.float32)
    picture *= 1 + 0.06 * fractal(random, size, 3, 5)[..., None]
    for level in np.sort(random.uniform(0.25, 0.95, int(random.integers(2, 5)))):
        ridge = level + 0.06 * fractal(random, size, 4, 4)[size // 2]
        below = (rows[..., 0] > ridge[None, :])[..., None]
        ground = random.uniform((0.1, 0.15, 0.05), (0.55, 0.6, 0.4))
        ground = ground * (1 + 0.2 * fractal(random, size, 20, 4)[..., None])
        picture = np.where(below, ground, picture).astype(np.float32)
    for _ in range(int(random.integers(0, 7))):
        left, width = int(random.uniform(-0.1, 1) * size), int(random.uniform(0.06, 0.3) * size)
        roof = int(random.uniform(0.1, 0.8) * size)
        wall, pane = random.uniform(0.15, 0.9, 3).tolist(), random.uniform(0.05, 0.6, 3).tolist()
        cv2.rectangle(picture, (left, roof), (left + width, size), wall, -1)
        step = max(6, int(random.uniform(0.03, 0.08) * size))
        for y in range(roof + step // 2, size, step):
            for x in range(left + step // 3, left + width - step // 2, step):
                cv2.rectangle(picture, (x, y), (x + step // 2, y + step // 2), pane, -1)
    return picture


def _leaves(random: np.random.Generator, size: int) -> np.ndarray:
    """Leaves of one kind of plant, the nearer the lighter."""
    hue, light = random.uniform((0.1, 0.3, 0.05), (0.6, 0.7, 0.3)), random.uniform(0.2, 0.5)
    picture = np.full((size, size, 3), hue * 0.3, np.float32)
    length, thin = random.uniform(0.02, 0.12) * size, random.uniform(0.15, 0.6)
    count = int(min(900, 3 * size**2 / (length**2 * thin + 1)))
    for nearness in np.linspace(0.3, 1, count):
        colour = np.clip(hue * (nearness + light * random.standard_normal() * 0.6), 0, 1)
        axes = int(length * random.uniform(0.4, 1)) + 1, int(length * thin) + 1
        middle = tuple(int(place) for place in random.integers(0, size, 2))
        turn = float(random.uniform(0, 360))
        cv2.ellipse(picture, middle, axes, turn, 0, 360, colour.tolist(), -1, cv2.LINE_AA)
    return picture


def _printed(random: np.random.Generator, size: int) -> np.ndarray:
    """Pages, posters and screens: panels with lines of writing and charts."""
    picture = np.full((size, size, 3), random.uniform(0.1, 0.8, 3), np.float32)
    for _ in range(int(random.integers(2, 9))):
        left, top = (int(place) for place in random.uniform(-0.2, 0.8, 2) * size)
        width, height = (int(side) for side in random.uniform(0.2, 0.7, 2) * size)
        paper, ink = random.uniform(0.0, 1.0, (2, 3))
        cv2.rectangle(picture, (left, top), (left + width, top + height), paper.tolist(), -1)
        line = max(4, int(random.uniform(0.015, 0.07) * size))
        for y in range(top + line, top + height - line, line):
            x = left + line
            while x < left + width - line:
                word = int(line * random.uniform(0.4, 3))
                end = (min(x + word, left + width - line), y + line // 2)
                cv2.rectangle(picture, (x, y), end, ink.tolist(), -1)
                x += word + line // 2 + 1
    return picture


def _crowd(random: np.random.Generator, size: int) -> np.ndarray:
    """Other people before a room, seen in part."""
    picture = _room(random, size)
    for _ in range(int(random.integers(1, 4))):
        pose = Pose(
            center=(random.uniform(-0.05, 1.05), random.uniform(0.1, 0.8)),
            half_width=random.uniform(0.05, 0.14),
            roll=random.normal(0, 0.1),
            light=(random.uniform(-0.9, 0.9), random.uniform(-0.9, -0.1), 1.0),
            ambient=random.uniform(0.35, 0.6),
        )
        layer, _ = draw_person(Identity.draw(int(random.integers(2**31))), pose, size)
        opacity = layer[..., 3:]
        picture = layer[..., :3] + picture * (1 - opacity)
    return picture


def _room(random: np.random.Generator, size: int) -> np.ndarray:
    """A room of the lab in other colours, turned over or not."""
    room = shared_background(random, size)[:, :: int(random.choice((1, -1)))]
    return room @ (np.eye(3) * random.uniform(0.4, 1.3, 3) + random.uniform(-0.15, 0.15, (3, 3)))


def _photographed(
    random: np.random.Generator, size: int, photographs: Sequence[Path]
) -> np.ndarray:
    """A part of one of the photographs, turned, mirrored and in other colours."""
    image = read_image(photographs[int(random.integers(len(photographs)))])
    height, width = image.shape[:2]
    scale = size / min(height, width) * float(np.exp(random.uniform(0.1, 1.4)))
    matrix = cv2.getRotationMatrix2D((0, 0), float(random.uniform(0, 360)), scale)
    middle = random.uniform(0.2, 0.8, 2) * (width, height)
    matrix[:, 2] = size / 2 - matrix[:, :2] @ middle
    flags = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    view = cv2.warpAffine(
        image, matrix, (size, size), flags=flags, borderMode=cv2.BORDER_REFLECT_101
    )
    colours = np.eye(3) * random.uniform(0.6, 1.2, 3) + random.uniform(-0.2, 0.2, (3, 3))
    return np.clip(view.astype(np.float32) / 255 @ colours, 0, 1)


def _through_window(random: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """The scene in one or two panes of a dark or bright wall, as from within a car or a room."""
    size = len(picture)
    pane = np.zeros((size, size), np.float32)
    for _ in range(int(random.integers(1, 3))):
        middle = random.uniform(0.1, 0.9, 2) * size
        corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * random.uniform(0.2, 0.6, 2)
        corners = middle + size * (corners + random.uniform(-0.1, 0.1, (4, 2)))
        cv2.fillConvexPoly(pane, corners.astype(np.int32), 1.0, cv2.LINE_AA)
    wall = random.uniform(0.02, 0.9, 3) * (1 + 0.05 * fractal(random, size, 12, 4)[..., None])
    return picture * pane[..., None] + wall * (1 - pane[..., None])
