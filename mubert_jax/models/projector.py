"""The DINO head: contextual token -> prototypes, used only by the `dino` agreement."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from mubert_jax.config import DinoConfig
from mubert_jax.models.vit import gelu

# As in PyTorch's `F.normalize`, which DINO's head uses.
SMALLEST_NORM = 1e-12


class Projector(nn.Module):
    """MLP D -> hidden -> hidden -> bottleneck, L2-normalised, then a weight-normed linear layer."""

    config: DinoConfig

    @nn.compact
    def __call__(self, x_BxD: jax.Array) -> jax.Array:
        """(..., D) -> (..., output_dim) float32 logits."""
        sizes = (self.config.hidden_dim, self.config.hidden_dim, self.config.bottleneck_dim)
        initial = nn.initializers.lecun_normal()
        x = x_BxD.astype(jnp.float32)
        for i, size in enumerate(sizes):
            x = gelu(x) if i else x
            x = nn.Dense(size, kernel_init=initial, name=f"mlp_{i}")(x)
        shape = (self.config.bottleneck_dim, self.config.output_dim)
        # Its scale is of no account: `unit` removes it.
        direction = self.param("prototypes", nn.initializers.normal(0.02), shape)
        return unit(x) @ unit(direction, axis=0)


def unit(x: jax.Array, axis: int = -1) -> jax.Array:
    """x scaled to length 1; 0 stays 0, with gradient 0."""
    squared = jnp.sum(jnp.square(x), axis=axis, keepdims=True)
    return x / jnp.sqrt(jnp.maximum(squared, SMALLEST_NORM**2))
