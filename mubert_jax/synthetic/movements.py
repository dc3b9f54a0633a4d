"""What moves in a face: action-unit-like movements, the emotions made of them, and their course.

An action unit is a sum of Gaussian windows, each shifted in one direction. It is *like* the unit of
that number in the Facial Action Coding System, in place and direction; nothing more is claimed.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from mubert_jax.synthetic.drawing import Pose
from mubert_jax.synthetic.identity import Identity


@dataclasses.dataclass(frozen=True)
class Shift:
    """One Gaussian window that moves, on both sides of the face unless it is in the middle.

    Attributes:
      center: the middle of the window on the right side, in face coordinates.
      direction: where it moves, outwards and downwards; the length weighs this window.
      sigma: the width of the window along x and y, in face half-widths.
    """

    center: tuple[float, float]
    direction: tuple[float, float]
    sigma: tuple[float, float]


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

# Emotion -> the sets of action units that may show it.
EMOTIONS: dict[str, tuple[tuple[int, ...], ...]] = {
    "happiness": ((6, 12), (12,)),
    "surprise": ((1, 2), (1, 2, 5), (1, 2, 26)),
    "disgust": ((9,), (4, 9), (9, 10)),
    "anger": ((4,), (4, 7), (4, 24)),
    "sadness": ((1, 15), (15, 17), (15,)),
}


@dataclasses.dataclass(frozen=True)
class Movement:
    """What moves in one clip.

    Attributes:
      emotion, action_units: what it shows; "none" and nothing for a movement anywhere.
      shifts: where it moves.
      amplitude: how far at the apex, in pixels of a 224-pixel frame.
      one_sided: whether only the right side of the face moves.
    """

    emotion: str
    action_units: tuple[int, ...]
    shifts: tuple[Shift, ...]
    amplitude: float
    one_sided: bool

    @classmethod
    def of_emotion(
        cls, random: np.random.Generator, identity: Identity, emotion: str, amplitude: float
    ) -> "Movement":
        """One of the sets of action units that show the emotion; 15 in 100 are one-sided."""
        sets = EMOTIONS[emotion]
        units = sets[random.integers(len(sets))]
        shifts = tuple(shift for unit in units for shift in ACTION_UNITS[unit](identity))
        return cls(emotion, units, shifts, amplitude, one_sided=random.random() < 0.15)

    @classmethod
    def anywhere(
        cls, random: np.random.Generator, identity: Identity, amplitude: float
    ) -> "Movement":
        """One window at a random place in the face, in a random direction; no emotion."""
        angle, turn = random.uniform(0, 2 * np.pi, 2)
        radius = np.sqrt(random.uniform(0, 0.7))
        center = radius * np.cos(angle), radius * np.sin(angle) * identity.height
        sigma = tuple(random.uniform(0.08, 0.22, 2))
        shift = Shift(center, (np.cos(turn), np.sin(turn)), sigma)
        return cls("none", (), (shift,), amplitude, one_sided=True)

    def field(self, pose: Pose, size: int) -> np.ndarray:
        """Displacement at the apex (size, size, 2), (x, y) in pixels of that size.

        The longest has exactly the length of the amplitude.
        """
        x, y = pose.to_face(size)
        total = np.zeros((2, size, size), np.float32)
        for shift in self.shifts:
            for side in (1,) if self.one_sided or shift.center[0] == 0 else (1, -1):
                window = np.exp(
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
