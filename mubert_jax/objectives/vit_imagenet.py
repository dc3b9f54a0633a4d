"""A Vision Transformer of ImageNet (Dosovitskiy et al., 2021): the row "ViT-S" of Table 6.

It is not pretrained here: `mubert import` takes the weights of AugReg (.npz), timm or DeiT. Its
encoder can be probed and fine-tuned like that of any objective.
"""

from dataclasses import dataclass

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from mubert_jax.config import Config
from mubert_jax.errors import UserError
from mubert_jax.models import timm, vit
from mubert_jax.models.dense import Dense
from mubert_jax.models.images import IMAGENET_MEAN, IMAGENET_STD
from mubert_jax.models.micron_bert import compute_dtype
from mubert_jax.training.objective import Metrics, Objective, Params


@dataclass(frozen=True)
class Options:
    """Sizes, those of ViT-S/16 at 224 pixels by default.

    `centred`: whether it was trained on pixels from -1 to 1, as AugReg's are, and not on pixels
    that are standardised as usual on ImageNet, as DeiT's are.
    """

    dim: int = 384
    depth: int = 12
    heads: int = 6
    patch_size: int = 16
    grid: int = 14
    centred: bool = True


class Encoder(nn.Module):
    """Normalised images (B, H, W, 3) -> tokens after the last norm, the class token first.

    Learnt positions are resampled to the images' grid.
    """

    options: Options
    attention: str
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, images_BxHxWxC: jax.Array) -> jax.Array:
        options = self.options
        if options.centred:
            images_BxHxWxC = (images_BxHxWxC * IMAGENET_STD + IMAGENET_MEAN - 0.5) / 0.5
        patches = vit.patchify(images_BxHxWxC, options.patch_size).astype(self.dtype)
        x = Dense(options.dim, dtype=self.dtype, name="patch_embed")(patches)
        positions = self.param("pos_embed", nn.initializers.normal(0.02), self._positions)
        token = self.param("cls_token", nn.initializers.normal(0.02), (1, options.dim))
        token = jnp.broadcast_to(token + positions[:1], (len(x), 1, options.dim))
        grid = images_BxHxWxC.shape[1] // options.patch_size
        places = resampled(positions[1:], options.grid, grid)
        x = jnp.concatenate([token.astype(self.dtype), x + places.astype(self.dtype)], axis=1)
        for i in range(options.depth):
            block = vit.Block(options.heads, 4.0, self.attention, self.dtype, name=f"blocks_{i}")
            x, _ = block(x, False)
        return vit.layer_norm(self.dtype, "norm")(x)

    @property
    def _positions(self) -> tuple[int, int]:
        return 1 + self.options.grid**2, self.options.dim


def resampled(positions_NxD: jax.Array, grid: int, wanted: int) -> jax.Array:
    """Positions of a grid of patches for another grid, bicubically: (wanted², D)."""
    if wanted == grid:
        return positions_NxD
    dim = positions_NxD.shape[-1]
    places = positions_NxD.reshape(grid, grid, dim)
    return jax.image.resize(places, (wanted, wanted, dim), "bicubic").reshape(-1, dim)


class ImageNetViT(Objective):
    """Weights from elsewhere; there is nothing to train them by."""

    Options = Options
    layout = timm.LAYOUT

    def __init__(self, config: Config):
        super().__init__(config)
        model = config.model
        if model.image_size % self.options.patch_size:
            raise UserError(
                f"config.model.image_size is {model.image_size}, no multiple of "
                f"config.objective.options.patch_size, {self.options.patch_size}"
            )
        if self.options.heads < 1 or self.options.dim % self.options.heads:
            raise UserError(
                f"config.objective.options: dim {self.options.dim} is no multiple of heads, "
                f"{self.options.heads}"
            )
        self.encoder = Encoder(self.options, model.attention, compute_dtype(model))

    def init(self, key: jax.Array) -> Params:
        side = self.config.model.image_size
        return {"encoder": self.encoder.init(key, jnp.zeros((1, side, side, 3)))["params"]}

    def views(self, key: jax.Array, batch: dict[str, jax.Array]) -> dict[str, jax.Array]:
        raise UserError(
            "config.objective.name='vit_imagenet' is not pretrained here; mubert import takes its "
            "weights, and mubert finetune --config=configs/finetune_encoder.py goes on from them"
        )

    def loss(
        self, params: Params, extra: dict, views: object, progress: jax.Array
    ) -> tuple[jax.Array, tuple[Metrics, dict]]:
        return jnp.zeros(()), ({}, {})

    def encode(self, params: Params, extra: dict, images: jax.Array) -> jax.Array:
        return self.encoder.bind({"params": params["encoder"]})(images)[:, 1:]

    def to_take_away(self, params: Params, extra: dict) -> dict[str, np.ndarray]:
        return timm.state_dict(params["encoder"])
