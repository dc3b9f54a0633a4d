"""What a frozen backbone (or subtraction) says of labelled pairs: once, for all folds."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from mubert_jax.config import RecognitionConfig
from mubert_jax.models.micron_bert import MicronBert
from mubert_jax.perception.rivals import farneback
from mubert_jax.recognition.augment import augmented
from mubert_jax.training.movements import GREY
from mubert_jax.training.views import normalise

BATCH = 16
CELLS = 28


def describe(
    model: MicronBert, params: dict, onset, apex, config: RecognitionConfig, seed: int
) -> np.ndarray:
    """Features (1 + copies, P, F): of the pairs as they are, then of augmented copies.

    Args:
      onset, apex: (P, H, W, 3) uint8.
      seed: draws the augmentations; a copy depends on (seed, its number, the pair) alone.
    """
    see = FEATURES[config.features](model, params)

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
    """What the recogniser's linear layer reads."""
    return jax.jit(
        lambda onset, apex: model.apply(
            {"params": params}, normalise(onset), normalise(apex), method="describe"
        )
    )


def _difference(model, params):
    """Change of grey, averaged over `CELLS` × `CELLS` cells: the row without learning."""

    def see(onset_BxHxWxC, apex_BxHxWxC):
        change_BxHxW = (apex_BxHxWxC - onset_BxHxWxC) @ GREY
        cells = jax.image.resize(change_BxHxW, (len(change_BxHxW), CELLS, CELLS), "linear")
        return cells.reshape(len(cells), -1)

    return jax.jit(see)


def _flow(model, params):
    """Farnebäck's optical flow less its median, averaged over patches: the classical way."""
    grid = model.config.grid

    def see(onset_BxHxWxC, apex_BxHxWxC):
        pairs = zip(np.uint8(onset_BxHxWxC), np.uint8(apex_BxHxWxC), strict=True)
        flow = np.stack([farneback(*pair) for pair in pairs])
        flow -= np.median(flow, axis=(1, 2), keepdims=True)
        cells = flow.reshape(len(flow), grid, flow.shape[1] // grid, grid, -1, 2).mean((2, 4))
        return cells.reshape(len(flow), -1)

    return see


FEATURES = {"backbone": _backbone, "difference": _difference, "flow": _flow}
