"""What a frozen backbone says of labelled pairs, or subtraction: once, for the heads of all folds."""

import jax
import jax.numpy as jnp
import numpy as np

from mubert_jax.config import RecognitionConfig
from mubert_jax.models.micron_bert import MicronBert
from mubert_jax.recognition.augment import augmented
from mubert_jax.training.views import normalise

BATCH = 16


def describe(
    model: MicronBert, params: dict, onset, apex, config: RecognitionConfig, seed: int
) -> np.ndarray:
    """Features (1 + copies, P, F): of the pairs as they are, then of augmented copies.

    Args:
      onset, apex: (P, H, W, 3) uint8.
      seed: draws the augmentations; a copy depends on (seed, its number, the pair) alone.
    """

    see = {"backbone": _backbone, "difference": _difference}[config.features](model, params)

    def of_pair(key, copy, onset, apex):
        changed = augmented(jax.random.fold_in(key, copy), onset, apex, config)
        frames = (onset.astype(jnp.float32), apex.astype(jnp.float32))
        return tuple(jnp.where(copy > 0, a, b) for a, b in zip(changed, frames, strict=True))

    @jax.jit
    def of_batch(keys, copy, onset, apex):
        onset, apex = jax.vmap(of_pair, (0, None, 0, 0))(keys, copy, onset, apex)
        return model.apply({"params": params}, normalise(onset), normalise(apex), method="describe")

    keys = jax.random.split(jax.random.key(seed), len(onset))
    found = []
    for copy in range(1 + config.copies):
        for start in range(0, len(onset), BATCH):
            rows = np.arange(start, start + BATCH) % len(onset)
            part = of_batch(keys[rows], copy, onset[rows], apex[rows])
            found.append(np.asarray(part)[: len(onset) - start])
    return np.concatenate(found).reshape(1 + config.copies, len(onset), -1)
