"""ResNet-50 and -101 (He et al., 2016), with the stride in the 3×3 convolution ("v1.5").

Batch statistics are those of the whole batch, over all devices: a mean over an array that is split
is one mean. In evaluation the running statistics, the collection `batch_stats`, take their place.
"""

from collections.abc import Sequence
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

# Blocks of each of the four stages.
DEPTHS = {"resnet50": (3, 4, 6, 3), "resnet101": (3, 4, 23, 3)}
# Channels of the 3×3 convolutions of the stages; a block gives four times as many.
WIDTHS = (64, 128, 256, 512)
EXPANSION = 4
# Channels of what a ResNet gives.
FEATURES = WIDTHS[-1] * EXPANSION
# As in PyTorch, whose momentum of 0.1 is the share of the new statistics.
NORM_EPSILON, NORM_MOMENTUM = 1e-5, 0.9

_conv_init = nn.initializers.variance_scaling(2.0, "fan_out", "normal")


class Bottleneck(nn.Module):
    """1×1, 3×3 and 1×1 convolutions beside a shortcut: (B, H, W, C) -> (B, H/s, W/s, 4·width).

    A fresh block is its shortcut, as MoCo v3 starts it: the last norm's scale is 0.
    """

    width: int
    stride: int
    train: bool
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        conv = partial(_conv, dtype=self.dtype)
        norm = partial(_norm, train=self.train, dtype=self.dtype)
        out = EXPANSION * self.width
        y = nn.relu(norm("bn1")(conv(self.width, 1, 1, "conv1")(x)))
        y = nn.relu(norm("bn2")(conv(self.width, 3, self.stride, "conv2")(y)))
        y = norm("bn3", scale_init=nn.initializers.zeros)(conv(out, 1, 1, "conv3")(y))
        if x.shape[-1] != out or self.stride != 1:
            x = norm("downsample_bn")(conv(out, 1, self.stride, "downsample_conv")(x))
        return nn.relu(x + y)


class ResNet(nn.Module):
    """Normalised images (B, H, W, 3) -> features (B, H/32, W/32, 2048).

    `depths` is one of `DEPTHS`. With `train` the batch's statistics are used, and the running ones
    change; `apply` then needs `mutable=["batch_stats"]`.
    """

    depths: Sequence[int]
    dtype: jnp.dtype = jnp.dtype("float32")

    @nn.compact
    def __call__(self, images: jax.Array, train: bool = False) -> jax.Array:
        x = _conv(64, 7, 2, "conv1", self.dtype)(images.astype(self.dtype))
        x = nn.relu(_norm("bn1", train, self.dtype)(x))
        x = nn.max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1)))
        for stage, (width, depth) in enumerate(zip(WIDTHS, self.depths, strict=True), 1):
            for i in range(depth):
                stride = 2 if stage > 1 and i == 0 else 1
                block = Bottleneck(width, stride, train, self.dtype, name=f"layer{stage}_{i}")
                x = block(x)
        return x.astype(jnp.float32)


def _conv(width: int, side: int, stride: int, name: str, dtype: jnp.dtype):
    padding = ((side // 2, side // 2),) * 2
    return nn.Conv(
        width,
        (side, side),
        (stride, stride),
        padding,
        use_bias=False,
        kernel_init=_conv_init,
        dtype=dtype,
        name=name,
    )


def _norm(
    name: str,
    train: bool,
    dtype: jnp.dtype,
    scale_init: nn.initializers.Initializer = nn.initializers.ones,
):
    return nn.BatchNorm(
        use_running_average=not train,
        momentum=NORM_MOMENTUM,
        epsilon=NORM_EPSILON,
        dtype=dtype,
        scale_init=scale_init,
        name=name,
    )


def flops(kind: str, side: int) -> float:
    """Forward FLOPs of the convolutions on one image of `side` pixels; a multiply-add is two."""
    side //= 2
    total, read = 2.0 * side**2 * 49 * 3 * 64, 64
    side //= 2
    for stage, (width, depth) in enumerate(zip(WIDTHS, DEPTHS[kind], strict=True)):
        for i in range(depth):
            before, out = side, EXPANSION * width
            side //= 2 if stage and i == 0 else 1
            total += 2 * before**2 * read * width + 2 * side**2 * width * (9 * width + out)
            total += 2 * side**2 * read * out * (i == 0)
            read = out
    return total
