"""HTNet (Wang et al., 2024), a hierarchical transformer on crops at eyes and mouth; 139.6 M.

Each of its blocks holds one token at all three levels, so that its attention has nothing to attend
to: the softmax over one token is 1, whatever queries and keys are. What is left of a layer is two
residual branches per place, and that is how it is computed here.
"""

from dataclasses import dataclass

import flax.linen as nn
import jax
import jax.numpy as jnp

from mubert_jax.config import Config
from mubert_jax.errors import UserError
from mubert_jax.recognition.backbone import Backbone
from mubert_jax.recognition.networks._light import AdamNetwork, FlowOptions
from mubert_jax.recognition.networks._windows import Conv, max_pool

# Upper left corners (y, x) of the crops: eyes at 0.39 and mouth at 0.79 of the height of a face.
# Published are crops around detected landmarks, which a stored flow does not have.
CROPS = (((4, 1), (4, 13)), ((14, 3), (14, 11)))
CROP, PATCH = 14, 7
EPSILON = 1e-5
REFERENCE = """\
@misc{wang2023htnet,
  author = {Wang, Zhifeng and Zhang, Kaihao and Luo, Wenhan and Sankaranarayana, Ramesh},
  title = {{HTNet} for Micro-expression Recognition},
  howpublished = {arXiv:2307.14637},
  year = {2023},
}
"""


@dataclass(frozen=True)
class Options(FlowOptions):
    """What `config.recognition.options` may hold."""

    # Of the first level; each of the next two has twice as many dimensions and heads.
    dim: int = 256
    heads: int = 3
    # Layers of the three levels.
    repeats: tuple[int, int, int] = (2, 2, 10)
    # Whether queries and keys are there and computed, as published: 22 of the 139.6 M parameters,
    # which change nothing.
    attention: bool = False


class HTNet(AdamNetwork):
    """Trained by Adam at a constant rate."""

    Options = Options
    title = "HTNet"
    reference = REFERENCE
    published_as = ("HTNet",)

    def __init__(self, config: Config, backbone: Backbone | None = None):
        super().__init__(config, backbone)
        dim, heads = self.options.dim, self.options.heads
        if not 1 <= heads <= dim:
            raise UserError(
                f"config.recognition.options.heads is {heads}; choose 1 to options.dim, {dim}"
            )

    def module(self) -> nn.Module:
        options = self.options
        return Levels(options.dim, options.heads, options.repeats, self.classes, options.attention)


class Levels(nn.Module):
    """(maps (B, 28, 28, 3), train) -> logits (B, classes)."""

    dim: int
    heads: int
    repeats: tuple[int, int, int]
    classes: int
    attention: bool = False

    @nn.compact
    def __call__(self, maps: jax.Array, train: bool) -> jax.Array:
        x = nn.Dense(self.dim, name="patches")(patches(eyes_and_mouth(maps)))
        for level, layers in enumerate(self.repeats):
            dim, heads = self.dim * 2**level, self.heads * 2**level
            if level:
                x = nn.LayerNorm(EPSILON, name=f"norm{level}")(
                    Conv(dim, 3, 1, name=f"merge{level}")(x)
                )
                x = max_pool(x, 3, 2, 1)
            x = x + self.param(f"position{level}", nn.initializers.normal(1.0), (1,))
            for layer in range(layers):
                name = f"level{level}_{layer}"
                x = Layer(heads, dim // heads, self.attention, name=name)(x)
        x = jnp.mean(nn.LayerNorm(EPSILON, name="norm")(x), axis=(1, 2))
        return nn.Dense(self.classes, name="head")(x)


class Layer(nn.Module):
    """A pre-norm transformer layer whose sequences are single places: (B, H, W, C) likewise."""

    heads: int
    width: int
    attention: bool

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        dim, inner = x.shape[-1], self.heads * self.width
        y = nn.LayerNorm(EPSILON, name="before_attention")(x)
        if self.attention:
            split = (*x.shape[:-1], 1, self.heads, self.width)  # a sequence of one token per place
            query, key, value = (
                nn.Dense(inner, use_bias=False, name=name)(y).reshape(split)
                for name in ("query", "key", "value")
            )
            attended = nn.dot_product_attention(query, key, value).reshape(*x.shape[:-1], inner)
        else:
            attended = nn.Dense(inner, use_bias=False, name="value")(y)
        x = x + nn.Dense(dim, name="project")(attended)
        y = nn.Dense(4 * dim, name="expand")(nn.LayerNorm(EPSILON, name="before_mlp")(x))
        return x + nn.Dense(dim, name="contract")(nn.gelu(y, approximate=False))


def eyes_and_mouth(maps: jax.Array) -> jax.Array:
    """Crops of 14 × 14 at the eyes, above, and the corners of the mouth, tiled: (B, 28, 28, 3)."""
    rows = [
        jnp.concatenate([maps[:, y : y + CROP, x : x + CROP] for y, x in row], axis=2)
        for row in CROPS
    ]
    return jnp.concatenate(rows, axis=1)


def patches(images: jax.Array) -> jax.Array:
    """(B, 28, 28, 3) -> (B, 4, 4, 147)."""
    batch, side = len(images), images.shape[1] // PATCH
    split = images.reshape(batch, side, PATCH, side, PATCH, -1).swapaxes(2, 3)
    return split.reshape(batch, side, side, -1)
