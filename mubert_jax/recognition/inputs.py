"""What a network may read of labelled pairs: frames, motion maps, features of a backbone.

All but the frames is computed once per data set, for all folds, and is kept on the disk.
"""

import hashlib
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from mubert_jax import motion_maps
from mubert_jax.config import RecognitionConfig
from mubert_jax.config_values import unknown
from mubert_jax.data.files import replacing, writing_errors
from mubert_jax.data.pairs import LabelledPairs
from mubert_jax.errors import readable
from mubert_jax.models.device import settled
from mubert_jax.models.micron_bert import MicronBert
from mubert_jax.motion_maps import MotionMap
from mubert_jax.training.views import normalise
from mubert_jax.training.warps import sample

BATCH = 16
# Side of the grid that a map is averaged over for a linear probe.
CELLS = 28
FRAMES, FEATURES = "frames", "features"
# What is read of a motion map in cells, such as "difference/cells".
IN_CELLS = "/cells"


@dataclass(frozen=True, eq=False)
class Backbone:
    """A pretrained Micron-BERT whose recognizer is fresh."""

    model: MicronBert
    params: dict


def strain(onset, apex) -> np.ndarray:
    """How much the skin is stretched or sheared, (H, W): the norm of the flow's symmetric gradient.

    After Shreve et al., Macro- and micro-expression spotting in long videos using spatio-temporal
    strain (FG 2011); of Farnebäck's flow.
    """
    x_HxW, y_HxW = np.moveaxis(motion_maps.load("farneback")(onset, apex), -1, 0)
    (x_down, x_right), (y_down, y_right) = np.gradient(x_HxW), np.gradient(y_HxW)
    return np.sqrt(x_right**2 + y_down**2 + (x_down + y_right) ** 2 / 2)


# Beside the methods of `motion_maps`, which are called by their own names.
_FURTHER = {
    "flow": lambda: motion_maps.load("farneback"),
    "strain": lambda: MotionMap("optical strain", "map", strain),
}


def available_maps() -> tuple[str, ...]:
    """The names of all motion maps that may be read."""
    return (*_FURTHER, *motion_maps.available())


def motion_map(name: str) -> MotionMap:
    """UserError: there is no such motion map, or what it needs is not installed."""
    return _FURTHER[name]() if name in _FURTHER else motion_maps.load(name)


def check_input(name: str) -> None:
    """UserError unless `Inputs.read` knows this name, and what it needs is installed."""
    if name in (FRAMES, FEATURES):
        return
    known = available_maps()
    seen = name.removesuffix(IN_CELLS)
    if seen not in known:
        raise unknown(f"input of a network {name!r}", seen, (FRAMES, FEATURES, *known))
    motion_map(seen)


class Inputs:
    """What can be read of P pairs.

    Attributes:
      label: (P,), places in the data set's classes.

    Args:
      backbone: what "features" and the size of patches are of.
      config: how copies are augmented.
      folder: where what is computed is kept, under a fingerprint of all that it comes from; None
        keeps it in memory alone.
    """

    def __init__(
        self,
        pairs: LabelledPairs,
        backbone: Backbone,
        config: RecognitionConfig,
        folder: Path | None = None,
    ):
        self.label = pairs.label
        self._onset, self._apex = pairs.onset, pairs.apex
        self._backbone, self._config, self._folder = backbone, config, folder
        self._known: dict[tuple, np.ndarray] = {}

    def read(self, name: str, copies: int = 0, seed: int = 0) -> np.ndarray:
        """(1 + copies, P, ...): of the pairs as they are, then of augmented copies.

        Args:
          name: "frames", onset and apex (2, H, W, 3) uint8. "features", what the recognizer's
            linear layer reads of the backbone (F,). "flow" (H, W, 2) in pixels, "strain" (H, W) or
            any motion map, as `MotionMap` gives it; followed by "/cells", the same over a grid,
            flattened: a map averaged over `CELLS` × `CELLS`, a flow less its median over patches.
          seed: draws the augmentations; a copy depends on (seed, its number, the pair) alone.

        Raises:
          UserError: there is no such input; the disk is full.
        """
        check_input(name)
        key = name, copies, seed if copies else 0
        if key not in self._known:
            as_they_are = name == FRAMES and not copies
            self._known[key] = self._frames() if as_they_are else self._found(*key)
        return self._known[key]

    def _frames(self):
        return np.stack([self._onset, self._apex], axis=1)[None]

    def _found(self, name, copies, seed) -> np.ndarray:
        """From the disk, or computed and written there."""
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

    def _computed(self, name, copies, seed) -> np.ndarray:
        see, config = self._sees(name), self._config
        keys = jax.random.split(jax.random.key(seed), len(self.label))

        def of_copy(copy):
            def see_rows(rows):
                frames = self._onset[rows], self._apex[rows]
                if copies:
                    return see(*_copies(keys[rows], copy, *frames, config))
                return see(*(x.astype(np.float32) for x in frames))

            return in_batches(see_rows, len(self.label))

        return np.stack([of_copy(copy) for copy in range(1 + copies)])

    def _sees(self, name) -> Callable:
        """(onset, apex), a batch of each, -> what is read of them."""
        if name == FRAMES:
            return lambda onset, apex: np.stack([onset, apex], axis=1)
        if name == FEATURES:
            return partial(features, self._backbone.model, self._backbone.params)
        method = motion_map(name.removesuffix(IN_CELLS))

        def see(onset_BxHxWxC, apex_BxHxWxC):
            pairs = zip(np.asarray(onset_BxHxWxC), np.asarray(apex_BxHxWxC), strict=True)
            return np.stack([method(*pair) for pair in pairs])

        if not name.endswith(IN_CELLS):
            return lambda onset, apex: see(onset, apex).astype(np.float32)
        grid = self._backbone.model.config.grid
        return lambda onset, apex: _in_cells(see(onset, apex), method, grid)

    def _fingerprint(self, name, copies, seed) -> str:
        said = [name, self._of_pairs]
        if name == FEATURES:
            said.append(self._of_backbone)
        if name.endswith(IN_CELLS):
            said.append(self._backbone.model.config.grid)
        if copies:
            said += [copies, seed, self._config.flip, self._config.shift, self._config.gain]
        return hashlib.sha256(repr(said).encode()).hexdigest()[:16]

    @cached_property
    def _of_pairs(self) -> str:
        return digest(self._onset, self._apex)

    @cached_property
    def _of_backbone(self) -> str:
        said = repr(settled(self._backbone.model.config))
        return said + digest(*jax.tree.leaves(self._backbone.params))


def digest(*arrays) -> str:
    """Of shapes, types and values."""
    found = hashlib.sha256()
    for array in map(np.asarray, arrays):
        found.update(f"{array.shape}{array.dtype}".encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def _load(path: Path) -> np.ndarray | None:
    """What was written there; None where nothing was, or where it is damaged."""
    try:
        return np.load(path)
    except FileNotFoundError:
        return None
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        if readable(error):
            raise
        return None


def in_batches(see: Callable, count: int, axis: int = 0) -> np.ndarray:
    """What `see` makes of all rows below `count`: it is given `BATCH` numbers at a time.

    Args:
      see: row numbers (BATCH,) -> an array with a row each along `axis`.
    """
    parts = []
    for start in range(0, count, BATCH):
        part = np.asarray(see(np.arange(start, start + BATCH) % count))
        parts.append(np.take(part, np.arange(min(BATCH, count - start)), axis))
    return np.concatenate(parts, axis)


@partial(jax.jit, static_argnames="model")
def features(model: MicronBert, params: dict, onset_BxHxWxC, apex_BxHxWxC):
    """What the recognizer's linear layer reads of grey levels, (B, F)."""
    frames = normalise(onset_BxHxWxC), normalise(apex_BxHxWxC)
    return model.apply({"params": params}, *frames, method="forward_features")


def _in_cells(seen: np.ndarray, method: MotionMap, grid: int) -> np.ndarray:
    """(B, F)."""
    if method.gives == "map":
        return _resized(seen).reshape(len(seen), -1)
    seen -= np.median(seen, axis=(1, 2), keepdims=True)
    cells = seen.reshape(len(seen), grid, seen.shape[1] // grid, grid, -1, 2).mean((2, 4))
    return cells.reshape(len(seen), -1)


@jax.jit
def _resized(maps_BxHxW):
    shape = (len(maps_BxHxW), CELLS, CELLS)
    return jax.image.resize(maps_BxHxW.astype(jnp.float32), shape, "linear")


@partial(jax.jit, static_argnames="config")
def _copies(keys_B, copy, onset_BxHxWxC, apex_BxHxWxC, config: RecognitionConfig):
    """A copy of each pair, float32; copy 0 is the pair itself."""

    def of_pair(key, onset, apex):
        changed = augmented(jax.random.fold_in(key, copy), onset, apex, config)
        frames = (onset.astype(jnp.float32), apex.astype(jnp.float32))
        return tuple(jnp.where(copy > 0, a, b) for a, b in zip(changed, frames, strict=True))

    return jax.vmap(of_pair)(keys_B, onset_BxHxWxC, apex_BxHxWxC)


def augmented(key, onset_HxWxC, apex_HxWxC, config: RecognitionConfig):
    """Both frames under one drawn flip, shift and gain of light; float32 grey levels.

    They are changed alike, so that what differs still is movement.
    """
    of_flip, of_shift, of_gain = jax.random.split(key, 3)
    side = onset_HxWxC.shape[0]
    flip = config.flip & jax.random.bernoulli(of_flip)
    shift = jax.random.uniform(of_shift, (2,), minval=-1) * config.shift * side
    gain = 1 + jax.random.uniform(of_gain, minval=-1) * config.gain
    rows, columns = jnp.mgrid[:side, :side].astype(jnp.float32)
    columns = jnp.where(flip, side - 1 - columns, columns)

    def change(image_HxWxC):
        moved = sample(image_HxWxC.astype(jnp.float32), rows + shift[0], columns + shift[1])
        return jnp.clip(moved * gain, 0, 255)

    return change(onset_HxWxC), change(apex_HxWxC)
