"""The transformer that encoder and decoder share: patches, positions, attention, block.

Shapes: B images, H×W pixels, C channels, N patches, L tokens (N, or N + 1 with the contextual
token), D dimensions, h heads, d = D / h.
"""

from typing import Literal, overload

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from mubert_jax.models.attention import attend

# As in the official code.
NORM_EPSILON = 1e-6


def patchify(images_BxHxWxC: jax.Array, patch_size: int) -> jax.Array:
    """Eq. (1): (B, H, W, C) -> (B, N, ps²·C), rows first; a patch is (row, column, channel)."""
    b, height, width, c = images_BxHxWxC.shape
    rows, columns = height // patch_size, width // patch_size
    x = images_BxHxWxC.reshape(b, rows, patch_size, columns, patch_size, c)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(b, rows * columns, patch_size**2 * c)


def unpatchify(patches_BxNxP: jax.Array, patch_size: int) -> jax.Array:
    """Eq. (6): the inverse of `patchify` for square images."""
    b, n, p = patches_BxNxP.shape
    grid, c = round(n**0.5), p // patch_size**2
    x = patches_BxNxP.reshape(b, grid, grid, patch_size, patch_size, c)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(b, grid * patch_size, grid * patch_size, c)


def sincos_positions(grid: int, dim: int) -> np.ndarray:
    """e(i) of eq. (2): fixed 2-D sin-cos positions, (grid², dim) float32, the width half first."""
    # The base 10000 is that of "Attention Is All You Need", section 3.5.
    frequencies = 1.0 / 10000 ** (np.arange(dim // 4) / (dim / 4))

    def encode(coordinates: np.ndarray):
        angles = np.outer(coordinates, frequencies)
        return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)

    rows, columns = np.divmod(np.arange(grid**2), grid)
    return np.concatenate([encode(columns), encode(rows)], axis=1).astype(np.float32)


class Dense(nn.Dense):
    """`nn.Dense` with Xavier-uniform weights, over all tokens of a batch as one matrix.

    For tokens in three dimensions, XLA's CPU compiler copies a transpose for each weight gradient.
    """

    kernel_init: nn.initializers.Initializer = nn.initializers.xavier_uniform()

    def __call__(self, inputs: jax.Array) -> jax.Array:
        rows = super().__call__(inputs.reshape(-1, inputs.shape[-1]))
        return rows.reshape(*inputs.shape[:-1], self.features)


def gelu(x: jax.Array) -> jax.Array:
    """x Φ(x) by erf, as in PyTorch, in float32; `nn.gelu`'s erfc reads x three times."""
    wide = x.astype(jnp.float32)
    return (wide * 0.5 * (1 + jax.lax.erf(wide * 2**-0.5))).astype(x.dtype)


def layer_norm(dtype: jnp.dtype, name: str | None) -> nn.LayerNorm:
    return nn.LayerNorm(epsilon=NORM_EPSILON, dtype=dtype, name=name)


class SelfAttention(nn.Module):
    """Multi-head self-attention (MHA of eq. 3); also gives the contextual token's row.

    Returns the (B, L, D) output and, if `contextual_row`, the (B, h, L) attention of token 0,
    computed from that one query so that the rest may be fused.
    """

    heads: int
    attention: str
    dtype: jnp.dtype

    @overload
    def __call__(
        self, x_BxLxD: jax.Array, contextual_row: Literal[False] = False
    ) -> tuple[jax.Array, None]: ...

    @overload
    def __call__(
        self, x_BxLxD: jax.Array, contextual_row: Literal[True]
    ) -> tuple[jax.Array, jax.Array]: ...

    @nn.compact
    def __call__(
        self, x_BxLxD: jax.Array, contextual_row: bool = False
    ) -> tuple[jax.Array, jax.Array | None]:
        b, length, dim = x_BxLxD.shape
        qkv = Dense(3 * dim, dtype=self.dtype, name="qkv")(x_BxLxD)
        qkv = qkv.reshape(b, length, 3, self.heads, dim // self.heads)
        q_BxLxhxd, k_BxLxhxd, v_BxLxhxd = qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2]
        out = attend(q_BxLxhxd, k_BxLxhxd, v_BxLxhxd, self.attention)
        out = Dense(dim, dtype=self.dtype, name="proj")(out.reshape(b, length, dim))
        if not contextual_row:
            return out, None
        logits_Bxhxl = jnp.einsum(
            "bhd,blhd->bhl", q_BxLxhxd[:, 0], k_BxLxhxd, preferred_element_type=jnp.float32
        )
        return out, jax.nn.softmax(logits_Bxhxl * (dim // self.heads) ** -0.5)


class MLP(nn.Module):
    hidden: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x_BxLxD: jax.Array) -> jax.Array:
        x = Dense(self.hidden, dtype=self.dtype, name="fc1")(x_BxLxD)
        x = gelu(x)
        return Dense(x_BxLxD.shape[-1], dtype=self.dtype, name="fc2")(x)


class Block(nn.Module):
    """One pre-LN transformer block, eq. (3); returns what `SelfAttention` does."""

    heads: int
    mlp_ratio: float
    attention: str
    dtype: jnp.dtype

    @overload
    def __call__(
        self, x_BxLxD: jax.Array, contextual_row: Literal[False] = False
    ) -> tuple[jax.Array, None]: ...

    @overload
    def __call__(
        self, x_BxLxD: jax.Array, contextual_row: Literal[True]
    ) -> tuple[jax.Array, jax.Array]: ...

    @nn.compact
    def __call__(
        self, x_BxLxD: jax.Array, contextual_row: bool = False
    ) -> tuple[jax.Array, jax.Array | None]:
        attention = SelfAttention(self.heads, self.attention, self.dtype, name="attn")
        out, row_Bxhxl = attention(layer_norm(self.dtype, "norm1")(x_BxLxD), contextual_row)
        x_BxLxD = x_BxLxD + out
        hidden = round(x_BxLxD.shape[-1] * self.mlp_ratio)
        mlp = MLP(hidden, self.dtype, name="mlp")
        return x_BxLxD + mlp(layer_norm(self.dtype, "norm2")(x_BxLxD)), row_Bxhxl


def block(remat: bool) -> type[Block]:
    """`Block`, or with `remat` one that keeps only its input for the backward pass."""
    contextual_row = 2
    return nn.remat(Block, static_argnums=(contextual_row,)) if remat else Block
