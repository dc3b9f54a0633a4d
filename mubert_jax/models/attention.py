"""Softmax attention, one implementation per backend.

Every implementation takes q, k, v of shape (B, L, h, d), scales by d^-1/2, takes the softmax in
float32 and returns (B, L, h, d). Some take a bias of the logits, (h, L, L), too: `BIASED`.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
from jax.experimental.pallas.ops.tpu import splash_attention
from jax.sharding import AbstractMesh, AxisType, Mesh, PartitionSpec

# A TPU's registers are 128 numbers wide: splash attention takes blocks of a multiple. Up to
# `ONE_BLOCK` tokens, such as the paper's 785, are one; more come in blocks of `BLOCK`.
LANES, ONE_BLOCK, BLOCK = 128, 1024, 512


@dataclass(frozen=True)
class Implementation:
    """`attend` takes q, k, v, the number of tokens that are not padding and, of those in `BIASED`,
    a bias; `takes` is the length that a number of tokens is to be padded to.
    """

    attend: Callable[..., jax.Array]
    takes: Callable[[int], int]


def padded_length(length: int, implementation: str) -> int:
    """The least L that an implementation takes for a number of tokens."""
    return IMPLEMENTATIONS[implementation].takes(length)


def attend(
    q_BxLxhxd: jax.Array,
    k_BxLxhxd: jax.Array,
    v_BxLxhxd: jax.Array,
    implementation: str,
    length: int | None = None,
    bias_hxLxL: jax.Array | None = None,
) -> jax.Array:
    """softmax(q kᵀ / sqrt(d) + bias) v; `implementation` is a key of `IMPLEMENTATIONS`.

    With a bias it is one of `BIASED`.

    Only the first `length` tokens are meant, all by default. The others are padding, up to a length
    that the implementation takes: nothing attends to them, and their rows of the result are of no
    meaning.
    """
    length = q_BxLxhxd.shape[1] if length is None else length
    bias = () if bias_hxLxL is None else (bias_hxLxL,)
    return IMPLEMENTATIONS[implementation].attend(q_BxLxhxd, k_BxLxhxd, v_BxLxhxd, length, *bias)


def _explicit(q: jax.Array, k: jax.Array, v: jax.Array, length: int, bias: jax.Array | float = 0.0):
    q, k, v = (x.transpose(0, 2, 1, 3) for x in (q, k, v))
    logits = jnp.einsum("bhqd,bhkd->bhqk", q, k, preferred_element_type=jnp.float32)
    weights = jax.nn.softmax(logits * q.shape[-1] ** -0.5 + bias).astype(v.dtype)
    return jnp.einsum("bhqk,bhkd->bhqd", weights, v).transpose(0, 2, 1, 3)


def _mapped(q: jax.Array, k: jax.Array, v: jax.Array, length: int):
    """One (L, L) array at a time, recomputed in the backward pass instead of kept.

    Saves memory on one device; mapping over sequences would gather those of several.
    """
    b, _, h, d = q.shape

    @jax.checkpoint
    def one(qkv: tuple[jax.Array, jax.Array, jax.Array]):
        q_Lxd, k_Lxd, v_Lxd = qkv
        logits = jnp.dot(q_Lxd, k_Lxd.T, preferred_element_type=jnp.float32)
        return jax.nn.softmax(logits * d**-0.5).astype(v_Lxd.dtype) @ v_Lxd

    heads_first = tuple(x.transpose(0, 2, 1, 3).reshape(b * h, length, d) for x in (q, k, v))
    out = jax.lax.map(one, heads_first)
    return out.reshape(b, h, length, d).transpose(0, 2, 1, 3)


def _xla(q: jax.Array, k: jax.Array, v: jax.Array, length: int, bias: jax.Array | None = None):
    if bias is None:
        return fused(q, k, v, length, "xla")
    bias = bias[None].astype(q.dtype)
    return jax.nn.dot_product_attention(q, k, v, bias, implementation="xla")


def fused(
    q: jax.Array, k: jax.Array, v: jax.Array, length: int, implementation: Literal["xla", "cudnn"]
) -> jax.Array:
    """`jax.nn.dot_product_attention`, which masks the padding by the lengths of the sequences."""
    if length == q.shape[1]:
        return jax.nn.dot_product_attention(q, k, v, implementation=implementation)
    # Always `length`, but computed from q: under `vmap` and on a mesh, JAX's cuDNN call needs it
    # split over rows as q is.
    length_B = jnp.where(jnp.isnan(q[:, 0, 0, 0]), length, length).astype(jnp.int32)
    return jax.nn.dot_product_attention(
        q,
        k,
        v,
        query_seq_lengths=length_B,
        key_value_seq_lengths=length_B,
        implementation=implementation,
    )


def splash(
    q: jax.Array, k: jax.Array, v: jax.Array, length: int, interpret: bool = False
) -> jax.Array:
    """JAX's Pallas kernel for TPUs, which keeps no (L, L) array.

    XLA cannot split a kernel over devices: on a mesh each device computes its own images and heads.
    `interpret` runs the kernel on any device, for tests.
    """
    own = functools.partial(_splash, length=length, interpret=interpret)
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty or AxisType.Manual in mesh.axis_types:
        return own(q, k, v)
    split = split_over(mesh, q.shape[2])
    return jax.shard_map(own, in_specs=(split,) * 3, out_specs=split, check_vma=False)(q, k, v)


def split_over(mesh: AbstractMesh | Mesh, heads: int) -> PartitionSpec:
    """How (B, L, h, d) lies on a mesh: images over data and fsdp, heads over tensor if they can."""
    tensor = "tensor" if heads % mesh.shape["tensor"] == 0 else None
    return PartitionSpec(("data", "fsdp"), None, tensor, None)


def _splash(q: jax.Array, k: jax.Array, v: jax.Array, length: int, interpret: bool):
    _, padded, heads, size = q.shape
    block = padded if padded <= ONE_BLOCK else BLOCK
    kernel = splash_attention.make_splash_mha_single_device(
        splash_attention.MultiHeadMask([splash_attention.FullMask((padded, padded))] * heads),
        block_sizes=splash_attention.BlockSizes(
            block_q=block,
            block_kv=block,
            block_q_dkv=block,
            block_kv_dkv=block,
            block_kv_dkv_compute=block,
            use_fused_bwd_kernel=True,
        ),
        interpret=interpret,
    )
    # Tokens attend to those of their own segment: the padding to itself.
    segment = (jnp.arange(padded) >= length).astype(jnp.int32)
    segments = splash_attention.SegmentIds(segment, segment)
    q, k, v = (x.transpose(0, 2, 1, 3) for x in (q * size**-0.5, k, v))
    out = jax.vmap(kernel, in_axes=(0, 0, 0, None))(q, k, v, segments)
    return jnp.asarray(out).transpose(0, 2, 1, 3)


def _blocks(length: int):
    multiple = LANES if length <= ONE_BLOCK else BLOCK
    return -(-length // multiple) * multiple


def _as_it_is(length: int):
    return length


def _even(length: int):
    """JAX differentiates cuDNN's attention only at even lengths."""
    return length + length % 2


IMPLEMENTATIONS = {
    "explicit": Implementation(_explicit, _as_it_is),
    "mapped": Implementation(_mapped, _as_it_is),
    "xla": Implementation(_xla, _as_it_is),
    "cudnn": Implementation(functools.partial(fused, implementation="cudnn"), _even),
    "splash": Implementation(splash, _blocks),
}
# Those that take a bias of the logits.
BIASED = ("explicit", "xla")
