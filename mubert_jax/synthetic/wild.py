"""Recordings outside a lab, for training: any scene, faces of any size, people who move."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mubert_jax.data.video import grey
from mubert_jax.synthetic.drawing import Pose
from mubert_jax.synthetic.nuisances import Nuisances, Wander
from mubert_jax.synthetic.scenery import scene


@dataclasses.dataclass(frozen=True)
class Wild(Nuisances):
    """Strengths beyond those of `Nuisances`.

    Attributes:
      colourless: the share of recordings without colour.
      photographs: pictures that scenes are taken from, beside those that are drawn.
    """

    colourless: float = 0.0
    photographs: tuple[Path, ...] = ()

    def draw_pose(self, random: np.random.Generator) -> Pose:
        """A face of any size and place, turned to a side, lit from anywhere in front."""
        return Pose(
            center=(random.uniform(0.38, 0.62), random.uniform(0.4, 0.6)),
            half_width=random.uniform(0.16, 0.34),
            roll=random.normal(0, 0.1),
            light=(random.uniform(-1.6, 1.6), random.uniform(-0.9, 0.3), random.uniform(0.4, 1.4)),
            ambient=random.uniform(0.2, 0.6),
            yaw=random.uniform(-0.35, 0.35),
        )

    def draw_background(self, random: np.random.Generator, size: int) -> np.ndarray:
        return scene(random, size, self.photographs)

    def recording(
        self,
        clean: Callable[[int], np.ndarray],
        frames: int,
        path: Wander,
        random: Callable[[int], np.random.Generator],
    ) -> Callable[[int], np.ndarray]:
        def grey_picture(number: int) -> np.ndarray:
            return np.repeat(grey(clean(number))[..., None], 3, axis=-1)

        # No frame has this number, so no frame's noise is drawn from it.
        colourless = random(frames).random() < self.colourless
        return super().recording(grey_picture if colourless else clean, frames, path, random)
