"""BEiT (Bao et al., 2022): blocks are masked, and their visual tokens predicted from the others.

The encoder is μ-BERT's and reads a learnt token in the place of every masked patch; the masks are
those of Algorithm 1. What a patch's visual token is, a tokenizer says: DALL-E's, or one that learnt
from the same frames. Each pair gives one image, I_t.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

from mubert_jax import losses
from mubert_jax.config import Config, SwappingConfig
from mubert_jax.config_values import choice, path_or
from mubert_jax.errors import UserError
from mubert_jax.models.attention import BIASED
from mubert_jax.models.dense import Dense
from mubert_jax.models.images import normalise
from mubert_jax.models.micron_bert import MicronEncoder, compute_dtype
from mubert_jax.models.swapping import blockwise_mask
from mubert_jax.objectives import make_objective
from mubert_jax.objectives._masked import MaskedViews, OnEncoder
from mubert_jax.objectives._tokenizers import Tokenizer
from mubert_jax.training import flops
from mubert_jax.training.checkpoints import load_config, load_weights
from mubert_jax.training.objective import Metrics, Params
from mubert_jax.training.views import pair_keys


@dataclass(frozen=True)
class Options:
    """`tokenizer`: a run of `configs/baselines/vq_tokenizer.py`, or of DALL-E's encoder, as `mubert
    import` makes it. `mask_ratio`: share of the patches that are masked. `min_block`: patches of
    the smallest block. `position`: sincos, μ-BERT's, or relative, a bias of the attention that all
    blocks share, as Bao et al. have it. `layer_scale`: where LayerScale starts, 0.1 there; 0 for
    none.
    """

    tokenizer: str = path_or()
    mask_ratio: float = 0.4
    min_block: int = 16
    position: str = choice("sincos", "relative")
    layer_scale: float = 0.0


class BEiT(OnEncoder):
    """The cross-entropy of the masked patches' tokens; `extra` holds the tokenizer."""

    Options = Options
    panels = {
        "visual tokens of masked patches": {"tokens": "cross-entropy"},
        "tokens that are told": {"accuracy": "share of the masked patches"},
        "contextual token (0 = collapse)": {"contextual_std": "std over the batch"},
    }

    def __init__(self, config: Config):
        super().__init__(config)
        model, options = config.model, self.options
        masked = options.mask_ratio * model.num_patches
        if not 0 < options.mask_ratio < 1 or not 1 <= options.min_block <= masked:
            raise UserError(
                f"config.objective.options: mask_ratio {options.mask_ratio} must be between 0 and "
                f"1, and min_block {options.min_block} between 1 and the patches that are masked, "
                f"{masked:.0f}"
            )
        if options.position == "relative" and model.attention not in BIASED:
            raise UserError(
                "config.objective.options.position='relative' needs an attention that takes a "
                f"bias, and {model.attention!r} takes none: --config.model.attention="
                f"{' or '.join(BIASED)}"
            )
        relative = options.position == "relative"
        dtype = compute_dtype(model)
        self.encoder = MicronEncoder(model, dtype, relative, options.layer_scale)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer, which a training needs and a recognizer does not; `extra` has its weights.

        Raises:
          UserError: there is none, or it does not fit.
        """
        folder, model = self.options.tokenizer, self.config.model
        if not folder:
            raise UserError(
                "config.objective.options.tokenizer is empty; give a run of mubert pretrain "
                "--config=configs/baselines/vq_tokenizer.py, or of mubert import "
                "--input=encoder.pkl, DALL-E's"
            )
        config = load_config(Path(folder))
        tokenizer = make_objective(config)
        if not isinstance(tokenizer, Tokenizer):
            raise UserError(
                f"config.objective.options.tokenizer={folder} is a run of "
                f"{config.objective.name!r}; give one of configs/baselines/vq_tokenizer.py"
            )
        if tokenizer.side != model.patch_size:
            raise UserError(
                f"config.objective.options.tokenizer={folder} has patches of {tokenizer.side} "
                f"pixels, config.model.patch_size is {model.patch_size}"
            )
        return tokenizer

    @property
    def head(self) -> Dense:
        return Dense(self.tokenizer.vocabulary)

    def init(self, key: jax.Array) -> Params:
        of_encoder, of_head = jax.random.split(key)
        model = self.config.model
        images = jnp.zeros((1, model.image_size, model.image_size, 3))
        masked = jnp.zeros((1, model.num_patches), bool)
        encoder = self.encoder.init(of_encoder, images, masked_BxN=masked)["params"]
        return {
            "encoder": rescaled(dict(encoder)),
            "head": self.head.init(of_head, jnp.zeros((1, model.dim)))["params"],
        }

    def from_disk(self) -> dict:
        tokenizer = self.tokenizer
        _, weights = load_weights(Path(self.options.tokenizer))
        read = tokenizer.reads(weights.params, weights.extra)
        return {"tokenizer": jax.tree.map(np.asarray, read)}

    def views(self, key: jax.Array, batch: dict[str, jax.Array]) -> MaskedViews:
        keys, grid = pair_keys(key, batch["index"]), self.config.model.grid
        blocks = SwappingConfig(ratio=self.options.mask_ratio, min_block=self.options.min_block)
        masked = jax.vmap(lambda key: blockwise_mask(key, grid, blocks))(keys)
        return MaskedViews(normalise(batch["current"]), masked)

    def loss(
        self, params: Params, extra: dict, views: MaskedViews, progress: jax.Array
    ) -> tuple[jax.Array, tuple[Metrics, dict]]:
        encoder = self.encoder.bind({"params": params["encoder"]})
        encoded = encoder(views.images, masked_BxN=views.masked)
        logits = self.head.bind({"params": params["head"]})(encoded.tokens.astype(jnp.float32))
        token_BxN = self.tokenizer.tokens(extra["tokenizer"], views.images)
        error = optax.losses.softmax_cross_entropy_with_integer_labels(logits, token_BxN)
        error = jnp.mean(error, where=views.masked)
        told = jnp.mean(jnp.argmax(logits, axis=-1) == token_BxN, where=views.masked)
        std = losses.contextual_std(encoded.contextual_token)
        return error, ({"tokens": error, "accuracy": told, "contextual_std": std}, {})

    def to_take_away(self, params: Params, extra: dict) -> dict[str, np.ndarray]:
        if self.options.position != "sincos" or self.options.layer_scale:
            raise UserError(
                "a run of BEiT with config.objective.options.position='relative' or layer_scale is "
                "no plain Vision Transformer, and cannot be exported"
            )
        return super().to_take_away(params, extra)

    def flops_per_pair(self) -> float:
        model = self.config.model
        head = 2 * model.num_patches * model.dim * self.tokenizer.vocabulary
        tokens = self.tokenizer.flops_of_tokens(model.image_size)
        return 3 * (flops.encoder_flops(model, model.grid) + head) + tokens


def rescaled(encoder: Params) -> Params:
    """The encoder, what its i-th block adds starting 1/sqrt(2i) as large, as Bao et al. have it."""
    encoder = dict(encoder)
    for i in range(1, 1 + sum(name.startswith("blocks_") for name in encoder)):
        block = encoder[f"blocks_{i - 1}"]
        for part, layer in (("attn", "proj"), ("mlp", "fc2")):
            smaller = {
                **block[part][layer],
                "kernel": block[part][layer]["kernel"] / (2 * i) ** 0.5,
            }
            block = {**block, part: {**block[part], layer: smaller}}
        encoder[f"blocks_{i - 1}"] = block
    return encoder
