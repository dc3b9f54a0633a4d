"""The transformer that encoder and decoder share: patches, positions, attention, block.

Shapes: B images, H×W pixels, C channels, N patches, L tokens (N, or N + 1 with the contextual
token), D dimensions, h heads, d = D / h.
"""

from typing import Literal, overload

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from mubert_jax.models.attention import attend, padded_length
from mubert_jax.models.dense import Dense

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


def relative_positions(grid: int) -> np.ndarray:
    """Which entry of a table says how two tokens lie to each other, (1 + N, 1 + N) int32.

    There are (2·grid - 1)² displacements of one patch to another, and behind them an entry each for
    the contextual token with a patch, a patch with it, and itself with itself, as in BEiT.
    """
    rows, columns = np.divmod(np.arange(grid**2), grid)
    down, right = (x[:, None] - x[None] + grid - 1 for x in (rows, columns))
    side = 2 * grid - 1
    index = np.zeros((1 + grid**2,) * 2, np.int32)
    index[1:, 1:] = down * side + right
    index[0], index[:, 0], index[0, 0] = side**2, side**2 + 1, side**2 + 2
    return index


class RelativeBias(nn.Module):
    """A learnt bias of the attention's logits per head and displacement, (h, 1 + N, 1 + N)."""

    grid: int
    heads: int

    @nn.compact
    def __call__(self) -> jax.Array:
        shape = (2 * self.grid - 1) ** 2 + 3, self.heads
        table = self.param("table", nn.initializers.zeros, shape)
        return table[relative_positions(self.grid)].transpose(2, 0, 1)


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
        self,
        x_BxLxD: jax.Array,
        contextual_row: Literal[False] = False,
        bias_hxLxL: jax.Array | None = None,
    ) -> tuple[jax.Array, None]: ...

    @overload
    def __call__(
        self,
        x_BxLxD: jax.Array,
        contextual_row: Literal[True],
        bias_hxLxL: jax.Array | None = None,
    ) -> tuple[jax.Array, jax.Array]: ...

    @nn.compact
    def __call__(
        self,
        x_BxLxD: jax.Array,
        contextual_row: bool = False,
        bias_hxLxL: jax.Array | None = None,
    ) -> tuple[jax.Array, jax.Array | None]:
        _, length, dim = x_BxLxD.shape
        padding = padded_length(length, self.attention) - length
        x_BxLxD = jnp.pad(x_BxLxD, ((0, 0), (0, padding), (0, 0)))
        split = self.heads, dim // self.heads
        q_BxLxhxd, k_BxLxhxd, v_BxLxhxd = Dense(split, dtype=self.dtype, name="qkv").parts(
            x_BxLxD, 3
        )
        out = attend(q_BxLxhxd, k_BxLxhxd, v_BxLxhxd, self.attention, length, bias_hxLxL)
        out = Dense(dim, axes=2, dtype=self.dtype, name="proj")(out)[:, :length]
        if not contextual_row:
            return out, None
        logits_Bxhxl = jnp.einsum(
            "bhd,blhd->bhl", q_BxLxhxd[:, 0], k_BxLxhxd, preferred_element_type=jnp.float32
        )[..., :length]
        of_row = 0.0 if bias_hxLxL is None else bias_hxLxL[:, 0]
        return out, jax.nn.softmax(logits_Bxhxl * (dim // self.heads) ** -0.5 + of_row)


class MLP(nn.Module):
    hidden: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x_BxLxD: jax.Array) -> jax.Array:
        x = Dense(self.hidden, dtype=self.dtype, name="fc1")(x_BxLxD)
        dim = x_BxLxD.shape[-1]
        return Dense(dim, activation=gelu, dtype=self.dtype, name="fc2")(x)


class Block(nn.Module):
    """One pre-LN transformer block, eq. (3); returns what `SelfAttention` does.

    With a `layer_scale` above 0, what a residual branch gives is times a learnt factor per channel
    that starts there (LayerScale, Touvron et al., 2021).
    """

    heads: int
    mlp_ratio: float
    attention: str
    dtype: jnp.dtype
    layer_scale: float = 0.0

    @overload
    def __call__(
        self,
        x_BxLxD: jax.Array,
        contextual_row: Literal[False] = False,
        bias_hxLxL: jax.Array | None = None,
    ) -> tuple[jax.Array, None]: ...

    @overload
    def __call__(
        self,
        x_BxLxD: jax.Array,
        contextual_row: Literal[True],
        bias_hxLxL: jax.Array | None = None,
    ) -> tuple[jax.Array, jax.Array]: ...

    @nn.compact
    def __call__(
        self,
        x_BxLxD: jax.Array,
        contextual_row: bool = False,
        bias_hxLxL: jax.Array | None = None,
    ) -> tuple[jax.Array, jax.Array | None]:
        attention = SelfAttention(self.heads, self.attention, self.dtype, name="attn")
        out, row_Bxhxl = attention(
            layer_norm(self.dtype, "norm1")(x_BxLxD), contextual_row, bias_hxLxL
        )
        x_BxLxD = x_BxLxD + self._scaled(out, "scale1")
        hidden = round(x_BxLxD.shape[-1] * self.mlp_ratio)
        mlp = MLP(hidden, self.dtype, name="mlp")
        out = mlp(layer_norm(self.dtype, "norm2")(x_BxLxD))
        return x_BxLxD + self._scaled(out, "scale2"), row_Bxhxl

    def _scaled(self, out: jax.Array, name: str):
        if not self.layer_scale:
            return out
        start = nn.initializers.constant(self.layer_scale)
        return out * self.param(name, start, (out.shape[-1],)).astype(self.dtype)


def block(remat: bool) -> type[Block]:
    """`Block`, or with `remat` one that keeps only its input for the backward pass."""
    contextual_row = 2
    return nn.remat(Block, static_argnums=(contextual_row,)) if remat else Block
