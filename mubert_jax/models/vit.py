"""The transformer that encoder and decoder share: patches, positions, attention, block.

Shapes: B images, H×W pixels, C channels, N patches, L tokens (N, or N + 1 with the contextual
token), D dimensions, h heads, d = D / h.
"""

import math
from collections.abc import Callable, Sequence
from typing import Literal, overload

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.linen.dtypes import promote_dtype

from mubert_jax.models.attention import attend, padded_length

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


class Dense(nn.Module):
    """A linear layer from the last `axes` axes of its input to `features`, of one axis or several.

    The kernel is a matrix in either case, Xavier-uniform at the start. The layer reads what
    `activation` makes of its input; the backward pass makes it again and keeps the input alone.
    """

    features: int | tuple[int, ...]
    axes: int = 1
    activation: Callable[[jax.Array], jax.Array] | None = None
    dtype: jnp.dtype | None = None
    kernel_init: nn.initializers.Initializer = nn.initializers.xavier_uniform()

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.parts(x, 1)[0]

    @nn.compact
    def parts(self, x: jax.Array, count: int) -> Sequence[jax.Array]:
        """The outputs of `count` layers that are stored as one, side by side."""
        read, given = x.shape[-self.axes :], self.features
        given = (given,) if isinstance(given, int) else given
        wide = count * math.prod(given)
        kernel = self.param("kernel", self.kernel_init, (math.prod(read), wide))
        bias = self.param("bias", nn.initializers.zeros, (wide,))
        x, kernel, bias = promote_dtype(x, kernel, bias, dtype=self.dtype)
        products = self._activated_products(x, kernel.reshape(*read, count, *given))
        return [x + b for x, b in zip(products, bias.reshape(count, *given), strict=True)]


    def _activated_products(self, x: jax.Array, kernel: jax.Array):
        if self.activation is None:
            return _products(x, kernel, self.axes)
        return jax.checkpoint(lambda x, kernel: _products(self.activation(x), kernel, self.axes))(
            x, kernel
        )


def _products(x: jax.Array, kernel: jax.Array, axes: int):
    """The last `axes` axes of x times the first of a kernel, whose next axis is taken apart.

    For tokens in several dimensions XLA's CPU compiler copies a transpose for each weight gradient.
    An accelerator's memory is in tiles: to make one matrix of tokens, or to take one apart, is a
    copy there.
    """
    read, count, given = kernel.shape[:axes], kernel.shape[axes], kernel.shape[axes + 1 :]

    def as_one_matrix(x: jax.Array, kernel: jax.Array):
        rows = x.reshape(-1, math.prod(read)) @ kernel.reshape(math.prod(read), -1)
        whole = rows.reshape(*x.shape[:-axes], count, *given)
        return [jax.lax.index_in_dim(whole, i, x.ndim - axes, keepdims=False) for i in range(count)]

    def apart(x: jax.Array, kernel: jax.Array):
        own = (jax.lax.index_in_dim(kernel, i, axes, keepdims=False) for i in range(count))
        return [jnp.tensordot(x, part, axes) for part in own]

    return jax.lax.platform_dependent(x, kernel, cpu=as_one_matrix, default=apart)


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
        _, length, dim = x_BxLxD.shape
        padding = padded_length(length, self.attention) - length
        x_BxLxD = jnp.pad(x_BxLxD, ((0, 0), (0, padding), (0, 0)))
        split = self.heads, dim // self.heads
        q_BxLxhxd, k_BxLxhxd, v_BxLxhxd = Dense(split, dtype=self.dtype, name="qkv").parts(
            x_BxLxD, 3
        )
        out = attend(q_BxLxhxd, k_BxLxhxd, v_BxLxhxd, self.attention, length)
        out = Dense(dim, axes=2, dtype=self.dtype, name="proj")(out)[:, :length]
        if not contextual_row:
            return out, None
        logits_Bxhxl = jnp.einsum(
            "bhd,blhd->bhl", q_BxLxhxd[:, 0], k_BxLxhxd, preferred_element_type=jnp.float32
        )[..., :length]
        return out, jax.nn.softmax(logits_Bxhxl * (dim // self.heads) ** -0.5)


class MLP(nn.Module):
    hidden: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x_BxLxD: jax.Array) -> jax.Array:
        x = Dense(self.hidden, dtype=self.dtype, name="fc1")(x_BxLxD)
        dim = x_BxLxD.shape[-1]
        return Dense(dim, activation=gelu, dtype=self.dtype, name="fc2")(x)


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
