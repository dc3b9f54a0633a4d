"""What changes between two frames and is not a movement of the face."""

import dataclasses
from collections.abc import Callable
from typing import ClassVar

import cv2
import numpy as np

from mubert_jax.errors import UserError
from mubert_jax.synthetic.backgrounds import shared_background, textured_background
from mubert_jax.synthetic.drawing import Pose
from mubert_jax.synthetic.movements import Movement

# Pixels of a 224-pixel frame: more than a background moves, so that its place says nothing.
_CAMERA = 10.0


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
        """The eight paths at `time`, from 0 to 1 over the clip."""
        return np.sin(self.phase + 2 * np.pi * self.speed * time)


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
      quality: the quality of JPEG compression; 0 for none.
      background: how far the background moves over a clip.
      textured: a new background every time, instead of the shared pool.
      sway: how far hair, neck and clothes move by themselves over a clip.
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
    sway: float = 0.0

    movement: ClassVar[type[Movement]] = Movement
    path: ClassVar[type[Wander]] = Wander
    for_training: ClassVar[bool] = True

    def draw_pose(self, random: np.random.Generator) -> Pose:
        return Pose.draw(random)

    def draw_background(self, random: np.random.Generator, size: int) -> np.ndarray:
        return (textured_background if self.textured else shared_background)(random, size)

    def head_motion(self, path: Wander, time: float, size: int) -> np.ndarray:
        """The (2, 3) matrix that takes a pixel of this frame to where it was drawn."""
        paths = path.at(time)
        pixels = self.drift * size / 224 / np.sqrt(2)
        matrix = cv2.getRotationMatrix2D((size / 2, size / 2), self.turn * paths[2], 1.0)
        matrix[:, 2] += pixels * paths[:2]
        return matrix

    def background_motion(self, path: Wander, time: float, size: int) -> np.ndarray:
        """The distance (x, y) of the background from where it was drawn, in pixels of `size`.

        A still one is away, too, by up to `_CAMERA`, as if the camera stood elsewhere each time: no
        single frame may show whether its background moves.
        """
        camera = _CAMERA * (np.array([path.phase[7], path.angle[1]]) / np.pi - 1)
        moved = self.background / np.sqrt(2) * path.at(time)[3:5]
        return (camera + moved) * size / 224

    def recording(
        self,
        clean: Callable[[int], np.ndarray],
        frames: int,
        path: Wander,
        random: Callable[[int], np.random.Generator],
    ) -> Callable[[int], np.ndarray]:
        """Number -> frame (size, size, 3) uint8, each recorded by itself."""

        def frame(number: int) -> np.ndarray:
            picture, dice = clean(number), random(number)
            gain = self._light(path, number / frames, len(picture), dice)
            return self._record(picture * gain[..., None], dice)

        return frame

    def _light(
        self, path: Wander, time: float, size: int, random: np.random.Generator
    ) -> np.ndarray:
        """The gain of every pixel, (size, size)."""
        paths = path.at(time)
        rows, columns = np.mgrid[:size, :size].astype(np.float32) / size - 0.5
        across = columns * np.cos(path.angle[0]) + rows * np.sin(path.angle[0])
        flicker = self.flicker * random.standard_normal()
        return 1 + self.gain * paths[5] + self.gradient * paths[6] * across + flicker

    def _record(self, picture: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """The camera: sensor noise, quantisation, compression; [0, 1] floats -> uint8."""
        grain = self.noise * np.sqrt(0.4 + 1.2 * np.clip(picture, 0, 1))
        levels = picture * 255 + grain * random.standard_normal(picture.shape)
        frame = np.clip(np.round(levels), 0, 255).astype(np.uint8)
        if not self.quality:
            return frame
        options = [cv2.IMWRITE_JPEG_QUALITY, self.quality]
        _, data = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), options)
        decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
        if decoded is None:
            raise UserError("this OpenCV cannot read the JPEG images that it writes; reinstall it")
        return cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)
