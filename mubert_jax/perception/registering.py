"""Which pixels a registration listens to: the middle of the frame, or what POI looks at."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mubert_jax.data.alignment import face_ellipse
from mubert_jax.models.images import normalise
from mubert_jax.models.micron_bert import MicronBert
from mubert_jax.perception.focus import focus
from mubert_jax.registration import box_of, register
from mubert_jax.training.objective import Params

# The power of what POI looks at, by which a pixel counts. At 1, the third of a face that POI looks
# at most decides alone, and few pixels make a noisy fit; at 0, the whole frame does. Chosen on
# synthetic people that are neither trained nor tested on.
EVENNESS = 0.5
# Pairs that are registered at a time by themselves: more take more memory, and are hardly faster.
BATCH = 8


def without_interest(align: str) -> str:
    """The registration of frames that several models share, or states of one: none by their POI."""
    return "robust" if align == "poi" else align


def by_ellipse(onset_BxHxWx3: jax.Array, apex_BxHxWx3: jax.Array) -> jax.Array:
    """Each apex as `alignment.align_robust` registers it to its onset; all uint8."""
    batch, height, width, _ = onset_BxHxWx3.shape
    face_HxW = face_ellipse((height, width))
    weights_BxHxW = jnp.broadcast_to(face_HxW, (batch, height, width))
    # In frames of a few pixels the ellipse holds none, and nothing can be registered.
    box = box_of(face_HxW) if face_HxW.any() else None
    return _levels(register(apex_BxHxWx3, onset_BxHxWx3, weights_BxHxW, box)[0])


def by_interest(
    onset_BxHxWx3: jax.Array, apex_BxHxWx3: jax.Array, scores_BxN: jax.Array
) -> jax.Array:
    """Each apex registered to its onset where POI looks in the onset; frames are uint8.

    Args:
      scores_BxN: S of the onset, eq. (11); it is focused, evened out and resized to pixels.
    """
    batch, height, width, _ = onset_BxHxWx3.shape
    grid = round(scores_BxN.shape[1] ** 0.5)
    looked_at = focus(scores_BxN).reshape(batch, grid, grid)
    weights_BxHxW = jax.image.resize(looked_at**EVENNESS, (batch, height, width), "linear")
    return _levels(register(apex_BxHxWx3, onset_BxHxWx3, weights_BxHxW)[0])


def _levels(images: jax.Array):
    return jnp.clip(jnp.round(images), 0, 255).astype(jnp.uint8)


class ByInterest:
    """Registers frames by the POI of a trained model, for those who do not look through it.

    A comparison gives every method the same frames.
    """

    def __init__(self, model: MicronBert, params: Params):
        self._model, self._params = model, params

    def __call__(self, onset_PxHxWx3: np.ndarray, apex_PxHxWx3: np.ndarray) -> np.ndarray:
        """The apexes, registered; uint8 RGB, `image_size` square."""
        found = []
        for start in range(0, len(onset_PxHxWx3), BATCH):
            part = slice(start, start + BATCH)
            pair = onset_PxHxWx3[part], apex_PxHxWx3[part]
            found.append(np.asarray(_by_interest(self._model, self._params, *pair)))
        return np.concatenate(found)


@functools.partial(jax.jit, static_argnums=0)
def _by_interest(model: MicronBert, params: Params, onset: jax.Array, apex: jax.Array):
    seen: Any = model.apply({"params": params}, normalise(onset), method="encode")
    return by_interest(onset, apex, seen.poi_scores)
