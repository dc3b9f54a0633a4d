"""SimMIM (Xie et al., 2022): squares are masked, and their pixels predicted from the others.

Unlike MAE's, the encoder reads a learnt token in the place of every masked patch. Encoder and
decoder are μ-BERT's; each pair gives one image, I_t.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from mubert_jax import losses
from mubert_jax.config import Config
from mubert_jax.errors import UserError
from mubert_jax.models.images import normalise
from mubert_jax.models.micron_bert import MicronDecoder, compute_dtype
from mubert_jax.models.vit import patchify
from mubert_jax.objectives._masked import MaskedViews, OnEncoder
from mubert_jax.training import flops
from mubert_jax.training.objective import Metrics, Params
from mubert_jax.training.views import pair_keys


@dataclass(frozen=True)
class Options:
    """`mask_ratio`: share of the squares that are masked. `side`: patches along a square's side."""

    mask_ratio: float = 0.6
    side: int = 4


def masked_squares(key: jax.Array, grid: int, options: Options) -> jax.Array:
    """(N,) boolean; squares that reach beyond the last patches are cut off there."""
    side = -(-grid // options.side)
    count = max(1, round(options.mask_ratio * side**2))
    squares = jax.random.permutation(key, side**2).reshape(side, side) < count
    patches = squares.repeat(options.side, axis=0).repeat(options.side, axis=1)
    return patches[:grid, :grid].reshape(-1)


class SimMIM(OnEncoder):
    """The mean absolute error over the masked patches."""

    Options = Options
    panels = {
        "reconstruction": {"reconstruction": "mean absolute error of masked patches"},
        "contextual token (0 = collapse)": {"contextual_std": "std over the batch"},
    }

    def __init__(self, config: Config):
        super().__init__(config)
        model = config.model
        if not 0 < self.options.mask_ratio < 1 or not 1 <= self.options.side <= model.grid:
            raise UserError(
                f"config.objective.options: mask_ratio {self.options.mask_ratio} must be between 0 "
                f"and 1, side {self.options.side} between 1 and the {model.grid} patches of a side"
            )
        self.decoder = MicronDecoder(model, compute_dtype(model))

    def init(self, key: jax.Array) -> Params:
        of_encoder, of_decoder = jax.random.split(key)
        model = self.config.model
        images = jnp.zeros((1, model.image_size, model.image_size, 3))
        masked = jnp.zeros((1, model.num_patches), bool)
        encoder = self.encoder.init(of_encoder, images, masked_BxN=masked)["params"]
        tokens = jnp.zeros((1, model.num_patches, model.dim))
        return {"encoder": encoder, "decoder": self.decoder.init(of_decoder, tokens)["params"]}

    def views(self, key: jax.Array, batch: dict[str, jax.Array]) -> MaskedViews:
        keys, grid = pair_keys(key, batch["index"]), self.config.model.grid
        masked = jax.vmap(lambda key: masked_squares(key, grid, self.options))(keys)
        return MaskedViews(normalise(batch["current"]), masked)

    def loss(
        self, params: Params, extra: dict, views: MaskedViews, progress: jax.Array
    ) -> tuple[jax.Array, tuple[Metrics, dict]]:
        encoder = self.encoder.bind({"params": params["encoder"]})
        encoded = encoder(views.images, masked_BxN=views.masked)
        told = self.decoder.bind({"params": params["decoder"]})(encoded.tokens)
        patches = patchify(views.images, self.config.model.patch_size)
        error = jnp.mean(jnp.abs(told - patches), where=views.masked[..., None])
        std = losses.contextual_std(encoded.contextual_token)
        return error, ({"reconstruction": error, "contextual_std": std}, {})

    def flops_per_pair(self) -> float:
        model = self.config.model
        return 3 * (flops.encoder_flops(model, model.grid) + flops.decoder_flops(model))
