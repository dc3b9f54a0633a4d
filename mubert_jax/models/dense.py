"""The linear layer of transformers, computed as each kind of device does it without copies."""

import math
from collections.abc import Callable, Sequence
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.dtypes import promote_dtype


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
        multiply = partial(_products, axes=self.axes)
        if activation := self.activation:
            multiply = jax.checkpoint(lambda x, kernel: _products(activation(x), kernel, self.axes))
        products = multiply(x, kernel.reshape(*read, count, *given))
        return [x + b for x, b in zip(products, bias.reshape(count, *given), strict=True)]


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
