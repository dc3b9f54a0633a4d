"""Diagonal Micro-Attention (DMA), section 4.5: what a patch sees of itself in the other frame."""

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp

from mubert_jax.config import DMAConfig
from mubert_jax.models.attention import attend


@flax.struct.dataclass
class DMAOutput:
    """`diagonal` (B, N) in [0, 1], None for cross-attention; `features` P_dma (B, N, D)."""

    diagonal: jax.Array | None
    features: jax.Array


def diagonal_attention(q_BxNxD, k_BxNxD, chunk: int):
    """diag(Â) of eq. (8): exp(s_ii - logsumexp_k s_ik), s = q kᵀ / sqrt(D); (B, N) float32.

    Rows of s are made `chunk` at a time, and made again in the backward pass: no (N, N) array is
    ever kept.
    """
    b, n, dim = q_BxNxD.shape
    scale = dim**-0.5
    s_BxN = jnp.einsum("bnd,bnd->bn", q_BxNxD, k_BxNxD, preferred_element_type=jnp.float32) * scale

    @jax.checkpoint
    def logsumexp(rows_Bxrxd):
        logits = jnp.einsum("brd,bnd->brn", rows_Bxrxd, k_BxNxD, preferred_element_type=jnp.float32)
        return jax.nn.logsumexp(logits * scale, axis=-1)

    count = -(-n // chunk)
    padded = jnp.pad(q_BxNxD, ((0, 0), (0, count * chunk - n), (0, 0)))
    rows_cxBxrxD = padded.reshape(b, count, chunk, dim).swapaxes(0, 1)
    lse_BxN = jax.lax.map(logsumexp, rows_cxBxrxD).swapaxes(0, 1).reshape(b, -1)[:, :n]
    return jnp.exp(s_BxN - lse_BxN)


def calibrated_difference(q_current, k_current, q_reference, k_reference):
    """m_i = [q_i·k_i(t,t) + q_i·k_i(r,r) - q_i·k_i(t,r) - q_i·k_i(r,t)] / sqrt(D), (B, N).

    The four products are one: (q(t) - q(r)) · (k(t) - k(r)). It is 0 for equal frames whatever the
    weights, and the squared distance of the two tokens where Q and K are one projection.
    """
    dim = q_current.shape[-1]
    return jnp.einsum(
        "bnd,bnd->bn",
        (q_current - q_reference).astype(jnp.float32),
        (k_current - k_reference).astype(jnp.float32),
    ) * (dim**-0.5)


class DiagonalMicroAttention(nn.Module):
    """P_dma = W × V(P_{t/s}): W = diag(Â) in eq. (9), diag(Â) × S in eq. (12).

    q reads the swapped tokens, k the reference's; the softmax runs over the reference's patches.
    """

    config: DMAConfig
    dim: int
    dtype: jnp.dtype

    def setup(self):
        xavier = nn.initializers.xavier_uniform()
        similarity = _scaled_identity(self.config.similarity_logit)
        comparing = similarity if self.config.initial == "similarity" else xavier
        self.to_q = nn.Dense(self.dim, dtype=self.dtype, kernel_init=comparing)
        if self.config.projection == "separate":
            self.to_k = nn.Dense(self.dim, dtype=self.dtype, kernel_init=comparing)
        self.to_v = nn.Dense(self.dim, dtype=self.dtype, kernel_init=xavier)
        if self.config.output_projection:
            self.proj = nn.Dense(self.dim, dtype=self.dtype, kernel_init=xavier)

    def queries(self, tokens_BxNxD):
        return self.to_q(tokens_BxNxD)

    def keys(self, tokens_BxNxD):
        shared = self.config.projection == "shared"
        return self.to_q(tokens_BxNxD) if shared else self.to_k(tokens_BxNxD)

    def __call__(self, swapped_BxNxD, reference_BxNxD, interest_BxN=None) -> DMAOutput:
        """`interest_BxN` is S at the scale it is to weigh with; None leaves W = diag(Â)."""
        q_BxNxD, k_BxNxD = self.queries(swapped_BxNxD), self.keys(reference_BxNxD)
        v_BxNxD = self.to_v(swapped_BxNxD)
        if self.config.kind == "cross":
            diagonal_BxN = None
            single_head = (x[:, :, None] for x in (q_BxNxD, k_BxNxD, v_BxNxD))
            features_BxNxD = attend(*single_head, "explicit")[:, :, 0]
        else:
            diagonal_BxN = diagonal_attention(q_BxNxD, k_BxNxD, self.config.chunk)
            weights_BxN = diagonal_BxN if interest_BxN is None else diagonal_BxN * interest_BxN
            features_BxNxD = weights_BxN[..., None].astype(self.dtype) * v_BxNxD
        if self.config.output_projection:
            features_BxNxD = self.proj(features_BxNxD)
        return DMAOutput(diagonal_BxN, features_BxNxD)


def _scaled_identity(logit):
    """a·I such that a layer-normed token (|x|² = D) has the logit `logit` with itself."""

    def initialise(key, shape, dtype=jnp.float32):
        del key
        return jnp.eye(*shape, dtype=dtype) * (logit / shape[0] ** 0.5) ** 0.5

    return initialise
