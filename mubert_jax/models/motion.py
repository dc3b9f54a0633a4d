"""Motion tokens: what moved in a patch, how far and how certainly; beyond the paper.

The trunk reads, pixel by pixel, products of the gradient and the change of two frames: the terms of
Lucas and Kanade's normal equations before they are summed over a window. It learns over which
neighbourhood to sum them, and which change is light, noise or the drift of the whole head.
"""

import functools

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from mubert_jax.config import DMAConfig
from mubert_jax.models.dense import Dense
from mubert_jax.models.dma import DMAOutput
from mubert_jax.models.images import grey_levels
from mubert_jax.models.vit import gelu

# Standard deviations in pixels of the blurs at which frames are compared: about as far as
# movements reach in frames of 112 pixels.
BLURS = (0.7, 1.4)
# What changes alike within this many pixels is light; the change less its mean is read.
LIGHT = 6.0
# Grey levels per pixel below which a gradient counts as flat.
FLAT = 2.0
# Grey levels of change below which a patch did not change at all.
NOTHING = 0.1
# How many products of gradient and change are read per blur.
PRODUCTS = 8
# Pixels of error below which nobody asks for more certainty.
SURE = 0.01
# Channels after each halving of the resolution, the last number for all further ones.
WIDTHS = (32, 48, 64)
# Patches a side of the neighbourhood that every patch is compared with: large enough to measure
# noise and drift, small enough to leave a background that moves by itself out.
NEIGHBOURHOOD = 7


@flax.struct.dataclass
class Motion:
    """What a trunk sees between two frames; N patches.

    Attributes:
      tokens: (B, N, D_m), 0 for equal frames.
      log_odds: (B, N), that a patch moved, of two frames that differ.
      displacement: (B, N, 2) pixels to the right and down; 0 for equal frames.
      log_variance: (B, N), the logarithm of the displacement's expected squared error per axis.
      changed: (B, N), 0 for equal patches and 1 for all others, but for the smallest changes.
    """

    tokens: jax.Array
    log_odds: jax.Array
    displacement: jax.Array
    log_variance: jax.Array
    changed: jax.Array

    @property
    def map(self) -> jax.Array:
        """m = -log(1 - P(moved)), (B, N): 0 for equal frames, and grows with the evidence."""
        return self.changed * jax.nn.softplus(self.log_odds)


def log_odds(map_BxN: jax.Array, noise_Bx1: jax.Array | None = None) -> jax.Array:
    """Log-odds that a patch moved, (B, N), from `Motion.map`; the trunk knows the noise itself."""
    # Below, a float32 cannot tell m from 0.
    map_BxN = jnp.maximum(map_BxN, 1e-7)
    # log(exp(m) - 1), which overflows from m = 89 on if it is computed as it is written.
    return map_BxN + jnp.log(-jnp.expm1(-map_BxN))


class MotionAttention(nn.Module):
    """DMA by motion tokens: P_dma = V([W × P_{t/s}, motion tokens]) with W = P(moved) × S.

    W takes the place of diag(Â) in eq. (12). The tokens are not weighed again: they fade by
    themselves where nothing moves, and W would take the weakest movements away. What known
    movements teach the trunk is not bent by the reconstruction: no gradient of P_dma reaches it.
    """

    config: DMAConfig
    dim: int
    patch_size: int
    dtype: jnp.dtype

    log_odds = staticmethod(log_odds)

    def setup(self) -> None:
        self.trunk = MotionTrunk(self.config.motion_dim, self.patch_size)
        self.to_v = Dense(self.dim, dtype=self.dtype)
        if self.config.output_projection:
            self.proj = Dense(self.dim, dtype=self.dtype)
        self.displacement_head = nn.Dense(2)

    def motion(self, current_BxHxWxC: jax.Array, reference_BxHxWxC: jax.Array) -> Motion:
        return self.trunk(current_BxHxWxC, reference_BxHxWxC)

    def difference(self, current_BxHxWxC: jax.Array, reference_BxHxWxC: jax.Array) -> jax.Array:
        """m (B, N), -log(1 - P(moved)); 0 for equal frames."""
        return self.motion(current_BxHxWxC, reference_BxHxWxC).map

    def displacement(self, current_BxHxWxC: jax.Array, reference_BxHxWxC: jax.Array) -> jax.Array:
        """How far each patch moved, (B, N, 2) pixels to the right and down; 0 for equal frames."""
        return self.motion(current_BxHxWxC, reference_BxHxWxC).displacement

    def __call__(
        self,
        swapped_BxHxWxC: jax.Array,
        reference_BxHxWxC: jax.Array,
        tokens_BxNxD: jax.Array,
        interest_BxN: jax.Array | None = None,
    ) -> DMAOutput:
        """Compares two images; the other arguments are those of `DiagonalMicroAttention`."""
        seen = self.motion(swapped_BxHxWxC, reference_BxHxWxC)
        return self.weighed(seen, tokens_BxNxD, interest_BxN)

    def weighed(
        self, seen: Motion, tokens_BxNxD: jax.Array, interest_BxN: jax.Array | None
    ) -> DMAOutput:
        """W and P_dma of the motion between two images."""
        seen = jax.lax.stop_gradient(seen)
        weights_BxN = -jnp.expm1(-seen.map)
        if interest_BxN is not None:
            weights_BxN *= interest_BxN
        appearance_BxNxD = weights_BxN[..., None].astype(self.dtype) * tokens_BxNxD
        read = jnp.concatenate([appearance_BxNxD, seen.tokens.astype(self.dtype)], axis=-1)
        features_BxNxD = self.to_v(read)
        if self.config.output_projection:
            features_BxNxD = self.proj(features_BxNxD)
        return DMAOutput(None, weights_BxN, features_BxNxD)

    def to_displacement(self, features_BxNxD: jax.Array) -> jax.Array:
        """How far, and which way, P_dma says that each patch moved: (B, N, 2), right and down.

        A linear layer, taught by known movements.
        """
        return self.displacement_head(features_BxNxD.astype(jnp.float32))


class MotionTrunk(nn.Module):
    """Two normalised images (B, H, W, C) -> `Motion`; the side of a patch is a power of 2.

    float32 throughout, as for q and k that read pixels.
    """

    dim: int
    patch_size: int

    @nn.compact
    def __call__(self, current_BxHxWxC: jax.Array, reference_BxHxWxC: jax.Array) -> Motion:
        a_BxHxW, b_BxHxW = grey_levels(current_BxHxWxC), grey_levels(reference_BxHxWxC)
        x = products(a_BxHxW, b_BxHxW)
        for i, width in enumerate(widths(self.patch_size)):
            x = nn.avg_pool(gelu(_conv(width, f"conv_{i}")(x)), (2, 2), (2, 2))
        x = gelu(_conv(self.dim, "conv_patches")(x))
        x = jnp.concatenate([x, neighbourhood(x)], axis=-1)
        x = gelu(_conv(self.dim, "conv_tokens")(x))
        x_BxNxD = x.reshape(x.shape[0], -1, self.dim)
        read_BxNx4 = nn.Dense(4, precision=jax.lax.Precision.HIGHEST, name="head")(x_BxNxD)
        change_BxN = _patch_means(jnp.square(b_BxHxW - a_BxHxW), self.patch_size)
        changed_BxN = -jnp.expm1(-change_BxN / NOTHING**2)
        return Motion(
            tokens=x_BxNxD * changed_BxN[..., None],
            log_odds=read_BxNx4[..., 0],
            displacement=read_BxNx4[..., 1:3] * changed_BxN[..., None],
            log_variance=jnp.maximum(read_BxNx4[..., 3], np.log(SURE**2)),
            changed=changed_BxN,
        )


def widths(patch_size: int) -> list[int]:
    """Channels of the trunk after each halving of a frame, down to one place per patch."""
    return [WIDTHS[min(i, len(WIDTHS) - 1)] for i in range(patch_size.bit_length() - 1)]


def products(a_BxHxW: jax.Array, b_BxHxW: jax.Array) -> jax.Array:
    """What the trunk reads of two grey images, (B, H, W, `PRODUCTS` per blur), scaled to about 1.

    With m = (a + b)/2, g = ∇m, e = b - a less its blur and n = sqrt(|g|² + FLAT²): the products of
    g with itself and with e over n, e, e²/n and n.
    """
    read = []
    for sigma in BLURS:
        a, b = blurred(a_BxHxW, sigma), blurred(b_BxHxW, sigma)
        gx, gy = slopes((a + b) / 2)
        e = b - a
        e -= blurred(e, LIGHT)
        n = jnp.sqrt(gx**2 + gy**2 + FLAT**2)
        structure = gx * gx / n, gx * gy / n, gy * gy / n
        change = gx * e / n, gy * e / n, e, e * e / n
        # Divided by about their standard deviation in frames of faces.
        read += [x / 4 for x in structure] + [x / 2 for x in change] + [n / 8]
    return jax.lax.platform_dependent(*read, tpu=_channels, default=_stacked)


def _stacked(*channels: jax.Array):
    return jnp.stack(channels, axis=-1)


def _channels(*channels: jax.Array):
    """A stack whose numbers are chosen one by one.

    A TPU pads a last axis of 1 to 128: parts put side by side would take 3.3 GB for 8 pairs of 224
    pixels.
    """
    number = jax.lax.broadcasted_iota(jnp.int32, (1, 1, 1, len(channels)), 3)
    stacked = jnp.zeros((*channels[0].shape, len(channels)), channels[0].dtype)
    for i, channel in enumerate(channels):
        stacked = jnp.where(number == i, channel[..., None], stacked)
    return stacked


def blurred(image_BxHxW: jax.Array, sigma: float) -> jax.Array:
    """A Gaussian blur of `sigma` pixels; edges are repeated."""
    reach = int(np.ceil(3 * sigma))
    weights = np.exp(-((np.arange(-reach, reach + 1) / sigma) ** 2) / 2)
    weights = (weights / weights.sum()).astype(np.float32)
    blurred = jnp.pad(image_BxHxW, ((0, 0), (reach, reach), (reach, reach)), mode="edge")
    for axis in (1, 2):
        size = image_BxHxW.shape[axis]
        places = range(len(weights))
        shifted = (jax.lax.slice_in_dim(blurred, i, i + size, axis=axis) for i in places)
        blurred = functools.reduce(jnp.add, map(jnp.multiply, weights, shifted))
    return blurred


def slopes(image_BxHxW: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Central differences along x and along y, per pixel."""
    padded = jnp.pad(image_BxHxW, ((0, 0), (1, 1), (1, 1)), mode="edge")
    across = (padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]) / 2
    return across, (padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]) / 2


def neighbourhood(x_BxgxgxC: jax.Array) -> jax.Array:
    """The mean of the patches around each one that are in the frame."""
    side = (NEIGHBOURHOOD, NEIGHBOURHOOD)
    return nn.avg_pool(x_BxgxgxC, side, (1, 1), "SAME", count_include_pad=False)


def _conv(width: int, name: str) -> nn.Conv:
    return nn.Conv(width, (3, 3), precision=jax.lax.Precision.HIGHEST, name=name)


def _patch_means(image_BxHxW: jax.Array, patch_size: int) -> jax.Array:
    grid = image_BxHxW.shape[1] // patch_size
    patches = image_BxHxW.reshape(-1, grid, patch_size, grid, patch_size)
    return patches.mean((2, 4)).reshape(-1, grid**2)
