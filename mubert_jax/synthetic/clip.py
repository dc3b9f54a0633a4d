"""One recording of a synthetic person whose movement is known, pixel by pixel."""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mubert_jax.data.video import grey
from mubert_jax.errors import UserError
from mubert_jax.synthetic.drawing import Pose, draw_person
from mubert_jax.synthetic.expressions import EMOTIONS, Expression
from mubert_jax.synthetic.foreign import Foreign
from mubert_jax.synthetic.identity import Identity
from mubert_jax.synthetic.mesh import MeshMovement
from mubert_jax.synthetic.movements import Course, Movement
from mubert_jax.synthetic.nuisances import Nuisances
from mubert_jax.synthetic.photos import LANDMARKS, cut_out
from mubert_jax.synthetic.recorded import Recorded, RecordedMovement

# Pictures are drawn and moved at this many times their size, so that moving blurs nothing: more
# blurs less, and costs its square.
OVERSAMPLING = 2
# Pixels of a 224-pixel frame: from below what interpolation and noise leave to what anybody sees.
AMPLITUDES = (0.3, 3.0)
# The part of this range that a person would see on a screen.
VISIBLE = (1.0, 3.0)


def check_amplitudes(amplitudes: tuple[float, float]) -> None:
    """UserError unless these are the ends of a range of lengths."""
    low, high = amplitudes
    if not 0 < low <= high:
        raise UserError(f"--amplitude {low:g} {high:g}: choose 0 < LOW <= HIGH")


@dataclasses.dataclass(frozen=True)
class Truth:
    """What moves between two frames, with one value per patch: (g, g) for g patches per side.

    Attributes:
      displacement: mean length of the local movement, in pixels, without that of the head.
      visible: mean of |movement · image gradient|, in grey levels of 255: a smooth patch that moves
        shows nothing.
      face: share of the patch that is face.
      flow: mean local movement (g, g, 2), in pixels right and down.
    """

    displacement: np.ndarray
    visible: np.ndarray
    face: np.ndarray
    flow: np.ndarray


@dataclasses.dataclass(frozen=True)
class SyntheticClip:
    """A clip, which is a function of its fields alone.

    Attributes:
      subject, index: who is seen, and which of the subject's clips this is.
      seed: another seed gives other people and other clips.
      nuisances: what else changes, and how the face moves.
      size: the side of the frames in pixels.
      frames: the number of frames.
      amplitudes: the range of the movement at its apex, in pixels of a 224-pixel frame.
      labelled: whether every movement shows an emotion; if not, it is anywhere in 3 of 10 clips.
      individual: whether people show an emotion each in a way of their own.
      photo: a photograph of the subject, instead of a drawing.
      recorded: what moves, if it is not to be drawn.
    """

    subject: int
    index: int
    seed: int = 0
    nuisances: Nuisances | Foreign = Nuisances()
    size: int = 224
    frames: int = 24
    amplitudes: tuple[float, float] = AMPLITUDES
    labelled: bool = True
    individual: bool = False
    photo: Path | None = None
    recorded: Recorded | None = None

    def _random(self, *purpose: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, self.subject, self.index, *purpose])

    @functools.cached_property
    def identity(self) -> Identity:
        made = Identity.draw(int(np.random.default_rng([self.seed, self.subject]).integers(2**31)))
        return made if self.photo is None else dataclasses.replace(made, **LANDMARKS)

    @functools.cached_property
    def pose(self) -> Pose:
        return self.nuisances.draw_pose(self._random(0))

    @functools.cached_property
    def movement(self) -> Movement | MeshMovement | RecordedMovement:
        random, kind = self._random(1), self.nuisances.movement
        amplitude = float(np.exp(random.uniform(*np.log(self.amplitudes))))
        if self.recorded is not None:
            return RecordedMovement(self.recorded, self.identity, amplitude)
        if not self.labelled and random.random() < 0.3:
            return kind.anywhere(random, self.identity, amplitude)
        emotions = list(EMOTIONS)
        emotion = emotions[random.integers(len(emotions))]
        if self.individual:
            expression = Expression.individual(random, emotion, self.identity.seed)
        else:
            expression = Expression.typical(random, emotion)
        return kind.of_expression(random, self.identity, expression, amplitude)

    @functools.cached_property
    def course(self) -> Course:
        return Course.draw(self._random(2), self.frames)

    @functools.cached_property
    def _path(self) -> Any:
        """The paths of head, background and light; only `nuisances` knows their type."""
        return self.nuisances.path.draw(self._random(3))

    @functools.cached_property
    def _drawn(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Person, face mask, background and displacement at the apex, oversampled."""
        canvas = self.size * OVERSAMPLING
        if self.photo is None:
            person, face = draw_person(self.identity, self.pose, canvas)
        else:
            person, face = cut_out(self.photo, self.pose, canvas)
        background = self.nuisances.draw_background(self._random(4), canvas)
        return person, face, background, self.movement.field(self.pose, canvas)

    @functools.cached_property
    def _sway(self) -> np.ndarray:
        """Where the rest of the person is at one end of its way, (canvas, canvas, 2)."""
        _, face, _, _ = self._drawn
        canvas = len(face)
        # Two cells a side: shoulders, hair and neck go different ways, each as a whole.
        cells = self._random(6).uniform(-1, 1, (2, 2, 2)).astype(np.float32)
        ways = cv2.resize(cells, (canvas, canvas), interpolation=cv2.INTER_CUBIC)
        beside = 1 - cv2.GaussianBlur(cv2.dilate(face, np.ones((9, 9))), (0, 0), canvas / 60)
        return ways * beside[..., None] * (self.nuisances.sway * canvas / 224)

    @functools.cached_property
    def _recorded(self) -> Callable[[int], np.ndarray]:
        """Number -> frame."""
        dice = functools.partial(self._random, 5)
        return self.nuisances.recording(self._clean, self.frames, self._path, dice)

    def frame(self, number: int) -> np.ndarray:
        """(size, size, 3) uint8 RGB, as a camera would record it."""
        return self._recorded(number)

    def face(self, number: int) -> tuple[float, float, float, float]:
        """Where the face is in a frame: the middle (x, y) and the half axes, as shares of the side.

        It is the upright ellipse of the same mean and variance.
        """
        canvas = self.size * OVERSAMPLING
        middle, half_axes = self._ellipse
        matrix = self.nuisances.head_motion(self._path, number / self.frames, canvas)
        middle = np.linalg.solve(matrix[:, :2], middle - matrix[:, 2])
        x, y, width, height = (float(n) / canvas for n in (*middle, *half_axes))
        return x, y, width, height

    @functools.cached_property
    def _ellipse(self) -> tuple[np.ndarray, np.ndarray]:
        """The middle (x, y) and the half axes of the face as it is drawn, oversampled."""
        _, face, _, _ = self._drawn
        rows, columns = np.mgrid[: len(face), : len(face)] + 0.5
        places = np.array([columns, rows])
        middle = (face * places).sum((1, 2)) / face.sum()
        spread = (face * (places - middle[:, None, None]) ** 2).sum((1, 2)) / face.sum()
        return middle, 2 * np.sqrt(spread)

    def truth(self, onset: int, apex: int, patch_size: int) -> Truth:
        """What moves from frame `onset` to frame `apex`, in the coordinates of the second."""
        share = self.course.share(apex) - self.course.share(onset)
        _, face, _, field = self._drawn
        moved = cv2.warpAffine(
            np.dstack([field * (share / OVERSAMPLING), face]).astype(np.float32),
            self.nuisances.head_motion(self._path, apex / self.frames, len(field)),
            field.shape[:2],
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        )
        moved = cv2.resize(moved, (self.size, self.size), interpolation=cv2.INTER_AREA)
        dy, dx = np.gradient(grey(self._clean(apex)) * 255)
        visible = np.abs(moved[..., 0] * dx + moved[..., 1] * dy)
        length = np.linalg.norm(moved[..., :2], axis=-1)
        right, down, face, length, visible = (
            patch_means(x, patch_size) for x in (*np.moveaxis(moved, -1, 0), length, visible)
        )
        return Truth(length, visible, face, np.stack([right, down], axis=-1))

    def _clean(self, number: int) -> np.ndarray:
        """The frame before light and camera, (size, size, 3) floats."""
        person, _, background, field = self._drawn
        canvas, time = len(person), number / self.frames
        matrix = self.nuisances.head_motion(self._path, time, canvas)
        rows, columns = np.mgrid[:canvas, :canvas].astype(np.float32)
        x = matrix[0, 0] * columns + matrix[0, 1] * rows + matrix[0, 2]
        y = matrix[1, 0] * columns + matrix[1, 1] * rows + matrix[1, 2]
        share = self.course.share(number)
        if share:
            local = cv2.remap(field, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR)
            x, y = x - share * local[..., 0], y - share * local[..., 1]
        if self.nuisances.sway:
            away = self._sway * self._path.at(time)[7]
            x, y = x - away[..., 0], y - away[..., 1]
        person = cv2.remap(
            person,
            x.astype(np.float32),
            y.astype(np.float32),
            cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REPLICATE,
        )
        shift = self.nuisances.background_motion(self._path, time, canvas)
        behind = cv2.warpAffine(
            background.astype(np.float32),
            np.array([[1, 0, shift[0]], [0, 1, shift[1]]], np.float32),
            (canvas, canvas),
            flags=cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REFLECT,
        )
        opacity = np.clip(person[..., 3:], 0, 1)
        picture = person[..., :3] + behind * (1 - opacity)
        return cv2.resize(picture, (self.size, self.size), interpolation=cv2.INTER_AREA)


def patch_means(image: np.ndarray, patch_size: int) -> np.ndarray:
    """The mean of every patch: (H, H) -> (g, g)."""
    grid = len(image) // patch_size
    return image.reshape(grid, patch_size, grid, patch_size).mean((1, 3))
