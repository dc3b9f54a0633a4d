"""Softmax attention, one implementation a backend.

Every implementation takes q, k, v of shape (B, L, h, d), scales by d^-1/2, takes the softmax in
float32 and returns (B, L, h, d).
"""

import functools

import jax
import jax.numpy as jnp


def attend(q_BxLxhxd, k_BxLxhxd, v_BxLxhxd, implementation: str = "auto"):
    """softmax(q kᵀ / sqrt(d)) v; `implementation` is a `config.model.attention` value."""
    if implementation == "auto":
        implementation = _fastest(q_BxLxhxd.dtype)
    return _IMPLEMENTATIONS[implementation](q_BxLxhxd, k_BxLxhxd, v_BxLxhxd)


def _fastest(dtype):
    backend = jax.default_backend()
    if backend == "cpu":
        return "explicit"
    if backend == "gpu" and dtype == jnp.bfloat16:
        return "cudnn"
    return "xla"


def _explicit(q, k, v):
    q, k, v = (x.transpose(0, 2, 1, 3) for x in (q, k, v))
    logits = jnp.einsum("bhqd,bhkd->bhqk", q, k, preferred_element_type=jnp.float32)
    weights = jax.nn.softmax(logits * q.shape[-1] ** -0.5).astype(v.dtype)
    return jnp.einsum("bhqk,bhkd->bhqd", weights, v).transpose(0, 2, 1, 3)


def _mapped(q, k, v):
    """One (L, L) array at a time, made again in the backward pass instead of kept.

    Saves memory on one device; mapping over sequences would gather those of several.
    """
    b, length, h, d = q.shape

    @jax.checkpoint
    def one(qkv):
        q_Lxd, k_Lxd, v_Lxd = qkv
        logits = jnp.dot(q_Lxd, k_Lxd.T, preferred_element_type=jnp.float32)
        return jax.nn.softmax(logits * d**-0.5).astype(v_Lxd.dtype) @ v_Lxd

    heads_first = tuple(x.transpose(0, 2, 1, 3).reshape(b * h, length, d) for x in (q, k, v))
    out = jax.lax.map(one, heads_first)
    return out.reshape(b, h, length, d).transpose(0, 2, 1, 3)


_IMPLEMENTATIONS = {
    "explicit": _explicit,
    "mapped": _mapped,
    "xla": functools.partial(jax.nn.dot_product_attention, implementation="xla"),
    "cudnn": functools.partial(jax.nn.dot_product_attention, implementation="cudnn"),
}
