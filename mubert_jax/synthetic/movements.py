"""What moves in a face: action-unit-like movements, and their course.

An action unit is a sum of Gaussian windows, each shifted in one direction. It is *like* the unit of
that number in the Facial Action Coding System, in place and direction; nothing more is claimed.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from mubert_jax.synthetic.drawing import Pose
from mubert_jax.synthetic.expressions import BOTH, RIGHT, Expression
from mubert_jax.synthetic.identity import Identity


@dataclasses.dataclass(frozen=True)
class Shift:
    """One Gaussian window that moves, on both sides of the face unless it is in the middle.

    Attributes:
      center: the middle of the window on the right side, in face coordinates.
      direction: where it moves, outwards and downwards; the length weighs this window.
      sigma: the width of the window along x and y, in face half-widths.
      sides: its strength on the right and on the left side; in the middle, the greater one counts.
    """

    center: tuple[float, float]
    direction: tuple[float, float]
    sigma: tuple[float, float]
    sides: tuple[float, float] = BOTH


# Number -> the windows of a person.
ACTION_UNITS: dict[int, Callable[[Identity], list[Shift]]] = {
    1: lambda p: [Shift((p.brow[0] * 0.5, p.brow[1]), (0, -1), (0.15, 0.13))],
    2: lambda p: [Shift((p.brow[0] * 1.4, p.brow[1]), (0, -1), (0.16, 0.13))],
    4: lambda p: [Shift((p.brow[0] * 0.55, p.brow[1]), (-0.6, 0.8), (0.17, 0.13))],
    5: lambda p: [Shift((p.eye[0], p.eye[1] - p.eye_size[1]), (0, -1), (0.16, 0.07))],
    6: lambda p: [Shift((p.eye[0] * 1.3, p.eye[1] + 0.28), (0.1, -1), (0.20, 0.13))],
    7: lambda p: [Shift((p.eye[0], p.eye[1] + p.eye_size[1]), (0, -1), (0.16, 0.07))],
    9: lambda p: [Shift((p.nose_size[0] * 0.7, p.nose[1] - 0.12), (0, -1), (0.11, 0.14))],
    10: lambda p: [Shift((p.mouth_size[0] * 0.4, p.mouth[1] - 0.07), (0, -1), (0.15, 0.07))],
    12: lambda p: [Shift((p.mouth_size[0], p.mouth[1]), (0.75, -0.66), (0.16, 0.13))],
    14: lambda p: [Shift((p.mouth_size[0] + 0.05, p.mouth[1]), (1, 0), (0.13, 0.11))],
    15: lambda p: [Shift((p.mouth_size[0], p.mouth[1] + 0.04), (0.2, 0.98), (0.14, 0.12))],
    17: lambda p: [Shift((0, p.height * 0.84), (0, -1), (0.20, 0.13))],
    24: lambda p: [
        Shift((0, p.mouth[1] - 0.06), (0, 1), (0.22, 0.05)),
        Shift((0, p.mouth[1] + 0.08), (0, -1), (0.22, 0.05)),
    ],
    26: lambda p: [Shift((0, p.mouth[1] + 0.22), (0, 1), (0.33, 0.17))],
}
# The share of typical expressions that only the right side of the face shows.
ONE_SIDED = 0.15


@dataclasses.dataclass(frozen=True)
class Movement:
    """What moves in one clip.

    Attributes:
      emotion, action_units: what it shows; "none" and nothing for a movement anywhere.
      shifts: where it moves.
      amplitude: how far at the apex, in pixels of a 224-pixel frame.
    """

    emotion: str
    action_units: tuple[int, ...]
    shifts: tuple[Shift, ...]
    amplitude: float

    @classmethod
    def of_expression(
        cls,
        random: np.random.Generator,
        identity: Identity,
        expression: Expression,
        amplitude: float,
    ) -> "Movement":
        """The windows of the expression's action units; 15 in 100 of typical ones are one-sided."""
        typical = all(sides == BOTH for sides in expression.units.values())
        alone = typical and random.random() < ONE_SIDED
        shifts = tuple(
            dataclasses.replace(shift, sides=RIGHT if alone else sides)
            for unit, sides in expression.units.items()
            for shift in ACTION_UNITS[unit](identity)
        )
        return cls(expression.emotion, tuple(expression.units), shifts, amplitude)

    @classmethod
    def anywhere(
        cls, random: np.random.Generator, identity: Identity, amplitude: float
    ) -> "Movement":
        """One window at a random place in the face, in a random direction; no emotion."""
        angle, turn = random.uniform(0, 2 * np.pi, 2)
        radius = np.sqrt(random.uniform(0, 0.7))
        center = radius * np.cos(angle), radius * np.sin(angle) * identity.height
        sigma = tuple(random.uniform(0.08, 0.22, 2))
        shift = Shift(center, (np.cos(turn), np.sin(turn)), sigma, RIGHT)
        return cls("none", (), (shift,), amplitude)

    def field(self, pose: Pose, size: int) -> np.ndarray:
        """Displacement at the apex (size, size, 2), (x, y) in pixels of that size.

        The longest has exactly the length of the amplitude.
        """
        x, y = pose.to_face(size)
        total = np.zeros((2, size, size), np.float32)
        for shift in self.shifts:
            right_and_left = zip((1, -1), shift.sides, strict=True)
            in_the_middle = ((1, max(shift.sides)),)
            for side, strength in right_and_left if shift.center[0] else in_the_middle:
                window = strength * np.exp(
                    -(((x - side * shift.center[0]) / shift.sigma[0]) ** 2) / 2
                    - ((y - shift.center[1]) / shift.sigma[1]) ** 2 / 2
                )
                total[0] += side * shift.direction[0] * window
                total[1] += shift.direction[1] * window
        cos, sin = np.cos(pose.roll), np.sin(pose.roll)
        turned = np.stack([total[0] * cos - total[1] * sin, total[1] * cos + total[0] * sin], -1)
        peak = np.linalg.norm(turned, axis=-1).max()
        return turned * (self.amplitude * size / 224 / peak)


@dataclasses.dataclass(frozen=True)
class Course:
    """When the face moves, in frames: after `onset`, furthest at `apex`, and until `offset`."""

    onset: int
    apex: int
    offset: int
    frames: int

    @classmethod
    def draw(cls, random: np.random.Generator, frames: int) -> "Course":
        onset = int(random.integers(2, max(3, frames // 4)))
        offset = int(random.integers(frames - max(2, frames // 4), frames - 1))
        apex = round(onset + (offset - onset) * random.uniform(0.35, 0.6))
        return cls(onset, apex, offset, frames)

    def share(self, frame: float) -> float:
        """How much of the movement there is at a frame, 0 to 1."""
        if frame <= self.apex:
            way = (frame - self.onset) / (self.apex - self.onset)
        else:
            way = (self.offset - frame) / (self.offset - self.apex)
        return float(0.5 - 0.5 * np.cos(np.pi * np.clip(way, 0, 1)))
