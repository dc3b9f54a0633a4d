"""Softmax attention, one implementation per backend.

Every implementation takes q, k, v of shape (B, L, h, d), scales by d^-1/2, takes the softmax in
float32 and returns (B, L, h, d).
"""

import functools
from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp


def attend(
    q_BxLxhxd: jax.Array, k_BxLxhxd: jax.Array, v_BxLxhxd: jax.Array, implementation: str
) -> jax.Array:
    """softmax(q kᵀ / sqrt(d)) v; `implementation` is a key of `IMPLEMENTATIONS`."""
    return IMPLEMENTATIONS[implementation](q_BxLxhxd, k_BxLxhxd, v_BxLxhxd)


def _explicit(q: jax.Array, k: jax.Array, v: jax.Array):
    q, k, v = (x.transpose(0, 2, 1, 3) for x in (q, k, v))
    logits = jnp.einsum("bhqd,bhkd->bhqk", q, k, preferred_element_type=jnp.float32)
    weights = jax.nn.softmax(logits * q.shape[-1] ** -0.5).astype(v.dtype)
    return jnp.einsum("bhqk,bhkd->bhqd", weights, v).transpose(0, 2, 1, 3)


def _mapped(q: jax.Array, k: jax.Array, v: jax.Array):
    """One (L, L) array at a time, recomputed in the backward pass instead of kept.

    Saves memory on one device; mapping over sequences would gather those of several.
    """
    b, length, h, d = q.shape

    @jax.checkpoint
    def one(qkv: tuple[jax.Array, jax.Array, jax.Array]):
        q_Lxd, k_Lxd, v_Lxd = qkv
        logits = jnp.dot(q_Lxd, k_Lxd.T, preferred_element_type=jnp.float32)
        return jax.nn.softmax(logits * d**-0.5).astype(v_Lxd.dtype) @ v_Lxd

    heads_first = tuple(x.transpose(0, 2, 1, 3).reshape(b * h, length, d) for x in (q, k, v))
    out = jax.lax.map(one, heads_first)
    return out.reshape(b, h, length, d).transpose(0, 2, 1, 3)


def with_even_length(
    q: jax.Array, k: jax.Array, v: jax.Array, implementation: Literal["xla", "cudnn"]
) -> jax.Array:
    """`jax.nn.dot_product_attention` over L tokens, padded with a masked one where L is odd.

    JAX differentiates cuDNN's attention only at even lengths.
    """
    length = q.shape[1]
    if length % 2 == 0:
        return jax.nn.dot_product_attention(q, k, v, implementation=implementation)
    # Always `length`, but computed from q: under `vmap` and on a mesh, JAX's cuDNN call needs it
    # split over rows as q is.
    length_B = jnp.where(jnp.isnan(q[:, 0, 0, 0]), length, length).astype(jnp.int32)
    q, k, v = (jnp.pad(x, ((0, 0), (0, 1), (0, 0), (0, 0))) for x in (q, k, v))
    out = jax.nn.dot_product_attention(
        q,
        k,
        v,
        query_seq_lengths=length_B,
        key_value_seq_lengths=length_B,
        implementation=implementation,
    )
    return out[:, :length]


IMPLEMENTATIONS: dict[str, Callable[[jax.Array, jax.Array, jax.Array], jax.Array]] = {
    "explicit": _explicit,
    "mapped": _mapped,
    "xla": functools.partial(jax.nn.dot_product_attention, implementation="xla"),
    "cudnn": functools.partial(with_even_length, implementation="cudnn"),
}
