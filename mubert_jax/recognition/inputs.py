"""The inputs of networks, made from labelled pairs: frames, motion maps, features of a backbone.

All but the frames are computed once per data set, for all folds, and stored on disk.
"""

import hashlib
import itertools
import zipfile
from collections.abc import Callable, Iterable
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from mubert_jax import motion_maps
from mubert_jax.config import RecognitionConfig
from mubert_jax.config_values import unknown
from mubert_jax.data.files import replacing, writing_errors
from mubert_jax.data.records import decode_image
from mubert_jax.errors import readable
from mubert_jax.flow_maps import strain
from mubert_jax.models.device import settled
from mubert_jax.models.face_grid import face_grid
from mubert_jax.models.images import normalise
from mubert_jax.models.micron_bert import MicronBert
from mubert_jax.motion_maps import MotionMap
from mubert_jax.recognition import flow_inputs
from mubert_jax.recognition.backbone import Backbone, Encoder, features
from mubert_jax.recognition.flow_inputs import FLOW, FLOW_MAPS
from mubert_jax.recognition.paired_augmentation import copies_of
from mubert_jax.training.objective import Params

# Pairs that are computed at a time: a trade of memory against overhead, without effect on results.
BATCH = 16
# Side of the grid to which a map is resized for a linear probe: the input size of OFF-ApexNet and
# STSTNet, and the patch grid of the paper (224 / 8).
CELLS = 28
# The value of `recognition.clip_pooling` that reads no frame but onset and apex.
APEX_ALONE = "none"
FRAMES, FEATURES, TOKENS = "frames", "features", "tokens"
# The suffixes for a motion map that is resized to cells, as in "difference/cells": those of the
# frame, or those of a grid over the face that POI sees.
IN_CELLS, IN_FACE = "/cells", "/face"

_Array = np.ndarray | jax.Array


def _strain(onset: np.ndarray, apex: np.ndarray) -> np.ndarray:
    """Optical strain (H, W) of Farnebäck's flow."""
    return strain(motion_maps.load("farneback")(onset, apex))


# Names that are accepted beside those of the methods in `motion_maps`.
_FURTHER = {
    "flow": lambda: motion_maps.load("farneback"),
    "strain": lambda: MotionMap("optical strain", "map", _strain),
}


def available_maps() -> tuple[str, ...]:
    """The names of all motion maps that a network may read."""
    return (*_FURTHER, *motion_maps.available())


def motion_map(name: str) -> MotionMap:
    """The motion map `name`.

    Raises:
      UserError: there is no such motion map, or a library that it needs is not installed.
    """
    return _FURTHER[name]() if name in _FURTHER else motion_maps.load(name)


def check_input(name: str) -> None:
    """UserError unless `Inputs.read` knows this name and the libraries it needs are installed."""
    if name in (FRAMES, FEATURES, TOKENS):
        return
    known = available_maps()
    seen, of_flow = _method(name), flow_inputs.arguments(name)
    if seen not in known:
        inputs = () if of_flow else (FRAMES, FEATURES, TOKENS, FLOW_MAPS)
        raise unknown(f"input of a network {name!r}", seen, (*inputs, *known))
    method = motion_map(seen)
    if of_flow:
        flow_inputs.check_gives_flow(method)


class Labelled(Protocol):
    """P labelled clips that have `onset` and `apex`, (P, H, W, 3) uint8, as `LabelledPairs` has.

    One with `clip_frames`, encoded images of each clip, can be read whole. One with `flow`,
    (P, 28, 28, 3), has stored flow maps (u, v, strain) in place of all of them.
    """

    label: np.ndarray


class Inputs:
    """The inputs that networks can read from P pairs.

    Attributes:
      label: (P,), indices into the data set's classes.

    Args:
      backbone: The source of "features" and of the patch size; None where none of it is read.
      config: The augmentation of copies.
      folder: Where computed inputs are stored, under a fingerprint of everything that they depend
        on; None keeps them in memory only.
    """

    def __init__(
        self,
        pairs: Labelled,
        backbone: Backbone | None,
        config: RecognitionConfig,
        folder: Path | None = None,
    ):
        self.label = pairs.label
        self._stored: np.ndarray | None = getattr(pairs, "flow", None)
        self._onset: Any = getattr(pairs, "onset", None)
        self._apex: Any = getattr(pairs, "apex", None)
        self._clip_frames: Any = getattr(pairs, "clip_frames", None)
        self._backbone: Any = backbone
        self._config, self._folder = config, folder
        self._known: dict[tuple, np.ndarray] = {}

    def read(self, name: str, copies: int = 0, seed: int = 0) -> np.ndarray:
        """An input (1 + copies, P, ...): of the unchanged pairs, then of augmented copies.

        Args:
          name: "frames": onset and apex (2, H, W, 3), uint8. "features": the input of the
            recognizer's linear layer on the backbone, (F,). "tokens": how its encoder's tokens
            change, `Encoder.token_change`, (F,). "flow" (H, W, 2) in pixels, "strain"
            (H, W) or any motion map, as `MotionMap` returns it; with the suffix "/cells", the same
            on a grid, flattened: a map resized to `CELLS` × `CELLS`, or a flow less its median,
            averaged over patches; with "/face", these at the places of a grid over the face.
            "flow_maps": u, v and strain, (28, 28, 3), as `flow_maps.stacked` gives them, or as the
            set of clips stores them; `flow_maps_of` names those of another flow or normalisation.
          seed: The seed of the augmentations; a copy depends on (seed, its number, the pair) alone.

        Raises:
          UserError: there is no such input, or it needs frames and only flow is stored; the disk is
            full.
        """
        check_input(name)
        if self._stored is not None:
            return flow_inputs.of_stored(name, copies, self._stored)
        key = name, copies, seed if copies else 0
        if key not in self._known:
            as_they_are = name == FRAMES and not copies
            self._known[key] = self._frames() if as_they_are else self._found(*key)
        return self._known[key]

    def _frames(self):
        return np.stack([self._onset, self._apex], axis=1)[None]

    def _found(self, name: str, copies: int, seed: int) -> np.ndarray:
        """The input, read from disk, or computed and written there."""
        if self._folder is None:
            return self._computed(name, copies, seed)
        mark = self._fingerprint(name, copies, seed)
        path = self._folder / f"{name.replace('/', '-')}-{mark}.npy"
        if (stored := _load(path)) is not None:
            return stored
        computed = self._computed(name, copies, seed)
        with writing_errors(self._folder, "give another --workdir"):
            self._folder.mkdir(parents=True, exist_ok=True)
            with replacing(path) as temporary, temporary.open("wb") as file:
                np.save(file, computed)
        return computed

    def _computed(self, name: str, copies: int, seed: int) -> np.ndarray:
        see, config = self._sees(name), self._config
        keys = jax.random.split(jax.random.key(seed), len(self.label))

        def of_copy(copy: int) -> np.ndarray:
            def see_against(rows: np.ndarray, later: np.ndarray) -> _Array:
                frames = self._onset[rows], later
                if copies:
                    return see(*copies_of(keys[rows], copy, *frames, config))
                return see(*(x.astype(np.float32) for x in frames))

            def see_rows(rows: np.ndarray) -> _Array:
                if name == FRAMES or config.clip_pooling == APEX_ALONE:
                    return see_against(rows, self._apex[rows])
                clips = [list(map(decode_image, self._clip_frames[row])) for row in rows]
                seen = [see_against(rows, np.stack(frames)) for frames in zip(*clips, strict=True)]
                return pooled(np.stack(seen), config.clip_pooling)

            return in_batches(see_rows, len(self.label))

        return np.stack([of_copy(copy) for copy in range(1 + copies)])

    def _sees(self, name: str) -> Callable[[_Array, _Array], _Array]:
        """The function (onset, apex) -> input, of a batch of each."""
        if name == FRAMES:
            return lambda onset, apex: np.stack([onset, apex], axis=1)
        if name == FEATURES:
            return partial(features, self._backbone.model, self._backbone.params)
        if name == TOKENS:
            return _token_change(self._backbone.encoder)
        method = motion_map(_method(name))
        if asked := flow_inputs.arguments(name):
            _, normalise = asked
            return lambda *pair: flow_inputs.of_frames(method, normalise, *map(np.asarray, pair))
        _, on = _divided(name)

        def see(onset_BxHxWxC: _Array, apex_BxHxWxC: _Array) -> np.ndarray:
            pairs = zip(np.asarray(onset_BxHxWxC), np.asarray(apex_BxHxWxC), strict=True)
            return np.stack([method(*pair) for pair in pairs])

        if not on:
            return lambda onset, apex: see(onset, apex).astype(np.float32)
        grid, backbone = self._backbone.model.config.grid, self._backbone

        def in_cells(onset_BxHxWxC: _Array, apex_BxHxWxC: _Array) -> _Array:
            cells_BxMxD = _in_cells(see(onset_BxHxWxC, apex_BxHxWxC), method, grid)
            if on == IN_FACE:
                scores_BxN = _poi_scores(backbone.model, backbone.params, apex_BxHxWxC)
                cells_BxMxD = face_grid(cells_BxMxD, scores_BxN)
            return cells_BxMxD.reshape(len(cells_BxMxD), -1)

        return in_cells

    def _fingerprint(self, name: str, copies: int, seed: int) -> str:
        said: list[object] = [name, self._of_pairs]
        if name == FEATURES or name.endswith(IN_FACE):
            said.append(self._of_backbone)
        if name == TOKENS:
            said.append(self._of_encoder)
        if name.endswith(IN_CELLS):
            said.append(self._backbone.model.config.grid)
        if version := version_of(name):
            said.append(version)
        if (pooling := self._config.clip_pooling) != APEX_ALONE and name != FRAMES:
            said += [pooling, self._of_clips]
        if copies:
            said += [copies, seed, self._config.flip, self._config.shift, self._config.gain]
        return hashlib.sha256(repr(said).encode()).hexdigest()[:16]

    @cached_property
    def _of_pairs(self) -> str:
        return digest(self._onset, self._apex)

    @cached_property
    def _of_clips(self) -> str:
        return digest_of_clips(self._clip_frames)

    @cached_property
    def _of_backbone(self) -> str:
        said = repr(settled(self._backbone.model.config))
        return said + digest(*jax.tree.leaves(self._backbone.params))

    @cached_property
    def _of_encoder(self) -> str:
        encoder = self._backbone.encoder
        said = repr(settled(self._backbone.model.config)) + encoder.said
        return said + digest(*jax.tree.leaves((encoder.params, encoder.extra)))


def digest(*arrays: ArrayLike) -> str:
    """A digest of shapes, types and values."""
    found = hashlib.sha256()
    for array in map(np.asarray, arrays):
        found.update(f"{array.shape}{array.dtype}".encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def digest_of_clips(clip_frames: Iterable[tuple[bytes, ...]]) -> str:
    """A digest of the encoded images of clips."""
    found = hashlib.sha256()
    for image in itertools.chain.from_iterable(clip_frames):
        found.update(image)
    return found.hexdigest()


def pooled(inputs_TxBx: np.ndarray, how: str) -> np.ndarray:
    """Inputs (T, B, ...) of T frames of a clip as those of the clip, (B, ...).

    Args:
      how: "mean", or "largest": each number as it is in the frame where it is furthest from 0.
    """
    if how == "mean":
        return inputs_TxBx.mean(0)
    furthest_Bx = np.abs(inputs_TxBx).argmax(0)
    return np.take_along_axis(inputs_TxBx, furthest_Bx[None], 0)[0]


def _load(path: Path) -> np.ndarray | None:
    """The stored array; None if there is none or it is damaged."""
    try:
        return np.load(path)
    except FileNotFoundError:
        return None
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        if readable(error):
            raise
        return None


def in_batches(see: Callable[[np.ndarray], _Array], count: int, axis: int = 0) -> np.ndarray:
    """The outputs of `see` for all rows below `count`; it is given `BATCH` numbers at a time.

    Args:
      see: Row numbers (BATCH,) -> an array with a row for each along `axis`.
    """
    parts = []
    for start in range(0, count, BATCH):
        part = np.asarray(see(np.arange(start, start + BATCH) % count))
        parts.append(np.take(part, np.arange(min(BATCH, count - start)), axis))
    return np.concatenate(parts, axis)


def version_of(name: str) -> str:
    """What an input depends on beside clips and backbone: its motion map's version, or ""."""
    method = _method(name)
    return motion_map(method).version() if method in available_maps() else ""


def _method(name: str) -> str:
    """The motion map from which an input is made, as far as it is one."""
    if asked := flow_inputs.arguments(name):
        return asked[0] or FLOW
    return _divided(name)[0]


def _divided(name: str) -> tuple[str, str]:
    """A motion map's name without its suffix, and the suffix."""
    for suffix in (IN_CELLS, IN_FACE):
        if name.endswith(suffix):
            return name.removesuffix(suffix), suffix
    return name, ""


@partial(jax.jit, static_argnames="model")
def _poi_scores(model: MicronBert, params: Params, images_BxHxWxC: jax.Array) -> jax.Array:
    """S (B, N) of frames in levels of 255."""
    found: Any = model.apply({"params": params}, normalise(images_BxHxWxC), method="encode")
    return found.poi_scores


def _in_cells(seen: np.ndarray, method: MotionMap, grid: int) -> jax.Array:
    """A motion map or flow of B pairs on a grid: (B, cells, 1 or 2)."""
    if method.gives == "map":
        return _resized(seen).reshape(len(seen), -1, 1)
    seen -= np.median(seen, axis=(1, 2), keepdims=True)
    cells = seen.reshape(len(seen), grid, seen.shape[1] // grid, grid, -1, 2).mean((2, 4))
    return jnp.asarray(cells).reshape(len(seen), -1, 2)


def _token_change(encoder: Encoder) -> Callable[[_Array, _Array], _Array]:
    """`Encoder.token_change` with its own weights, of frames in levels of 255."""
    change = jax.jit(
        lambda params, extra, onset, apex: encoder.token_change(
            params, extra, normalise(onset), normalise(apex)
        )
    )
    return partial(change, encoder.params, encoder.extra)


@jax.jit
def _resized(maps_BxHxW: jax.Array):
    shape = (len(maps_BxHxW), CELLS, CELLS)
    return jax.image.resize(maps_BxHxW.astype(jnp.float32), shape, "linear")
