"""A synthetic person: proportions, colours and light, all drawn from one seed.

Lengths are in face half-widths, from the middle of the face, x to the right and y downwards. The
ranges and colours are those of a drawing and come from no measurement.
"""

import dataclasses

import numpy as np

# From light to dark, RGB in [0, 1]; near enough to linear for shading.
SKIN = np.array(
    [
        (0.96, 0.80, 0.72),
        (0.91, 0.72, 0.60),
        (0.82, 0.62, 0.48),
        (0.70, 0.49, 0.35),
        (0.52, 0.34, 0.23),
        (0.36, 0.23, 0.16),
    ]
)
HAIR = np.array(
    [
        (0.07, 0.06, 0.06),
        (0.16, 0.10, 0.07),
        (0.33, 0.20, 0.12),
        (0.62, 0.45, 0.25),
        (0.50, 0.22, 0.10),
        (0.62, 0.62, 0.62),
    ]
)
IRIS = np.array([(0.25, 0.15, 0.08), (0.35, 0.28, 0.14), (0.28, 0.42, 0.55), (0.33, 0.45, 0.33)])


@dataclasses.dataclass(frozen=True)
class Identity:
    """One subject. Landmarks are (x, y); those of a pair of features are for the right side.

    Attributes:
      seed: the seed of the textures.
      height: half-height of the face.
      jaw: how far the face narrows towards the chin, 0 to 1.
      eye, eye_size: centre of an eye; its half-width and half-opening.
      brow, brow_size, brow_arch: middle of a brow; its half-length and half-thickness; its bend.
      nose, nose_size: tip of the nose; half-width of its wings and strength of its bridge.
      mouth, mouth_size: its centre; its half-width, and fullness of the upper and the lower lip.
      skin, hair, iris, lips, clothes: RGB in [0, 1].
      hair_style: 0 bald, 1 short, 2 full, 3 long.
      hairline: its height over the middle of the face.
      beard, freckles, wrinkles, blush, gloss: strengths from 0 to 1.
      glasses: whether glasses are worn.
    """

    seed: int
    height: float
    jaw: float
    eye: tuple[float, float]
    eye_size: tuple[float, float]
    brow: tuple[float, float]
    brow_size: tuple[float, float]
    brow_arch: float
    nose: tuple[float, float]
    nose_size: tuple[float, float]
    mouth: tuple[float, float]
    mouth_size: tuple[float, float, float]
    skin: tuple[float, float, float]
    hair: tuple[float, float, float]
    iris: tuple[float, float, float]
    lips: tuple[float, float, float]
    clothes: tuple[float, float, float]
    hair_style: int
    hairline: float
    beard: float
    freckles: float
    wrinkles: float
    blush: float
    gloss: float
    glasses: bool

    @classmethod
    def draw(cls, seed: int) -> "Identity":
        """The person of this seed, the same on every machine."""
        random = np.random.default_rng([seed, 1])
        uniform = random.uniform
        tone = uniform(0, len(SKIN) - 1)
        skin = _between(SKIN, tone) * uniform(0.94, 1.06, 3)
        hair = HAIR[random.choice(len(HAIR), p=(0.3, 0.22, 0.2, 0.12, 0.06, 0.1))]
        height = uniform(1.18, 1.42)
        eye_y = uniform(-0.28, -0.14)
        nose_y = eye_y + uniform(0.46, 0.58)
        mouth_y = nose_y + uniform(0.24, 0.34)
        return cls(
            seed=seed,
            height=height,
            jaw=uniform(0.12, 0.42),
            eye=(uniform(0.38, 0.46), eye_y),
            eye_size=(uniform(0.17, 0.23), uniform(0.055, 0.10)),
            brow=(uniform(0.39, 0.46), eye_y - uniform(0.20, 0.30)),
            brow_size=(uniform(0.22, 0.30), uniform(0.022, 0.055)),
            brow_arch=uniform(0.02, 0.12),
            nose=(0.0, nose_y),
            nose_size=(uniform(0.15, 0.24), uniform(0.5, 1.2)),
            mouth=(0.0, min(mouth_y, height - 0.34)),
            mouth_size=(uniform(0.28, 0.42), uniform(0.04, 0.09), uniform(0.06, 0.12)),
            skin=tuple(np.clip(skin, 0, 1)),
            hair=tuple(np.clip(hair * uniform(0.8, 1.2), 0, 1)),
            iris=tuple(IRIS[random.integers(len(IRIS))] * uniform(0.8, 1.2)),
            lips=tuple(np.clip(skin * (1.0, 0.68, 0.68) * uniform(0.85, 1.05), 0, 1)),
            clothes=tuple(uniform(0.08, 0.85, 3)),
            # NumPy gives an int64, whatever its stubs say.
            # pyrefly: ignore[unnecessary-type-conversion]
            hair_style=int(random.choice(4, p=(0.08, 0.37, 0.3, 0.25))),
            hairline=uniform(0.62, 0.86) * height,
            beard=float(random.random() < 0.3) * uniform(0.3, 1.0),
            freckles=float(random.random() < 0.3) * uniform(0.3, 1.0),
            wrinkles=uniform(0.0, 1.0) ** 2,
            blush=uniform(0.0, 0.6),
            gloss=uniform(0.05, 0.5),
            glasses=random.random() < 0.2,
        )

    def radius(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """How far a place is from the middle of the face: 0 there, 1 at the outline."""
        below = np.clip(y / self.height, 0, None)
        width = 1 - self.jaw * below**2
        return np.sqrt((x / width) ** 2 + (y / self.height) ** 2)


def _between(palette: np.ndarray, position: float) -> np.ndarray:
    """The colour at `position` between the rows of a palette."""
    low = int(min(position, len(palette) - 2))
    return palette[low] + (palette[low + 1] - palette[low]) * (position - low)
