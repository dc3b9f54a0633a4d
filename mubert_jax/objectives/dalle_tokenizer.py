"""DALL-E's tokens (Ramesh et al., 2021), which BEiT as published predicts.

It is not pretrained here: `mubert import` takes the distributed encoder.pkl. At 224 pixels there
are 28 × 28 tokens of 8,192 kinds, one per patch of the paper.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from mubert_jax.config import Config
from mubert_jax.errors import UserError
from mubert_jax.models import dalle
from mubert_jax.objectives._tokenizers import Tokenizer
from mubert_jax.training.objective import Metrics, Params


@dataclass(frozen=True)
class Options(dalle.Sizes):
    """Sizes, those of the distributed weights by default."""


class DalleTokenizer(Tokenizer):
    """Weights from elsewhere; there is nothing to train them by."""

    Options = Options

    def __init__(self, config: Config):
        super().__init__(config)
        sizes = self.options
        smallest = min(sizes.width, sizes.groups, sizes.blocks, sizes.vocabulary)
        if smallest < 1 or sizes.width % dalle.EXPANSION:
            raise UserError(
                "config.objective.options: width, groups, blocks and vocabulary must be 1 or more, "
                f"and width a multiple of {dalle.EXPANSION}; they are {sizes.width}, "
                f"{sizes.groups}, {sizes.blocks} and {sizes.vocabulary}"
            )
        self.encoder = dalle.Encoder(self.options)

    def init(self, key: jax.Array) -> Params:
        side = self.config.model.image_size
        return {"encoder": self.encoder.init(key, jnp.zeros((1, side, side, 3)))["params"]}

    def views(self, key: jax.Array, batch: dict[str, jax.Array]) -> dict[str, jax.Array]:
        raise UserError(
            "config.objective.name='dalle_tokenizer' is not pretrained here; mubert import takes "
            "its weights, and config.objective.options.tokenizer of configs/baselines/beit.py "
            "that run"
        )

    def loss(
        self, params: Params, extra: dict, views: object, progress: jax.Array
    ) -> tuple[jax.Array, tuple[Metrics, dict]]:
        return jnp.zeros(()), ({}, {})

    def encode(self, params: Params, extra: dict, images: jax.Array) -> jax.Array:
        logits = self.encoder.bind({"params": params["encoder"]})(images)
        return logits.reshape(len(logits), -1, self.vocabulary)

    @property
    def vocabulary(self) -> int:
        return self.options.vocabulary

    @property
    def side(self) -> int:
        return self.options.stride

    def reads(self, params: Params, extra: dict) -> dict:
        return {"encoder": params["encoder"]}

    def tokens(self, read: dict, images: jax.Array) -> jax.Array:
        return dalle.tokens(self.encoder.bind({"params": read["encoder"]})(images))

    def flops_of_tokens(self, side: int) -> float:
        return dalle.flops(self.options, side)
