"""What changes between two frames and is no movement of the face."""

import dataclasses
from collections.abc import Iterable

import cv2
import numpy as np

from mubert_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Nuisances:
    """Strengths; lengths are pixels of a 224-pixel frame.

    Attributes:
      drift: how far the head moves as a whole over a clip.
      turn: how far it turns in the picture, in degrees.
      gain: relative change of the light over a clip.
      gradient: the same from one side of the frame to the other.
      flicker: standard deviation of the light from frame to frame.
      noise: standard deviation of the sensor, in grey levels of 255 at middle grey.
      quality: of JPEG compression; 0 for none.
      background: how far the background moves over a clip.
      textured: a new background every time, instead of the shared pool.
    """

    drift: float = 0.0
    turn: float = 0.0
    gain: float = 0.0
    gradient: float = 0.0
    flicker: float = 0.0
    noise: float = 1.0
    quality: int = 0
    background: float = 0.0
    textured: bool = False


_CAMERA = 10.0  # pixels of a 224-pixel frame
LAB = Nuisances(drift=1.5, turn=0.4, gain=0.03, gradient=0.03, flicker=0.005, noise=1.5)
CONDITIONS = {
    "clean": Nuisances(),
    "lab": LAB,
    "busy-lab": dataclasses.replace(LAB, background=4.0),
    "light": Nuisances(gain=0.06, gradient=0.06, flicker=0.01),
    "drift": Nuisances(drift=1.5, turn=0.4),
    "noise": Nuisances(noise=4.0),
    "compression": Nuisances(quality=60),
    "background": Nuisances(background=4.0),
    "textured": Nuisances(background=4.0, textured=True),
    "all": Nuisances(
        drift=1.5,
        turn=0.4,
        gain=0.06,
        gradient=0.06,
        flicker=0.01,
        noise=2.0,
        quality=80,
        background=4.0,
    ),
}


def known_conditions(names: Iterable[str]) -> tuple[str, ...]:
    """The names as a tuple; UserError for one that is not in `CONDITIONS`."""
    if unknown := [name for name in names if name not in CONDITIONS]:
        raise UserError(f"--conditions {unknown[0]}: choose from {', '.join(CONDITIONS)}")
    return tuple(names)


@dataclasses.dataclass(frozen=True)
class Wander:
    """Smooth paths over a clip, each from -1 to 1."""

    phase: np.ndarray
    speed: np.ndarray
    angle: np.ndarray

    @classmethod
    def draw(cls, random: np.random.Generator) -> "Wander":
        return cls(
            random.uniform(0, 2 * np.pi, 8),
            random.uniform(0.5, 1.5, 8),
            random.uniform(0, 2 * np.pi, 2),
        )

    def at(self, time: float) -> np.ndarray:
        """The eight paths at `time`, the clip's own from 0 to 1."""
        return np.sin(self.phase + 2 * np.pi * self.speed * time)


def head_motion(nuisances: Nuisances, wander: Wander, time: float, size: int) -> np.ndarray:
    """(2, 3) matrix that takes a pixel of this frame to where it was drawn."""
    paths = wander.at(time)
    pixels = nuisances.drift * size / 224 / np.sqrt(2)
    turn = nuisances.turn * paths[2]
    matrix = cv2.getRotationMatrix2D((size / 2, size / 2), turn, 1.0)
    matrix[:, 2] += pixels * paths[:2]
    return matrix


def background_motion(nuisances: Nuisances, wander: Wander, time: float, size: int) -> np.ndarray:
    """(x, y) by which the background is away from where it was drawn, in pixels of `size`.

    A still one is away too, by up to `_CAMERA`, as if the camera stood elsewhere each time: no
    single frame is to show whether its background moves.
    """
    camera = _CAMERA * (np.array([wander.phase[7], wander.angle[1]]) / np.pi - 1)
    moved = nuisances.background / np.sqrt(2) * wander.at(time)[3:5]
    return (camera + moved) * size / 224


def light(nuisances: Nuisances, wander: Wander, time: float, size: int, random) -> np.ndarray:
    """Gain of every pixel (size, size)."""
    paths = wander.at(time)
    rows, columns = np.mgrid[:size, :size].astype(np.float32) / size - 0.5
    across = columns * np.cos(wander.angle[0]) + rows * np.sin(wander.angle[0])
    flicker = nuisances.flicker * random.standard_normal()
    return 1 + nuisances.gain * paths[5] + nuisances.gradient * paths[6] * across + flicker


def record(nuisances: Nuisances, picture: np.ndarray, random) -> np.ndarray:
    """The camera: sensor noise, quantisation, compression; [0, 1] floats -> uint8."""
    grain = nuisances.noise * np.sqrt(0.4 + 1.2 * np.clip(picture, 0, 1))
    levels = picture * 255 + grain * random.standard_normal(picture.shape)
    frame = np.clip(np.round(levels), 0, 255).astype(np.uint8)
    if not nuisances.quality:
        return frame
    options = [cv2.IMWRITE_JPEG_QUALITY, nuisances.quality]
    _, data = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), options)
    return cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
