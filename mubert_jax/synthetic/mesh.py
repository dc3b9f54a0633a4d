"""What moves in a face, in another way: landmarks that pull a mesh of triangles with them.

Nothing is shared with `movements` except which action units an emotion has, and nothing with what
`training.warps` puts on frames: inside a triangle the movement is affine, at its edges it breaks
off, and each landmark goes a little its own way. Places and directions are like those of the Facial
Action Coding System, and come from no measurement.
"""

import dataclasses

import numpy as np
from scipy.interpolate import LinearNDInterpolator

from mubert_jax.synthetic.drawing import Pose
from mubert_jax.synthetic.expressions import BOTH, Expression
from mubert_jax.synthetic.identity import Identity

# Action unit -> landmark -> how far it goes outwards and downwards, at full strength.
PULLS: dict[int, dict[str, tuple[float, float]]] = {
    1: {"inner brow": (0, -1), "middle brow": (0, -0.4)},
    2: {"outer brow": (0.1, -1), "middle brow": (0, -0.5)},
    4: {"inner brow": (-0.6, 0.8), "middle brow": (-0.3, 0.4)},
    5: {"upper lid": (0, -1)},
    6: {"cheek": (0.1, -1), "lower lid": (0, -0.4)},
    7: {"lower lid": (0, -1)},
    9: {"nose side": (0, -1), "nose wing": (0.1, -0.8)},
    10: {"upper lip": (0, -1), "upper lip side": (0, -0.9)},
    12: {"mouth corner": (0.75, -0.66), "fold": (0.4, -0.5)},
    14: {"mouth corner": (1, 0)},
    15: {"mouth corner": (0.2, 0.98)},
    17: {"chin": (0, -1), "chin side": (0, -0.8)},
    24: {
        "upper lip": (0, 1),
        "upper lip side": (0, 0.8),
        "lower lip": (0, -1),
        "lower lip side": (0, -0.8),
    },
    26: {
        "chin": (0, 1),
        "chin side": (0, 0.9),
        "lower lip": (0, 0.8),
        "lower lip side": (0, 0.7),
        "jaw": (0, 0.5),
    },
}
# Landmarks that hold still, as do `CONTOUR` more points around the face.
FIXED = ("inner forehead", "outer forehead", "inner eye", "outer eye", "nose bridge", "nose tip")
CONTOUR = 14  # fewer would make large triangles at the edge of the face


def landmarks(person: Identity) -> dict[str, tuple[float, float]]:
    """Name -> (x, y) in face coordinates, on the right side for a pair."""
    brow, eye, nose, mouth = person.brow, person.eye, person.nose, person.mouth
    width, opening = person.eye_size
    lips = person.mouth_size[0]
    return {
        "inner forehead": (0.25, brow[1] - 0.28),
        "outer forehead": (0.70, brow[1] - 0.22),
        "inner brow": (brow[0] * 0.5, brow[1]),
        "middle brow": (brow[0], brow[1] - person.brow_arch),
        "outer brow": (brow[0] * 1.5, brow[1]),
        "inner eye": (eye[0] - width, eye[1]),
        "outer eye": (eye[0] + width, eye[1]),
        "upper lid": (eye[0], eye[1] - opening),
        "lower lid": (eye[0], eye[1] + opening),
        "cheek": (eye[0] * 1.3, eye[1] + 0.3),
        "nose bridge": (0.0, eye[1]),
        "nose side": (person.nose_size[0] * 0.7, nose[1] - 0.16),
        "nose wing": (person.nose_size[0], nose[1]),
        "nose tip": (0.0, nose[1]),
        "upper lip": (0.0, mouth[1] - 0.07),
        "upper lip side": (lips * 0.5, mouth[1] - 0.06),
        "mouth corner": (lips, mouth[1]),
        "fold": (lips + 0.14, mouth[1] - 0.1),
        "lower lip": (0.0, mouth[1] + 0.09),
        "lower lip side": (lips * 0.5, mouth[1] + 0.08),
        "jaw": (0.5, mouth[1] + 0.16),
        "chin": (0.0, person.height * 0.84),
        "chin side": (0.24, person.height * 0.86),
    }


# Landmark -> how far it goes outwards and downwards, (2, 2): on the right side and on the left.
_Pulls = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True, eq=False)
class MeshMovement:
    """What one clip shows, as `movements.Movement`, but pulled at the points of a mesh.

    Attributes:
      points: (V, 2) in face coordinates.
      pulls: (V, 2), the longest of length 1.
      amplitude: the length of the longest at the apex, in pixels of a 224-pixel frame.
    """

    emotion: str
    action_units: tuple[int, ...]
    points: np.ndarray
    pulls: np.ndarray
    amplitude: float

    @classmethod
    def of_expression(
        cls,
        random: np.random.Generator,
        identity: Identity,
        expression: Expression,
        amplitude: float,
    ) -> "MeshMovement":
        """The landmarks of the expression's action units."""
        wanted: _Pulls = {}
        for unit, sides in expression.units.items():
            for name, pull in PULLS[unit].items():
                wanted[name] = wanted.get(name, 0) + np.outer(sides, pull)
        units = tuple(expression.units)
        return cls._pulled(random, identity, wanted, expression.emotion, units, amplitude)

    @classmethod
    def anywhere(
        cls, random: np.random.Generator, identity: Identity, amplitude: float
    ) -> "MeshMovement":
        """One landmark in a random direction, its twin the other way round; no emotion."""
        names = [name for name in landmarks(identity) if name not in FIXED]
        angle = random.uniform(0, 2 * np.pi)
        pull = np.array([np.cos(angle), np.sin(angle)])
        wanted = {names[random.integers(len(names))]: np.outer(BOTH, pull)}
        return cls._pulled(random, identity, wanted, "none", (), amplitude)

    @classmethod
    def _pulled(
        cls,
        random: np.random.Generator,
        identity: Identity,
        wanted: _Pulls,
        emotion: str,
        units: tuple[int, ...],
        amplitude: float,
    ) -> "MeshMovement":
        """Each landmark goes up to 30° astray, and not quite as far as its neighbours."""
        points, pulls = [], []
        for name, (x, y) in landmarks(identity).items():
            pulled = wanted.get(name, np.zeros((2, 2)))
            stronger = np.linalg.norm(pulled, axis=1).argmax()
            for side, pull in zip((1, -1), pulled, strict=True) if x else ((1, pulled[stronger]),):
                pull = pull * (side, 1) * random.uniform(0.6, 1.0)
                astray = np.radians(random.uniform(-30, 30))
                cos, sin = np.cos(astray), np.sin(astray)
                points.append((side * x, y))
                pulls.append((cos * pull[0] - sin * pull[1], sin * pull[0] + cos * pull[1]))
        around = 2 * np.pi * np.arange(CONTOUR) / CONTOUR
        points += list(zip(np.sin(around), identity.height * np.cos(around), strict=True))
        pulls += [(0.0, 0.0)] * CONTOUR
        pulls = np.array(pulls) / np.linalg.norm(pulls, axis=1).max()
        return cls(emotion, units, np.array(points), pulls, amplitude)

    def field(self, pose: Pose, size: int) -> np.ndarray:
        """Displacement at the apex (size, size, 2), (x, y) in pixels of that size."""
        x, y = pose.to_face(size)
        pulled = LinearNDInterpolator(self.points, self.pulls, fill_value=0.0)(x, y)
        cos, sin = np.cos(pose.roll), np.sin(pose.roll)
        turn = np.array([[cos, sin], [-sin, cos]])
        return (pulled @ turn * (self.amplitude * size / 224)).astype(np.float32)
