"""What a frozen backbone or a motion map says of labelled pairs: once, for all folds."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from mubert_jax import motion_maps
from mubert_jax.config import RecognitionConfig
from mubert_jax.config_values import unknown
from mubert_jax.models.micron_bert import MicronBert
from mubert_jax.motion_maps import MotionMap
from mubert_jax.recognition.augment import augmented
from mubert_jax.training.views import normalise

BATCH = 16
CELLS = 28
BACKBONE = "backbone"
# Of configs, old ones too -> of `motion_maps`.
_CALLED = {"flow": "farneback"}


def check_features(name: str) -> None:
    """UserError unless `config.recognition.features` may be this: "backbone" or a motion map."""
    known = (BACKBONE, *_CALLED, *motion_maps.available())
    if name not in known:
        raise unknown(f"config.recognition.features {name!r}", name, known)
    if name != BACKBONE:
        motion_maps.load(_CALLED.get(name, name))


def describe(
    model: MicronBert, params: dict, onset, apex, config: RecognitionConfig, seed: int
) -> np.ndarray:
    """Features (1 + copies, P, F): of the pairs as they are, then of augmented copies.

    Args:
      onset, apex: (P, H, W, 3) uint8.
      seed: draws the augmentations; a copy depends on (seed, its number, the pair) alone.

    Raises:
      UserError: as `check_features`.
    """
    check_features(config.features)
    if config.features == BACKBONE:
        see = _backbone(model, params)
    else:
        method = motion_maps.load(_CALLED.get(config.features, config.features))
        see = _motion(method, model.config.grid)

    def of_pair(key, copy, onset, apex):
        changed = augmented(jax.random.fold_in(key, copy), onset, apex, config)
        frames = (onset.astype(jnp.float32), apex.astype(jnp.float32))
        return tuple(jnp.where(copy > 0, a, b) for a, b in zip(changed, frames, strict=True))

    draw = jax.jit(jax.vmap(of_pair, (0, None, 0, 0)))
    keys = jax.random.split(jax.random.key(seed), len(onset))

    def of_copy(copy):
        return in_batches(
            lambda rows: see(*draw(keys[rows], copy, onset[rows], apex[rows])), len(onset)
        )

    return np.stack([of_copy(copy) for copy in range(1 + config.copies)])


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


def _backbone(model, params):
    """What the recognizer's linear layer reads."""
    return jax.jit(
        lambda onset, apex: model.apply(
            {"params": params}, normalise(onset), normalise(apex), method="forward_features"
        )
    )


def _motion(method: MotionMap, grid: int):
    """A map, averaged over `CELLS` × `CELLS` cells, or a flow less its median, over patches."""

    def see(onset_BxHxWxC, apex_BxHxWxC):
        pairs = zip(np.asarray(onset_BxHxWxC), np.asarray(apex_BxHxWxC), strict=True)
        seen = np.stack([method(*pair) for pair in pairs])
        if method.gives == "map":
            return _resized(seen).reshape(len(seen), -1)
        seen -= np.median(seen, axis=(1, 2), keepdims=True)
        cells = seen.reshape(len(seen), grid, seen.shape[1] // grid, grid, -1, 2).mean((2, 4))
        return cells.reshape(len(seen), -1)

    return see


@jax.jit
def _resized(maps_BxHxW):
    shape = (len(maps_BxHxW), CELLS, CELLS)
    return jax.image.resize(maps_BxHxW.astype(jnp.float32), shape, "linear")
