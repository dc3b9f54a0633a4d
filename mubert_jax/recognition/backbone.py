"""What a recognizer is built on: a pretrained Micron-BERT, or the encoder of another objective."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp

from mubert_jax.models.images import normalise
from mubert_jax.models.micron_bert import MicronBert
from mubert_jax.perception.emotions import cell_means
from mubert_jax.training.objective import Params

# Cells along a side over which the change of tokens is averaged: more tell places apart better, and
# leave a linear layer more to learn from the same few clips.
TOKEN_CELLS = 4


@dataclass(frozen=True, eq=False)
class Encoder:
    """The encoder that an objective pretrained: its `encode`, and what this reads."""

    encode: Callable[[Params, dict, jax.Array], jax.Array]
    params: Params
    extra: dict
    # What tells it from another with the same weights: the objective and its options.
    said: str = ""

    def token_change(
        self, params: Params, extra: dict, onset: jax.Array, apex: jax.Array
    ) -> jax.Array:
        """The apex's tokens less the onset's, averaged over cells: (B, `TOKEN_CELLS`² · D).

        Args:
          params, extra: The encoder's weights and statistics, its own or others of their shapes.
          onset, apex: normalised images (B, H, W, 3).
        """
        both = jnp.concatenate([apex, onset])
        tokens_2BxNxD = self.encode({"encoder": params}, extra, both).astype(jnp.float32)
        change_BxNxD = jnp.subtract(*jnp.split(tokens_2BxNxD, 2))
        batch, number, dim = change_BxNxD.shape
        grid = math.isqrt(number)
        return cell_means(change_BxNxD.reshape(batch, grid, grid, dim), TOKEN_CELLS)


@dataclass(frozen=True, eq=False)
class Backbone:
    """A pretrained Micron-BERT whose recognizer is fresh.

    `other` is the encoder of another objective in its place; model and parameters then serve for
    sizes alone.
    """

    model: MicronBert
    params: Params
    other: Encoder | None = None

    @cached_property
    def encoder(self) -> Encoder:
        """That of the other objective, or Micron-BERT's own."""

        def encode(params: Params, extra: dict, images: jax.Array) -> jax.Array:
            return self.model.bind({"params": params}).encode(images).tokens

        return self.other or Encoder(encode, self.params["encoder"], {})


@partial(jax.jit, static_argnames="model")
def features(
    model: MicronBert, params: Params, onset_BxHxWxC: jax.Array, apex_BxHxWxC: jax.Array
) -> jax.Array:
    """The input (B, F) of the recognizer's linear layer, for frames in levels of 255."""
    frames = normalise(onset_BxHxWxC), normalise(apex_BxHxWxC)
    found: Any = model.apply({"params": params}, *frames, method="forward_features")
    return found
