"""A checksum that detects damage to saved arrays: Orbax's files carry none for their data."""

from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def checksum(tree: Any) -> int:
    """32 bits that change with any one bit of any array, but not with sharding or precision.

    The bits of each value, as float32 or uint32, are weighted by odd numbers that depend on its
    position and summed modulo 2**32: an integer sum is the same in any order. A pod computes it
    where the arrays are; a single process computes it on the host, which needs no compilation.
    """
    leaves = jax.tree.leaves(tree)
    if jax.process_count() > 1:
        return int(_on_devices(leaves))
    return sum((2 * i + 1) * int(_sum(np.asarray(x), np)) for i, x in enumerate(leaves)) % 2**32


@jax.jit
def _on_devices(leaves: list[jax.Array]):
    sums = [jnp.uint32(2 * i + 1) * _sum(leaf, jnp) for i, leaf in enumerate(leaves)]
    return sum(sums, jnp.uint32(0))


def _sum(array: jax.Array | np.ndarray, xp: ModuleType):
    """The weighted sum by `xp`, which is NumPy or jax.numpy."""
    if jnp.issubdtype(array.dtype, jnp.floating):
        bits = array.astype(xp.float32).view(xp.uint32)
    else:
        bits = array.astype(xp.uint32)
    weights = 2 * xp.arange(array.size, dtype=xp.uint32).reshape(array.shape) + 1
    return xp.sum(bits * weights, dtype=xp.uint32)
