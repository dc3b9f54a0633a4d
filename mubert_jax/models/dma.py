"""Diagonal Micro-Attention (DMA), section 4.5: what a patch sees of itself in the other frame."""

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp

from mubert_jax.config import DMAConfig
from mubert_jax.models.attention import attend
from mubert_jax.models.dense import Dense
from mubert_jax.models.displacement import displacement

# The slope of `motion_log_odds` over log m, and how many times the noise has even odds. A steeper
# slope leaves fewer patches undecided; a higher floor overlooks more noise and more weak movements.
SHARPNESS = 1.6
FLOOR = 3.0


@flax.struct.dataclass
class DMAOutput:
    """`weights` W (B, N), None for cross-attention; `features` P_dma (B, N, D).

    `diagonal` (B, N) in [0, 1] is diag(Â), None where it is not what W is made of.
    """

    diagonal: jax.Array | None
    weights: jax.Array | None
    features: jax.Array


def diagonal_attention(q_BxNxD: jax.Array, k_BxNxD: jax.Array, chunk: int) -> jax.Array:
    """diag(Â) of eq. (8): exp(s_ii - logsumexp_k s_ik), s = q kᵀ / sqrt(D); (B, N) float32.

    Rows of s are computed `chunk` at a time, and again in the backward pass: no (N, N) array is
    ever kept.
    """
    b, n, dim = q_BxNxD.shape
    scale = dim**-0.5
    s_BxN = jnp.einsum("bnd,bnd->bn", q_BxNxD, k_BxNxD, preferred_element_type=jnp.float32) * scale

    @jax.checkpoint
    def logsumexp(rows_Bxrxd: jax.Array):
        logits = jnp.einsum("brd,bnd->brn", rows_Bxrxd, k_BxNxD, preferred_element_type=jnp.float32)
        return jax.nn.logsumexp(logits * scale, axis=-1)

    count = -(-n // chunk)
    padded = jnp.pad(q_BxNxD, ((0, 0), (0, count * chunk - n), (0, 0)))
    rows_cxBxrxD = padded.reshape(b, count, chunk, dim).swapaxes(0, 1)
    lse_BxN = jax.lax.map(logsumexp, rows_cxBxrxD).swapaxes(0, 1).reshape(b, -1)[:, :n]
    return jnp.exp(s_BxN - lse_BxN)


def calibrated_difference(
    q_current: jax.Array, k_current: jax.Array, q_reference: jax.Array, k_reference: jax.Array
) -> jax.Array:
    """m_i = [q_i·k_i(t,t) + q_i·k_i(r,r) - q_i·k_i(t,r) - q_i·k_i(r,t)] / sqrt(D), (B, N).

    The four products are one: (q(t) - q(r)) · (k(t) - k(r)). It is 0 for equal frames whatever the
    weights; where Q and K are one projection, it is the squared distance of the projected tokens.
    """
    dim = q_current.shape[-1]
    return jnp.einsum(
        "bnd,bnd->bn",
        (q_current - q_reference).astype(jnp.float32),
        (k_current - k_reference).astype(jnp.float32),
    ) * (dim**-0.5)


def motion_log_odds(map_BxN: jax.Array, noise_Bx1: jax.Array | None = None) -> jax.Array:
    """Log-odds that a patch moved, (B, N), from the calibrated map; beyond the paper.

    The odds are even at m = 1 + `FLOOR` · noise, where the noise is the map's median unless
    `noise_Bx1` is given.
    """
    if noise_Bx1 is None:
        noise_Bx1 = jnp.median(map_BxN, axis=-1, keepdims=True)
    # 1e-4 keeps the logarithm finite where m is 0.
    return SHARPNESS * jnp.log(jnp.maximum(map_BxN, 0) / (1 + FLOOR * noise_Bx1) + 1e-4)


class DiagonalMicroAttention(nn.Module):
    """P_dma = W × V(P_{t/s}): W = diag(Â) in eq. (9), diag(Â) × S in eq. (12).

    q reads the swapped frame, k the reference; the softmax runs over the reference's patches. Both
    read tokens (B, N, D), or images (B, H, W, C) where `config.reads` is "pixels".
    """

    config: DMAConfig
    dim: int
    patch_size: int
    dtype: jnp.dtype

    log_odds = staticmethod(motion_log_odds)

    def setup(self) -> None:
        # W_q and W_k start equal, so that similar windows have similar q and k.
        start = self.make_rng("params") if self.is_initializing() else None
        self.to_q = self._comparing(start)
        if self.config.projection == "separate":
            self.to_k = self._comparing(start)
        self.to_v = Dense(self.dim, dtype=self.dtype)
        if self.config.output_projection:
            self.proj = Dense(self.dim, dtype=self.dtype)

    def _comparing(self, start: jax.Array | None):
        """W_q or W_k; `start` is the key for a similarity start."""
        similar = self.config.initial == "similarity"
        if self.config.reads == "tokens":
            identity = _scaled_identity(self.config.similarity_logit)
            initial = identity if similar else nn.initializers.xavier_uniform()
            return Dense(self.dim, dtype=self.dtype, kernel_init=initial)
        side, stride = self.config.window, self.patch_size
        # float32 throughout: a product in bfloat16 (a TPU's default) or TF32 (a GPU's) would round
        # a micro-movement away.
        return nn.Conv(
            self.dim,
            (side, side),
            (stride, stride),
            padding=(side - stride) // 2,
            precision=jax.lax.Precision.HIGHEST,
            kernel_init=_drawn_from(start) if similar else nn.initializers.lecun_normal(),
        )

    def queries(self, compared: jax.Array) -> jax.Array:
        return _flat(self.to_q(compared))

    def keys(self, compared: jax.Array) -> jax.Array:
        shared = self.config.projection == "shared"
        return self.queries(compared) if shared else _flat(self.to_k(compared))

    def difference(self, current: jax.Array, reference: jax.Array) -> jax.Array:
        """The calibrated map m (B, N) of what is compared; 0 for equal frames."""
        return calibrated_difference(
            self.queries(current), self.keys(current), self.queries(reference), self.keys(reference)
        )

    def displacement(self, current_BxHxWxC: jax.Array, reference_BxHxWxC: jax.Array) -> jax.Array:
        """How far each patch moved, (B, N, 2) pixels to the right and down; 0 for equal frames."""
        return displacement(self.queries, current_BxHxWxC, reference_BxHxWxC)

    def __call__(
        self,
        swapped: jax.Array,
        reference: jax.Array,
        tokens_BxNxD: jax.Array,
        interest_BxN: jax.Array | None = None,
    ) -> DMAOutput:
        """DMA of two frames.

        Args:
          swapped, reference: The tokens or images to compare.
          tokens_BxNxD: P_{t/s}, which V reads.
          interest_BxN: S, scaled as it enters W; None leaves W = diag(Â).
        """
        q_BxNxD, k_BxNxD = self.queries(swapped), self.keys(reference)
        v_BxNxD = self.to_v(tokens_BxNxD)
        if self.config.kind == "cross":
            diagonal_BxN = weights_BxN = None
            q, k, v = (x[:, :, None] for x in (q_BxNxD, k_BxNxD, v_BxNxD))
            features_BxNxD = attend(q, k, v, "explicit")[:, :, 0]
        else:
            diagonal_BxN = diagonal_attention(q_BxNxD, k_BxNxD, self.config.chunk)
            weights_BxN = diagonal_BxN if interest_BxN is None else diagonal_BxN * interest_BxN
            features_BxNxD = weights_BxN[..., None].astype(self.dtype) * v_BxNxD
        if self.config.output_projection:
            features_BxNxD = self.proj(features_BxNxD)
        return DMAOutput(diagonal_BxN, weights_BxN, features_BxNxD)


def _flat(x: jax.Array):
    """(B, rows, columns, D) -> (B, N, D)."""
    return x.reshape(x.shape[0], -1, x.shape[-1])


def _drawn_from(start: jax.Array | None):
    """LeCun's normal initializer with the key `start`, or with the parameter's own if it is None.

    It is None only where the parameters exist already and Flax asks for their shapes.
    """

    def initialise(
        key: jax.Array, shape: tuple[int, ...], dtype: jax.typing.DTypeLike = jnp.float32
    ):
        return nn.initializers.lecun_normal()(key if start is None else start, shape, dtype)

    return initialise


def _scaled_identity(logit: float):
    """a·I such that a layer-normed token (|x|² = D) has the logit `logit` with itself."""

    def initialise(
        key: jax.Array, shape: tuple[int, ...], dtype: jax.typing.DTypeLike = jnp.float32
    ):
        del key
        return jnp.eye(*shape, dtype=dtype) * (logit / shape[0] ** 0.5) ** 0.5

    return initialise
