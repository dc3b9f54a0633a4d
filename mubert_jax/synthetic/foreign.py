"""A recording that shares nothing with what the training puts on frames.

Light, noise, compression and movement in every other condition are of the same kind as those that
`training.warps` draws, so a model may have learnt the kind. Here a hand trembles, the camera counts
photons and encodes a video, and the face is a mesh; see `mesh`.
"""

import dataclasses
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np

from mubert_jax.data.video import CODEC, read_video, write_video
from mubert_jax.errors import UserError
from mubert_jax.synthetic.backgrounds import mosaic_background
from mubert_jax.synthetic.drawing import Pose
from mubert_jax.synthetic.mesh import MeshMovement

DISPLAY_GAMMA = 2.2  # the usual approximation of sRGB
FRAMES_A_SECOND = 30.0  # as in CAS(ME)3
# Kinks of a tremor in a clip, two per frame of the default 24: fewer would make it smoother.
STEPS = 48


@dataclasses.dataclass(frozen=True)
class Tremor:
    """Random walks over a clip, each from -1 to 1, with a kink at every step."""

    walks: np.ndarray

    @classmethod
    def draw(cls, random: np.random.Generator) -> "Tremor":
        walks = np.cumsum(random.standard_normal((8, STEPS + 1)), axis=1)
        walks -= (walks.max(1, keepdims=True) + walks.min(1, keepdims=True)) / 2
        return cls(walks / np.abs(walks).max(1, keepdims=True))

    def at(self, time: float) -> np.ndarray:
        """The eight walks at `time`, from 0 to 1 over the clip."""
        places = np.linspace(0, 1, STEPS + 1)
        return np.array([np.interp(time, places, walk) for walk in self.walks])


@dataclasses.dataclass(frozen=True)
class Foreign:
    """Strengths, for `SyntheticClip.nuisances`; lengths are pixels of a 224-pixel frame.

    `drift`, `turn` and `background` are those of the condition "busy-lab".

    Attributes:
      drift, turn (degrees), zoom (relative): how the head moves as a whole over a clip.
      background: how far the background moves; it is a mosaic, never the same twice.
      exposure: relative change of the light that falls in.
      gamma: relative change of the display's exponent.
      electrons: what a white pixel holds, counted with Poisson noise.
      read_noise: standard deviation of the noise that is added to them, in electrons.
    """

    drift: float = 1.5
    turn: float = 0.4
    zoom: float = 0.004
    background: float = 4.0
    exposure: float = 0.1
    gamma: float = 0.05
    electrons: float = 4000.0
    read_noise: float = 10.0

    movement: ClassVar[type[MeshMovement]] = MeshMovement
    path: ClassVar[type[Tremor]] = Tremor
    for_training: ClassVar[bool] = False
    # Only what `MeshMovement` pulls at moves within a person.
    sway: ClassVar[float] = 0.0

    def draw_pose(self, random: np.random.Generator) -> Pose:
        return Pose.draw(random)

    def draw_background(self, random: np.random.Generator, size: int) -> np.ndarray:
        return mosaic_background(random, size)

    def head_motion(self, path: Tremor, time: float, size: int) -> np.ndarray:
        """The (2, 3) matrix that takes a pixel of this frame to where it was drawn."""
        walks = path.at(time)
        scale = 1 + self.zoom * walks[3]
        matrix = cv2.getRotationMatrix2D((size / 2, size / 2), self.turn * walks[2], scale)
        matrix[:, 2] += self.drift * size / 224 / np.sqrt(2) * walks[:2]
        return matrix

    def background_motion(self, path: Tremor, time: float, size: int) -> np.ndarray:
        """The distance (x, y) of the background from where it was drawn, in pixels of `size`."""
        return self.background * size / 224 / np.sqrt(2) * path.at(time)[4:6]

    def recording(
        self,
        clean: Callable[[int], np.ndarray],
        frames: int,
        path: Tremor,
        random: Callable[[int], np.random.Generator],
    ) -> Callable[[int], np.ndarray]:
        """Number -> frame (size, size, 3) uint8; the clip is encoded as one video."""
        video = [
            self._exposed(clean(number), path.at(number / frames), random(number))
            for number in range(frames)
        ]
        return through_codec(video).__getitem__

    def _exposed(
        self, picture: np.ndarray, walks: np.ndarray, random: np.random.Generator
    ) -> np.ndarray:
        """Photons, electrons, grey levels: [0, 1] floats -> uint8."""
        light = np.clip(picture, 0, 1) ** DISPLAY_GAMMA * (1 + self.exposure * walks[6])
        electrons = random.poisson(light * self.electrons).astype(np.float64)
        electrons += self.read_noise * random.standard_normal(electrons.shape)
        level = np.clip(electrons / self.electrons, 0, 1)
        level = level ** ((1 + self.gamma * walks[7]) / DISPLAY_GAMMA)
        return np.round(level * 255).astype(np.uint8)


def through_codec(frames: list[np.ndarray]) -> list[np.ndarray]:
    """The frames (H, W, 3), uint8 RGB, as a video file of `CODEC` keeps them.

    Raises:
      UserError: OpenCV has no encoder for it, or a frame was lost.
    """
    height, width = frames[0].shape[:2]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "clip.mp4"
        write_video(frames, FRAMES_A_SECOND, file, "leave the condition foreign out")
        decoded = [frame[:height, :width] for _, frame in read_video(file)]
    if len(decoded) != len(frames):
        raise UserError(f"{CODEC} gave {len(decoded)} of {len(frames)} frames back")
    return decoded
