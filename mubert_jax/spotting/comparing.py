"""How two frames of a stretch are compared: a trained model, or a motion map that learns nothing.

Both register the later frame to the earlier one in the same way, and give one movement per patch.
"""

import functools
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mubert_jax.data.alignment import face_ellipse
from mubert_jax.errors import UserError
from mubert_jax.models.face_grid import REACH, face_grid
from mubert_jax.models.images import normalise
from mubert_jax.models.micron_bert import MicronBert
from mubert_jax.motion_maps import MotionMap, load
from mubert_jax.perception.focus import evidence, focus
from mubert_jax.perception.registering import by_ellipse
from mubert_jax.perception.trained import Trained

DMA = "dma"
# Method -> motion map. Nothing is learnt in these.
CLASSICAL = {"difference": "difference", "farneback": "farneback"}
METHODS = (DMA, *CLASSICAL)
# The side of frames and patches for methods without a model, in pixels: those of the package's own.
SIDE, PATCH = 112, 8
# Parts of the face that tell lids and lips from the rest: rows and columns from and to, in standard
# deviations of S from the middle of the face. Measured on synthetic people of seed 1.
_EYES, _ALL = (-1.1, 0.2), (-9.0, 9.0)
PARTS = {
    "eyes": (_EYES, _ALL),
    "between the eyes": (_EYES, (-0.3, 0.3)),
    "mouth": ((0.55, 9.0), _ALL),
}


class Comparison(ABC):
    """Frames (P, S, S, 3) uint8 in pairs -> movement per patch (P, N), 0 where nothing moved.

    Attributes:
      size: S, the side of its frames in pixels.
      grid: patches along a side; N is its square.
    """

    size: int
    grid: int

    @abstractmethod
    def interest(self, frames_PxSxSx3: np.ndarray) -> np.ndarray:
        """Where the face is, (P, N), as S of eq. (11) has it; any scale."""

    @abstractmethod
    def __call__(
        self, before_PxSxSx3: np.ndarray, after_PxSxSx3: np.ndarray, interest_PxN: np.ndarray
    ) -> np.ndarray:
        """The movement from each frame to its later one; `interest` is that of the former."""

    def batch(self, pairs: Sequence[tuple[np.ndarray, ...]], size: int) -> np.ndarray:
        """The movement of up to `size` pairs (frame, later frame, interest).

        As many as `size` are compared whatever there are: another number would be compiled anew.
        """
        return self(*padded(pairs, size))[: len(pairs)]


def padded(pairs: Sequence[tuple[np.ndarray, ...]], size: int) -> list[np.ndarray]:
    """Pairs of arrays, as batches of `size`: the last pair fills what is missing."""
    whole = [*pairs, *[pairs[-1]] * (size - len(pairs))]
    return [np.stack(part) for part in zip(*whole, strict=True)]


class ByModel(Comparison):
    """DMA × POI evidence W (`perception.focus`) of a trained model, registered by `by_ellipse`.

    Raises:
      UserError: the model has no DMA to read.
    """

    def __init__(self, trained: Trained):
        if trained.config.model.dma.kind == "none":
            raise UserError(
                "this checkpoint was trained without DMA (config.model.dma.kind='none'): it sees "
                "no movement; take --checkpoint=shipped or --method=farneback"
            )
        self.size, self.grid = trained.config.model.image_size, trained.config.model.grid
        model, self._params = trained.model, trained.params
        self._encode = jax.jit(
            lambda params, images: model.apply({"params": params}, images, method=_interest)
        )
        self._compare = jax.jit(
            lambda params, *frames: model.apply({"params": params}, *frames, method=_moved)
        )

    def interest(self, frames_PxSxSx3: np.ndarray) -> np.ndarray:
        return np.asarray(self._encode(self._params, frames_PxSxSx3))

    def __call__(
        self, before_PxSxSx3: np.ndarray, after_PxSxSx3: np.ndarray, interest_PxN: np.ndarray
    ) -> np.ndarray:
        frames = before_PxSxSx3, after_PxSxSx3, interest_PxN
        return np.asarray(self._compare(self._params, *frames))


def _interest(model: MicronBert, images_uint8: jax.Array) -> jax.Array:
    return model.encode(normalise(images_uint8)).poi_scores


def _moved(
    model: MicronBert, before_uint8: jax.Array, after_uint8: jax.Array, scores_BxN: jax.Array
) -> jax.Array:
    """W (B, N), from maps in the place of the earlier frame; `model` is bound."""
    # Where DMA reads no tokens, XLA drops the encoder.
    before = model.encode(normalise(before_uint8))
    after = model.encode(normalise(by_ellipse(before_uint8, after_uint8)))
    map_BxN = jnp.maximum(model.difference(before, after), 0.0)
    return evidence(map_BxN, focus(scores_BxN), model.dma.log_odds)


class ByMotionMap(Comparison):
    """The strength of a motion map, less what the face has everywhere.

    That is the median of the map, which stands for the head, and then that of the patches'
    strength, which stands for noise. The face is the ellipse that a face box has around its middle;
    no model tells where it is.
    """

    size, grid = SIDE, SIDE // PATCH

    def __init__(self, method: str):
        self._map: MotionMap = load(CLASSICAL[method])
        self._register: Any = jax.jit(by_ellipse)
        self._face = face_ellipse((SIDE, SIDE)) > 0

    @functools.cached_property
    def _ellipse(self) -> np.ndarray:
        return _patch_means(self._face[None].astype(np.float32)).astype(np.float32)

    def interest(self, frames_PxSxSx3: np.ndarray) -> np.ndarray:
        return np.repeat(self._ellipse, len(frames_PxSxSx3), axis=0)

    def __call__(
        self, before_PxSxSx3: np.ndarray, after_PxSxSx3: np.ndarray, interest_PxN: np.ndarray
    ) -> np.ndarray:
        registered = np.asarray(self._register(before_PxSxSx3, after_PxSxSx3))
        seen = [
            self._strength(before, after)
            for before, after in zip(before_PxSxSx3, registered, strict=True)
        ]
        strength_PxN = _patch_means(np.stack(seen))
        noise_Px1 = np.median(strength_PxN[:, self._ellipse[0] > 0], axis=1, keepdims=True)
        return np.maximum(strength_PxN - noise_Px1, 0) * interest_PxN

    def _strength(self, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        seen = np.asarray(self._map(before, after), np.float32).reshape(SIDE, SIDE, -1)
        seen = seen - np.median(seen[self._face], axis=0)
        return np.linalg.norm(seen, axis=-1)


def _patch_means(images_PxSxS: np.ndarray) -> np.ndarray:
    grid = SIDE // PATCH
    patches = images_PxSxS.reshape(-1, grid, PATCH, grid, PATCH)
    return patches.mean((2, 4)).reshape(-1, grid**2)


@jax.jit
def shares(movement_PxN: jax.Array, interest_PxN: jax.Array) -> jax.Array:
    """The share of the movement that is in each of `PARTS`, (P, parts), wherever the face is."""
    placed_PxN = face_grid(movement_PxN[..., None], interest_PxN)[..., 0]
    side = round(placed_PxN.shape[-1] ** 0.5)
    total_P = jnp.sum(placed_PxN, axis=1) + 1e-9
    return placed_PxN @ _masks(side).T / total_P[:, None]


@functools.cache
def _masks(side: int) -> np.ndarray:
    """Which cells of a face's grid are in each of `PARTS`, (parts, side²)."""
    places = np.linspace(-REACH, REACH, side)
    return np.array(
        [
            np.outer(
                (places >= top) & (places <= bottom), (places >= left) & (places <= right)
            ).ravel()
            for (top, bottom), (left, right) in PARTS.values()
        ],
        np.float32,
    )
