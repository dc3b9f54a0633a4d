"""MAE (He et al., 2022): three quarters of the patches are dropped, and predicted from the others.

The encoder is μ-BERT's and reads the patches that are left; the decoder is as large as μ-BERT's.
Each pair gives one image, I_t. The row "MAE" of Table 6.
"""

from dataclasses import dataclass
from functools import partial

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp

from mubert_jax import losses
from mubert_jax.config import Config, ModelConfig
from mubert_jax.errors import UserError
from mubert_jax.models import vit
from mubert_jax.models.dense import Dense
from mubert_jax.models.images import normalise
from mubert_jax.models.micron_bert import compute_dtype, reconstructed
from mubert_jax.objectives._masked import OnEncoder
from mubert_jax.training import flops
from mubert_jax.training.objective import Metrics, Params
from mubert_jax.training.views import pair_keys

# Added to the variance of a patch, as in the paper's code.
_EPSILON = 1e-6


@dataclass(frozen=True)
class Options:
    """`mask_ratio`: share of the patches that are dropped. `normalise`: whether a patch's pixels
    are told less their mean and over their deviation.
    """

    mask_ratio: float = 0.75
    normalise: bool = True


@flax.struct.dataclass
class Views:
    """Normalised images (B, H, W, 3), and a random order of the patches (B, N)."""

    images: jax.Array
    order: jax.Array


class MaskedDecoder(nn.Module):
    """Tokens of the K patches that come first in an order -> all patches, (B, N, ps²·3) float32.

    A learnt token stands for each of the others; every token has its position.
    """

    config: ModelConfig
    dtype: jnp.dtype

    @nn.compact
    def __call__(
        self, contextual_token_BxD: jax.Array, tokens_BxKxD: jax.Array, order_BxN: jax.Array
    ) -> jax.Array:
        config, decoder = self.config, self.config.decoder
        read = jnp.concatenate([contextual_token_BxD[:, None], tokens_BxKxD], axis=1)
        x = Dense(decoder.dim, dtype=self.dtype, name="embed")(read)
        mask = self.param("mask_token", nn.initializers.normal(0.02), (decoder.dim,))
        batch, number = order_BxN.shape
        dropped = number - tokens_BxKxD.shape[1]
        masks = jnp.broadcast_to(mask.astype(self.dtype), (batch, dropped, decoder.dim))
        in_order = jnp.concatenate([x[:, 1:], masks], axis=1)
        back = jnp.argsort(order_BxN, axis=1)
        patches = jnp.take_along_axis(in_order, back[..., None], axis=1)
        patches += vit.sincos_positions(config.grid, decoder.dim).astype(self.dtype)
        x = jnp.concatenate([x[:, :1], patches], axis=1)
        return reconstructed(x, config, self.dtype)[:, 1:]


class MAE(OnEncoder):
    """The mean square error over the patches that were dropped."""

    Options = Options
    panels = {
        "reconstruction": {"reconstruction": "MSE of dropped patches"},
        "contextual token (0 = collapse)": {"contextual_std": "std over the batch"},
    }

    def __init__(self, config: Config):
        super().__init__(config)
        model = config.model
        if not 0 < self.options.mask_ratio < 1:
            raise UserError(
                f"config.objective.options.mask_ratio is {self.options.mask_ratio}; it must be "
                "between 0 and 1"
            )
        self.kept = max(1, round(model.num_patches * (1 - self.options.mask_ratio)))
        self.decoder = MaskedDecoder(model, compute_dtype(model))

    def init(self, key: jax.Array) -> Params:
        of_encoder, of_decoder = jax.random.split(key)
        model = self.config.model
        images = jnp.zeros((1, model.image_size, model.image_size, 3))
        order = jnp.arange(model.num_patches)[None]
        kept = order[:, : self.kept]
        encoder = self.encoder.init(of_encoder, images, kept)["params"]
        encoded = self.encoder.bind({"params": encoder})(images, kept)
        decoder = self.decoder.init(of_decoder, encoded.contextual_token, encoded.tokens, order)
        return {"encoder": encoder, "decoder": decoder["params"]}

    def views(self, key: jax.Array, batch: dict[str, jax.Array]) -> Views:
        draw = partial(jax.random.permutation, x=self.config.model.num_patches)
        return Views(normalise(batch["current"]), jax.vmap(draw)(pair_keys(key, batch["index"])))

    def loss(
        self, params: Params, extra: dict, views: Views, progress: jax.Array
    ) -> tuple[jax.Array, tuple[Metrics, dict]]:
        encoder = self.encoder.bind({"params": params["encoder"]})
        decoder = self.decoder.bind({"params": params["decoder"]})
        encoded = encoder(views.images, views.order[:, : self.kept])
        told = decoder(encoded.contextual_token, encoded.tokens, views.order)
        patches = vit.patchify(views.images, self.config.model.patch_size)
        if self.options.normalise:
            mean, variance = (f(patches, axis=-1, keepdims=True) for f in (jnp.mean, jnp.var))
            patches = (patches - mean) * jax.lax.rsqrt(variance + _EPSILON)
        dropped = views.order[:, self.kept :, None]
        of_dropped = (jnp.take_along_axis(x, dropped, axis=1) for x in (told, patches))
        error = losses.reconstruction(*of_dropped)
        std = losses.contextual_std(encoded.contextual_token)
        return error, ({"reconstruction": error, "contextual_std": std}, {})

    def flops_per_pair(self) -> float:
        model = self.config.model
        return 3 * (flops.encoder_flops_of(model, self.kept) + flops.decoder_flops(model))
