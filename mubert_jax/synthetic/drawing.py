"""Draws a person as a layer of colour and opacity, lit and textured.

All functions work on a grid of face coordinates (see `identity`), so that a picture of any size is
the same person. The numbers are those of a drawing and come from no measurement.
"""

import dataclasses
from collections.abc import Iterator

import cv2
import numpy as np

from mubert_jax.synthetic.identity import Identity

Part = tuple[np.ndarray, np.ndarray]
"""RGB in [0, 1], (size, size, 3) or (3,), and the mask (size, size) of where it is drawn."""


@dataclasses.dataclass(frozen=True)
class Pose:
    """Where the face is in a square frame of side 1, and how it is lit.

    Attributes:
      center: the middle of the face, as (x, y).
      half_width: half of the width of the face.
      roll: the turn of the face in the picture, in radians.
      light: the direction towards the light, as (x, y, z), z towards the camera; y points down.
      ambient: the share of the light that comes from everywhere.
      yaw: how far the middle of the face is turned to the right, in half-widths; less than 1/2.
    """

    center: tuple[float, float]
    half_width: float
    roll: float
    light: tuple[float, float, float]
    ambient: float
    yaw: float = 0.0

    @classmethod
    def draw(cls, random: np.random.Generator) -> "Pose":
        return cls(
            center=(random.uniform(0.46, 0.54), random.uniform(0.47, 0.55)),
            half_width=random.uniform(0.26, 0.33),
            roll=random.normal(0, 0.05),
            light=(random.uniform(-0.9, 0.9), random.uniform(-0.9, -0.1), random.uniform(0.7, 1.4)),
            ambient=random.uniform(0.35, 0.6),
        )

    def to_face(self, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Face coordinates (x, y) of every pixel of a size × size frame."""
        rows, columns = np.mgrid[:size, :size].astype(np.float32)
        x = ((columns + 0.5) / size - self.center[0]) / self.half_width
        y = ((rows + 0.5) / size - self.center[1]) / self.half_width
        cos, sin = np.cos(self.roll), np.sin(self.roll)
        x, y = x * cos + y * sin, y * cos - x * sin
        # The outline stays; what is within shifts with the square of its nearness to the middle.
        return x - self.yaw * np.clip(1 - x**2 - (y / 1.3) ** 2, 0, None), y


def draw_person(identity: Identity, pose: Pose, size: int) -> tuple[np.ndarray, np.ndarray]:
    """A layer (size, size, 4), RGB in [0, 1] and opacity, and the mask (size, size) of the face."""
    x, y = pose.to_face(size)
    softness = 1.5 / (pose.half_width * size)
    person = _Person(identity, x, y, softness, pose.half_width * size)
    face = person.face_mask()
    colour = person.skin(face)
    normal = person.normals(face)
    colour = _shade(colour, normal, pose, person.gloss_map())
    layer = np.zeros((size, size, 4), np.float32)
    for rgb, mask in (person.body(), person.neck(pose), person.back_hair(), person.ears(colour)):
        _over(layer, rgb, mask)
    _over(layer, colour, face)
    for rgb, mask in person.features():
        _over(layer, rgb, mask)
    return layer, face


def smooth_step(distance: np.ndarray, softness: float) -> np.ndarray:
    """1 inside (at a negative distance), 0 outside, with a soft edge between."""
    return 1 / (1 + np.exp(np.clip(distance / (0.5 * softness), -30, 30)))


def fractal(random: np.random.Generator, size: int, coarsest: int, octaves: int) -> np.ndarray:
    """Smooth noise (size, size) of mean 0 and deviation 1, from `coarsest` cells per side on."""
    total = np.zeros((size, size), np.float32)
    for octave in range(octaves):
        cells = min(size, coarsest * 2**octave)
        noise = random.standard_normal((cells, cells)).astype(np.float32)
        total += cv2.resize(noise, (size, size), interpolation=cv2.INTER_CUBIC) * 0.65**octave
    return (total - total.mean()) / (total.std() + 1e-9)


def _over(layer: np.ndarray, rgb: np.ndarray, mask: np.ndarray) -> None:
    mask = np.clip(mask, 0, 1)[..., None].astype(np.float32)
    layer[..., :3] = layer[..., :3] * (1 - mask) + rgb * mask
    layer[..., 3:] = layer[..., 3:] * (1 - mask) + mask


def _shade(colour: np.ndarray, normal: np.ndarray, pose: Pose, gloss: np.ndarray) -> np.ndarray:
    light = np.array(pose.light) / np.linalg.norm(pose.light)
    lambert = np.clip(normal @ light, 0, None)
    half = light + np.array((0, 0, 1))
    half /= np.linalg.norm(half)
    shine = np.clip(normal @ half, 0, None) ** 24 * gloss
    bright = pose.ambient + (1.1 - pose.ambient) * lambert
    return colour * bright[..., None] + shine[..., None] * 0.35


class _Person:
    """The parts of one face on one grid.

    Args:
      identity: whose face it is.
      x, y: (size, size) face coordinates.
      softness: the width of soft edges, in face half-widths.
      pixels: the pixels of a face half-width.
    """

    def __init__(
        self, identity: Identity, x: np.ndarray, y: np.ndarray, softness: float, pixels: float
    ):
        self.id, self.x, self.y, self.softness, self.pixels = identity, x, y, softness, pixels
        self.random = np.random.default_rng([identity.seed, 2])
        self.size = len(x)
        self.side = np.abs(x)
        self.fine = fractal(self.random, self.size, 24, 5)
        self.pores = fractal(self.random, self.size, 96, 3)
        self.strands = self._strands()

    def _strands(self) -> np.ndarray:
        """Noise that is long in one direction, bent a little: hair."""
        noise = self.random.standard_normal((self.size, self.size)).astype(np.float32)
        long = cv2.GaussianBlur(noise, (0, 0), sigmaX=0.7, sigmaY=self.size / 40)
        bend = fractal(self.random, self.size, 5, 2) * self.size / 60 + np.abs(self.x) * 6
        rows, columns = np.mgrid[: self.size, : self.size].astype(np.float32)
        columns = (columns + bend).astype(np.float32)
        bent = cv2.remap(long, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
        return bent / bent.std()

    def gauss(
        self,
        center: tuple[float, float],
        sigma: float | tuple[float, float],
        mirrored: bool = False,
    ) -> np.ndarray:
        x = self.side if mirrored else self.x
        sx, sy = sigma if isinstance(sigma, tuple) else (sigma, sigma)
        return np.exp(-(((x - center[0]) / sx) ** 2 + ((self.y - center[1]) / sy) ** 2) / 2)

    def outline(self) -> np.ndarray:
        """Signed distance to the face's edge, roughly in face half-widths."""
        return (self.id.radius(self.x, self.y) - 1) * 0.9

    def face_mask(self) -> np.ndarray:
        return smooth_step(self.outline(), self.softness)

    def height_map(self) -> np.ndarray:
        """The face as a relief, in half-widths."""
        i = self.id
        inside = np.clip(1 - (self.x**2 + (self.y / i.height) ** 2) * 0.97, 0.02, None)
        relief = 0.75 * np.sqrt(inside)
        nose_y = i.nose[1]
        bridge = np.clip((self.y - i.eye[1] + 0.1) / (nose_y - i.eye[1] + 0.1), 0, 1)
        ends = smooth_step(self.y - nose_y - 0.02, 0.14)
        width = 0.06 + 0.06 * bridge
        relief += 0.30 * i.nose_size[1] * bridge * ends * np.exp(-((self.x / width) ** 2) / 2)
        relief += 0.07 * self.gauss((i.nose_size[0] * 0.72, nose_y), 0.055, mirrored=True)
        relief -= 0.11 * self.gauss(i.eye, (0.19, 0.11), mirrored=True)
        relief += 0.05 * self.gauss((i.brow[0], i.brow[1] + 0.02), (0.25, 0.06), mirrored=True)
        relief += 0.07 * self.gauss((0.55, i.eye[1] + 0.38), (0.2, 0.15), mirrored=True)
        relief += 0.05 * self.gauss((0, i.mouth[1] + 0.02), (i.mouth_size[0] * 0.7, 0.09))
        relief -= 0.03 * self.gauss((0, i.mouth[1] + 0.17), (0.2, 0.04))
        relief += 0.08 * self.gauss((0, i.height * 0.86), (0.2, 0.12))
        relief -= 0.02 * self.gauss((0, (nose_y + i.mouth[1]) / 2 + 0.02), (0.03, 0.06))
        fold = np.abs(self.side - (i.nose_size[0] + (self.y - nose_y) * 0.75))
        along = smooth_step(np.abs(self.y - (nose_y + 0.12)) - 0.14, 0.08)
        relief -= 0.03 * (0.3 + i.wrinkles) * np.exp(-((fold / 0.035) ** 2)) * along
        for line in range(3):
            level = i.brow[1] - 0.16 - 0.1 * line + 0.03 * np.cos(3 * self.x)
            crease = np.exp(-(((self.y - level) / 0.014) ** 2)) * smooth_step(self.side - 0.5, 0.2)
            relief -= 0.012 * i.wrinkles * crease
        return relief + 0.0022 * self.fine + 0.0010 * self.pores

    def normals(self, face: np.ndarray) -> np.ndarray:
        relief = cv2.GaussianBlur(self.height_map().astype(np.float32), (0, 0), 1.0)
        dy, dx = np.gradient(relief * self.pixels)
        normal = np.stack([-dx, -dy, np.ones_like(dx)], axis=-1)
        return normal / np.linalg.norm(normal, axis=-1, keepdims=True)

    def gloss_map(self) -> np.ndarray:
        i = self.id
        shine = self.gauss((0, i.nose[1] - 0.05), 0.16) + self.gauss((0, -0.75), (0.4, 0.25))
        return i.gloss * (0.3 + shine + self.gauss((0.5, i.eye[1] + 0.3), 0.2, mirrored=True))

    def skin(self, face: np.ndarray) -> np.ndarray:
        i = self.id
        colour = np.broadcast_to(np.array(i.skin, np.float32), (*self.x.shape, 3)).copy()
        colour *= (1 + 0.035 * self.fine + 0.03 * self.pores)[..., None]
        red = self.gauss((0.5, i.eye[1] + 0.42), 0.2, mirrored=True) + self.gauss(i.nose, 0.12)
        colour *= 1 - i.blush * 0.35 * red[..., None] * np.array((0, 0.5, 0.45))
        shade = self.gauss((i.eye[0], i.eye[1] + 0.11), (0.17, 0.05), mirrored=True)
        colour *= 1 - 0.16 * shade[..., None] * np.array((0.8, 1, 0.9))
        if i.freckles:
            spots = fractal(self.random, self.size, 70, 2) > 1.55
            where = self.gauss((0.35, i.eye[1] + 0.38), (0.35, 0.22), mirrored=True)
            spots = cv2.GaussianBlur(spots.astype(np.float32), (0, 0), 0.8) * where * i.freckles
            colour *= 1 - 0.45 * spots[..., None] * np.array((0.6, 0.9, 1))
        for _ in range(self.random.integers(0, 6)):
            spot = self.random.uniform(-0.7, 0.7), self.random.uniform(-0.9, 1.0)
            mole = self.gauss(spot, self.random.uniform(0.012, 0.025))
            colour *= 1 - 0.65 * mole[..., None]
        if i.beard:
            area = smooth_step(i.nose[1] + 0.06 - self.y, 0.1) * smooth_step(0.42 - self.side, 0.3)
            chin = smooth_step(i.mouth[1] + 0.12 - self.y, 0.12)
            upper = self.gauss((0, (i.nose[1] + i.mouth[1]) / 2 + 0.05), (0.3, 0.06))
            stubble = np.clip(area + chin + upper, 0, 1) * (0.75 + 0.25 * np.tanh(self.strands))
            mix = (0.75 * i.beard * np.clip(stubble, 0, 1))[..., None]
            colour = colour * (1 - mix) + np.array(i.hair) * mix
        return colour

    def features(self) -> Iterator[Part]:
        yield from self.eyes()
        yield from self.brows()
        yield from self.nostrils()
        yield from self.mouth()
        yield self.hair()
        if self.id.glasses:
            yield self.glasses()

    def eyes(self) -> Iterator[Part]:
        i = self.id
        u = (self.side - i.eye[0]) / i.eye_size[0]
        v = (self.y - i.eye[1] - 0.015 * u) / i.eye_size[1]
        arch = np.clip(1 - u**2, 0, None)
        upper, lower = -1.15 * arch**0.8, 0.85 * arch**0.9
        opening = np.maximum(upper - v, v - lower) * i.eye_size[1]
        opening = np.where(np.abs(u) < 1, opening, 0.2)
        open_ = smooth_step(opening, self.softness)
        shadow = 1 - 0.35 * np.exp(-np.clip(v - upper, 0, None) * 2.2)
        white = np.array((0.93, 0.90, 0.88)) * shadow[..., None]
        yield white, open_
        radius = np.hypot(self.side - i.eye[0], self.y - i.eye[1] + 0.01) / (i.eye_size[0] * 0.5)
        angle = np.arctan2(self.y - i.eye[1], self.side - i.eye[0])
        rays = 1 + 0.18 * np.sin(angle * 17) * np.sin(angle * 7 + 1) - 0.35 * (radius > 0.88)
        edge = self.softness / (i.eye_size[0] * 0.5)
        iris = np.array(i.iris) * (rays * shadow)[..., None]
        yield iris, open_ * smooth_step(radius - 1, edge)
        yield np.array((0.02, 0.02, 0.03)), open_ * smooth_step(radius - 0.42, edge)
        spot = np.hypot(self.x - np.sign(self.x) * i.eye[0] + 0.04, self.y - i.eye[1] + 0.045)
        yield np.array((1.0, 1.0, 1.0)), 0.9 * open_ * smooth_step(spot - 0.022, self.softness)
        lash = np.abs(upper - v) * i.eye_size[1]
        inside = np.abs(u) < 1.02
        dark = np.array(i.hair) * 0.4
        yield dark, 0.85 * inside * smooth_step(lash - 0.014, self.softness)
        yield (
            dark,
            0.35 * inside * smooth_step(np.abs(v - lower) * i.eye_size[1] - 0.008, self.softness),
        )
        crease = np.abs(v + 1.15 * arch**0.8 + 0.75) * i.eye_size[1]
        skin = np.array(i.skin) * 0.5
        yield skin, 0.55 * (np.abs(u) < 0.95) * smooth_step(crease - 0.007, self.softness)

    def brows(self) -> Iterator[Part]:
        i = self.id
        u = (self.side - i.brow[0]) / i.brow_size[0]
        bend = i.brow[1] + i.brow_arch * (u - 0.25) ** 2 - 0.03 * u
        taper = np.clip(1 - 0.75 * np.clip((u + 1) / 2, 0, 1), 0.05, None)
        distance = np.abs(self.y - bend) - i.brow_size[1] * taper * 1.15
        mask = smooth_step(distance, self.softness * 2) * smooth_step(np.abs(u) - 1, 0.15)
        yield np.array(i.hair) * 0.8, mask * np.clip(0.75 + 0.22 * self.strands, 0.25, 1)

    def nostrils(self) -> Iterator[Part]:
        i = self.id
        wing = (i.nose_size[0] * 0.5, i.nose[1] + 0.045)
        hole = self.gauss(wing, (i.nose_size[0] * 0.25, 0.020), mirrored=True)
        yield np.array(i.skin) * 0.22, 0.85 * np.clip(hole * 1.4 - 0.25, 0, 1)

    def mouth(self) -> Iterator[Part]:
        i = self.id
        half, upper, lower = i.mouth_size
        u = self.x / half
        arch = np.clip(1 - u**2, 0, None)
        bow = 1 - 0.32 * np.exp(-((u / 0.16) ** 2))
        line = i.mouth[1] + 0.012 * np.cos(u * 3.1)
        above = (line - self.y) - upper * bow * arch**0.7
        under = (self.y - line) - lower * arch**0.75
        inside = np.abs(u) < 1
        edge = self.softness * 2.2
        folds = 1 + 0.05 * self.pores + 0.04 * np.sin(self.x * 90 + 2 * self.fine)
        depth = np.clip((self.y - line) / lower, -1, 1)
        lips = np.array(i.lips) * (folds * (0.92 + 0.14 * np.sin(depth * np.pi)))[..., None]
        yield lips * 0.88, inside * smooth_step(above, edge) * (self.y <= line)
        yield lips, inside * smooth_step(under, edge) * (self.y > line)
        gap = np.abs(self.y - line) - 0.012 * arch**0.5
        yield np.array(i.lips) * 0.25, 0.9 * inside * smooth_step(gap, self.softness)
        corner = self.gauss((half * 0.98, i.mouth[1] + 0.01), 0.028, mirrored=True)
        yield np.array(i.skin) * 0.4, 0.6 * corner

    def hair(self) -> Part:
        i = self.id
        if i.hair_style == 0:
            return np.array(i.hair), np.zeros_like(self.x)
        top = -i.hairline + 0.28 * self.side**2 + 0.05 * np.tanh(self.fine)
        cap = self.outline() - (0.10 if i.hair_style == 1 else 0.2) + 0.02 * self.fine
        above = np.maximum(self.y - top, cap)
        sides = np.maximum(0.86 - self.side - 0.1 * (self.y < 0), np.maximum(cap, self.y - 0.05))
        mask = smooth_step(np.minimum(above, sides), self.softness * 3)
        return self._hair_colour(), mask

    def back_hair(self) -> Part:
        i = self.id
        if i.hair_style < 3:
            return np.array(i.hair), np.zeros_like(self.x)
        reach = np.hypot(self.x / 1.28, (self.y - 0.35) / (i.height + 0.5)) - 1
        reach = np.maximum(reach + 0.03 * self.fine, self.y - i.height * 1.35)
        return self._hair_colour() * 0.8, smooth_step(reach, self.softness * 3)

    def _hair_colour(self) -> np.ndarray:
        light = 1 + 0.30 * np.tanh(self.strands) + 0.25 * self.gauss((-0.3, -1.0), (0.5, 0.25))
        return np.array(self.id.hair) * light[..., None]

    def ears(self, colour: np.ndarray) -> Part:
        ear = np.hypot((self.side - 1.0) / 0.13, (self.y - self.id.eye[1] - 0.18) / 0.26) - 1
        rgb = np.array(self.id.skin) * (0.72 + 0.12 * np.cos(ear * 9))[..., None]
        return rgb, smooth_step(ear * 0.13, self.softness)

    def neck(self, pose: Pose) -> Part:
        width = 0.62 + 0.12 * np.clip(self.y - 1.4, 0, None)
        distance = np.maximum(self.side - width, 0.5 - self.y)
        shadow = 0.5 + 0.3 * np.clip((self.y - self.id.height) / 0.5, 0, 1)
        rgb = np.array(self.id.skin) * (shadow * (1 - 0.25 * self.side))[..., None]
        return rgb, smooth_step(distance, self.softness)

    def body(self) -> Part:
        shoulder = self.id.height + 0.38 + 0.42 * np.clip(self.side - 0.5, 0, None) ** 1.3
        stripes = 1 + 0.16 * np.sign(np.sin(self.x * 14 * self.id.jaw * 3 + self.y * 4))
        weave = 1 + 0.06 * self.pores + 0.06 * self.fine
        pattern = stripes if self.id.seed % 3 == 0 else 1.0
        rgb = np.array(self.id.clothes) * (pattern * weave)[..., None]
        return rgb, smooth_step(shoulder - self.y, self.softness * 2)

    def glasses(self) -> Part:
        i = self.id
        ring = np.hypot((self.side - i.eye[0]) / 0.30, (self.y - i.eye[1] - 0.02) / 0.22) - 1
        frame = np.abs(ring) * 0.25 - 0.018
        bridge = np.maximum(np.abs(self.y - i.eye[1] + 0.02) - 0.016, self.side - 0.14)
        arm = np.maximum(np.abs(self.y - i.eye[1]) - 0.014, np.abs(self.side - 0.86) - 0.14)
        distance = np.minimum(frame, np.minimum(bridge, arm))
        return np.array((0.10, 0.09, 0.09)), 0.95 * smooth_step(distance, self.softness)
