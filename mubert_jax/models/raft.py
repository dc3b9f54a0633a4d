"""RAFT (Teed and Deng, 2020): optical flow from all-pairs correlations, updated again and again.

Sizes and the names of the parts are torchvision's, whose weights `models.torchvision` takes over.
Images are (B, H, W, 3) in [-1, 1], their sides multiples of 8; flow is (x, y) in pixels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

# The flow is found at an eighth of the image's sides.
STRIDE = 8
# Levels of the pyramid of correlations.
LEVELS = 4
# Sides that are shorter leave nothing at the pyramid's top.
LEAST_SIDE = 128
_NORM_EPSILON = 1e-5


@dataclass(frozen=True)
class Sizes:
    """What small and large differ in.

    Attributes:
      widths: channels of the encoders' first convolution and of their three stages.
      features, context: channels of the two encoders' outputs; of the context the first `hidden`
        are the recurrent state.
      bottleneck: whether blocks are bottlenecks.
      context_norm: whether the context encoder has batch norms, in evaluation.
      radius: of the window of correlations, in places.
      correlation, flow, motion: channels of the motion encoder's convolutions.
      kernels: of the recurrent block's units, one after the other.
      head: channels of the flow head.
      mask: whether the flow is enlarged by a convex combination that is learnt.
    """

    widths: tuple[int, int, int, int]
    features: int
    context: int
    hidden: int
    bottleneck: bool
    context_norm: bool
    radius: int
    correlation: tuple[int, ...]
    flow: tuple[int, int]
    motion: int
    kernels: tuple[tuple[int, int], ...]
    head: int
    mask: bool


SMALL = Sizes(
    widths=(32, 32, 64, 96),
    features=128,
    context=160,
    hidden=96,
    bottleneck=True,
    context_norm=False,
    radius=3,
    correlation=(96,),
    flow=(64, 32),
    motion=82,
    kernels=((3, 3),),
    head=128,
    mask=False,
)
LARGE = Sizes(
    widths=(64, 64, 96, 128),
    features=256,
    context=256,
    hidden=128,
    bottleneck=False,
    context_norm=True,
    radius=4,
    correlation=(256, 192),
    flow=(128, 64),
    motion=128,
    kernels=((1, 5), (5, 1)),
    head=256,
    mask=True,
)

Norm = Callable[[jax.Array, str], jax.Array]


class RAFT(nn.Module):
    """Flow from the first to the second image after each of so many updates, (T, B, H, W, 2).

    With `last` alone, T is 1: earlier flows are not enlarged. The names of the parts are those of
    torchvision's state dict, with its dots; what is updated is the module `update`. `unrolled`
    updates are compiled one by one, which takes longer; a CPU is then ten times as fast backward,
    as XLA has no fast convolution in loops.
    """

    sizes: Sizes
    updates: int = 12
    last: bool = True
    unrolled: bool = False

    @nn.compact
    def __call__(self, first: jax.Array, second: jax.Array) -> jax.Array:
        sizes = self.sizes
        both = jnp.concatenate([first, second])
        features = _encode(both, "feature_encoder", sizes, sizes.features, _instance_norm)
        context_norm = _batch_norm if sizes.context_norm else lambda x, name: x
        context = _encode(first, "context_encoder", sizes, sizes.context, context_norm)
        hidden = jnp.tanh(context[..., : sizes.hidden])
        pyramid = correlations(*jnp.split(features, 2))
        batch, height, width, _ = context.shape
        places = jnp.stack(jnp.meshgrid(jnp.arange(width), jnp.arange(height)), axis=-1)
        start = jnp.broadcast_to(places.astype(jnp.float32), (batch, height, width, 2))
        update = nn.scan(
            Update,
            variable_broadcast="params",
            split_rngs={"params": False},
            in_axes=nn.broadcast,
            length=self.updates,
            unroll=self.updates if self.unrolled else 1,
        )(sizes, name="update")
        inputs = pyramid, nn.relu(context[..., sizes.hidden :]), start
        _, (states, flows) = update((hidden, start), inputs)
        if self.last:
            states, flows = states[-1:], flows[-1:]
        enlarged = self._enlarged(*(x.reshape(-1, *x.shape[2:]) for x in (states, flows)))
        return enlarged.reshape(-1, batch, *enlarged.shape[1:])

    def _enlarged(self, hidden: jax.Array, flow: jax.Array):
        """Flow at the size of the images; every place counts in its own steps before."""
        if not self.sizes.mask:
            return bilinear(STRIDE * flow)
        mask = nn.relu(_conv(2 * self.sizes.hidden, 3, "mask_predictor.convrelu.0")(hidden))
        mask = _conv(9 * STRIDE**2, 1, "mask_predictor.conv")(mask)
        return convex(STRIDE * flow, 0.25 * mask)  # a quarter: to balance gradients


class Update(nn.Module):
    """One update of (recurrent state, coordinates), given pyramid, context and first coordinates.

    Gives the state and the flow after it.
    """

    sizes: Sizes

    @nn.compact
    def __call__(
        self,
        carry: tuple[jax.Array, jax.Array],
        inputs: tuple[Sequence[jax.Array], jax.Array, jax.Array],
    ) -> tuple[tuple[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]:
        (hidden, coordinates), (pyramid, context, start), sizes = carry, inputs, self.sizes
        coordinates = jax.lax.stop_gradient(coordinates)
        flow = coordinates - start
        seen = looked_up(pyramid, coordinates, sizes.radius)
        for i, (width, side) in enumerate(zip(sizes.correlation, (1, 3), strict=False), 1):
            seen = nn.relu(_conv(width, side, f"motion_encoder.convcorr{i}.0")(seen))
        moved = nn.relu(_conv(sizes.flow[0], 7, "motion_encoder.convflow1.0")(flow))
        moved = nn.relu(_conv(sizes.flow[1], 3, "motion_encoder.convflow2.0")(moved))
        together = jnp.concatenate([seen, moved], axis=-1)
        motion = nn.relu(_conv(sizes.motion - 2, 3, "motion_encoder.conv.0")(together))
        read = jnp.concatenate([context, motion, flow], axis=-1)
        for i, kernel in enumerate(sizes.kernels, 1):
            hidden = _gated(hidden, read, kernel, f"recurrent_block.convgru{i}")
        change = nn.relu(_conv(sizes.head, 3, "flow_head.conv1")(hidden))
        coordinates += _conv(2, 3, "flow_head.conv2")(change)
        return (hidden, coordinates), (hidden, coordinates - start)


def correlations(first: jax.Array, second: jax.Array) -> list[jax.Array]:
    """All places of `first` with all of `second`, (B, h, w, h', w') per level of the pyramid."""
    channels = first.shape[-1]
    level = jnp.einsum("bijc,bklc->bijkl", first, second) / jnp.sqrt(float(channels))
    pyramid = [level]
    for _ in range(LEVELS - 1):
        *outer, height, width = level.shape
        level = level[..., : height // 2 * 2, : width // 2 * 2]
        level = level.reshape(*outer, height // 2, 2, width // 2, 2).mean((-3, -1))
        pyramid.append(level)
    return pyramid


def looked_up(pyramid: Sequence[jax.Array], coordinates: jax.Array, radius: int) -> jax.Array:
    """Correlations around where each place is now, (B, h, w, levels · (2 · radius + 1)²).

    Windows are sampled bilinearly, and are 0 outside; their columns come first.
    """
    batch, height, width, _ = coordinates.shape
    centres = coordinates.reshape(-1, 2)
    side = 2 * radius + 1
    windows = []
    for number, level in enumerate(pyramid):
        maps = level.reshape(-1, *level.shape[-2:])
        at = centres / 2**number
        whole = jnp.floor(at).astype(jnp.int32)
        x, y = jnp.unstack((at - whole)[:, None, None, :], axis=-1)
        # Beyond the margin, a window lies in it as a whole.
        margin = side + 1
        padded = jnp.pad(maps, ((0, 0), (margin, margin), (margin, margin)))
        limit = jnp.array([maps.shape[2], maps.shape[1]]) + margin
        corner = jnp.clip(whole - radius + margin, 0, limit)
        cut = jax.vmap(lambda one, xy: jax.lax.dynamic_slice(one, xy[::-1], (side + 1, side + 1)))
        found = cut(padded, corner)
        found = found[:, :-1] * (1 - y) + found[:, 1:] * y
        found = found[:, :, :-1] * (1 - x) + found[:, :, 1:] * x
        windows.append(found.swapaxes(1, 2).reshape(batch, height, width, -1))
    return jnp.concatenate(windows, axis=-1)


def bilinear(flow: jax.Array) -> jax.Array:
    """(B, h, w, 2) -> (B, 8h, 8w, 2), the corners of one on those of the other."""
    for axis in (1, 2):
        size = flow.shape[axis]
        at = jnp.linspace(0, size - 1, STRIDE * size)
        low = jnp.clip(jnp.floor(at).astype(jnp.int32), 0, size - 2)
        share = jnp.expand_dims(at - low, [i for i in range(flow.ndim) if i != axis])
        below, above = (jnp.take(flow, low + step, axis=axis) for step in (0, 1))
        flow = below * (1 - share) + above * share
    return flow


def convex(flow: jax.Array, mask: jax.Array) -> jax.Array:
    """(B, h, w, 2) -> (B, 8h, 8w, 2): each pixel a mean of 3 × 3 places, weighed by the mask.

    Args:
      mask: (B, h, w, 9 · 64) logits.
    """
    batch, height, width, _ = flow.shape
    weights = jax.nn.softmax(mask.reshape(batch, height, width, 9, STRIDE, STRIDE), axis=3)
    padded = jnp.pad(flow, ((0, 0), (1, 1), (1, 1), (0, 0)))
    around = [padded[:, i : i + height, j : j + width] for i in range(3) for j in range(3)]
    pixels = jnp.einsum("bhwkij,bhwkc->bhiwjc", weights, jnp.stack(around, axis=3))
    return pixels.reshape(batch, STRIDE * height, STRIDE * width, 2)


def _encode(x: jax.Array, name: str, sizes: Sizes, width: int, norm: Norm):
    """An image at an eighth of its sides, by a convolution and three stages of two blocks."""
    block = _bottleneck if sizes.bottleneck else _residual
    x = _convolved(x, sizes.widths[0], 7, 2, f"{name}.convnormrelu", norm)
    for stage, channels in enumerate(sizes.widths[1:], 1):
        for i in range(2):
            stride = 2 if stage > 1 and i == 0 else 1
            x = block(x, channels, stride, f"{name}.layer{stage}.{i}", norm)
    return _conv(width, 1, f"{name}.conv")(x)


def _residual(x: jax.Array, width: int, stride: int, name: str, norm: Norm):
    y = _convolved(x, width, 3, stride, f"{name}.convnormrelu1", norm)
    y = _convolved(y, width, 3, 1, f"{name}.convnormrelu2", norm)
    return nn.relu(_shortcut(x, width, stride, name, norm) + y)


def _bottleneck(x: jax.Array, width: int, stride: int, name: str, norm: Norm):
    y = _convolved(x, width // 4, 1, 1, f"{name}.convnormrelu1", norm)
    y = _convolved(y, width // 4, 3, stride, f"{name}.convnormrelu2", norm)
    y = _convolved(y, width, 1, 1, f"{name}.convnormrelu3", norm)
    return nn.relu(_shortcut(x, width, stride, name, norm) + y)


def _shortcut(x: jax.Array, width: int, stride: int, name: str, norm: Norm):
    if stride == 1:
        return x
    return norm(_conv(width, 1, f"{name}.downsample.0", stride)(x), f"{name}.downsample.1")


def _convolved(x: jax.Array, width: int, side: int, stride: int, name: str, norm: Norm):
    return nn.relu(norm(_conv(width, side, f"{name}.0", stride)(x), f"{name}.1"))


def _instance_norm(x: jax.Array, name: str) -> jax.Array:
    variance, mean = jnp.var(x, (1, 2), keepdims=True), jnp.mean(x, (1, 2), keepdims=True)
    return (x - mean) * jax.lax.rsqrt(variance + _NORM_EPSILON)


def _batch_norm(x: jax.Array, name: str) -> jax.Array:
    return nn.BatchNorm(use_running_average=True, epsilon=_NORM_EPSILON, name=name)(x)


def _gated(hidden: jax.Array, read: jax.Array, kernel: tuple[int, int], name: str):
    """A convolutional gated recurrent unit."""
    conv = partial(_conv, hidden.shape[-1], kernel)
    together = jnp.concatenate([hidden, read], axis=-1)
    keep = nn.sigmoid(conv(f"{name}.convz")(together))
    reset = nn.sigmoid(conv(f"{name}.convr")(together))
    new = jnp.tanh(conv(f"{name}.convq")(jnp.concatenate([reset * hidden, read], axis=-1)))
    return (1 - keep) * hidden + keep * new


def _conv(width: int, side: int | tuple[int, int], name: str, stride: int = 1):
    sides = (side, side) if isinstance(side, int) else side
    padding = [(x // 2, x // 2) for x in sides]
    return nn.Conv(width, sides, (stride, stride), padding, name=name)
