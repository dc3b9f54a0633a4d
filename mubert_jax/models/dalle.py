"""The encoder of DALL-E's discrete VAE (Ramesh et al., 2021), whose tokens BEiT predicts.

Groups of residual bottlenecks, each group twice as wide as the one before it and, behind a max-pool
of 2, half its size; a last 1×1 convolution gives the logits of the visual tokens.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from mubert_jax.models.images import IMAGENET_MEAN, IMAGENET_STD

# A block gives four times as many channels as its convolutions between have.
EXPANSION = 4
# A pixel x in [0, 1] is read as 0.8·x + 0.1: the logit-Laplace distribution has no 0 and no 1.
MARGIN = 0.1
CONVOLUTIONS = ("conv_1", "conv_2", "conv_3", "conv_4")


@dataclass(frozen=True)
class Sizes:
    """Those of the distributed weights by default.

    Attributes:
      width: channels of the first group.
      groups: of blocks; the side of a token is 2^(groups - 1) pixels.
      blocks: of each group.
      vocabulary: how many visual tokens there are.
    """

    width: int = 256
    groups: int = 4
    blocks: int = 2
    vocabulary: int = 8192

    @property
    def stride(self) -> int:
        """Pixels along the side of a token."""
        return 2 ** (self.groups - 1)


class Block(nn.Module):
    """A shortcut and, times `gain`, 3×3, 3×3, 3×3 and 1×1 convolutions: (B, H, W, C) -> width."""

    width: int
    gain: float

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        y = x
        for name in CONVOLUTIONS[:-1]:
            y = nn.Conv(self.width // EXPANSION, (3, 3), name=name)(nn.relu(y))
        y = nn.Conv(self.width, (1, 1), name=CONVOLUTIONS[-1])(nn.relu(y))
        if x.shape[-1] != self.width:
            x = nn.Conv(self.width, (1, 1), name="id_path")(x)
        return x + self.gain * y


class Encoder(nn.Module):
    """Normalised images (B, H, W, 3) -> logits (B, H/stride, W/stride, vocabulary) float32."""

    sizes: Sizes

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        sizes = self.sizes
        pixels = images * IMAGENET_STD + IMAGENET_MEAN
        x = nn.Conv(sizes.width, (7, 7), name="input")((1 - 2 * MARGIN) * pixels + MARGIN)
        gain = 1 / (sizes.groups * sizes.blocks) ** 2
        for group in range(sizes.groups):
            if group:
                x = nn.max_pool(x, (2, 2), (2, 2))
            for block in range(sizes.blocks):
                name = f"group_{group + 1}_block_{block + 1}"
                x = Block(sizes.width * 2**group, gain, name=name)(x)
        return nn.Conv(sizes.vocabulary, (1, 1), name="output")(nn.relu(x))


def tokens(logits: jax.Array) -> jax.Array:
    """Logits (B, h, w, K) -> the likeliest token of each place, row by row, (B, h·w) int32."""
    return jnp.argmax(logits, axis=-1).reshape(len(logits), -1).astype(jnp.int32)


def flops(sizes: Sizes, side: int) -> float:
    """Forward FLOPs of the convolutions on one image of `side` pixels; a multiply-add is two."""
    total, read = 2.0 * side**2 * 49 * 3 * sizes.width, sizes.width
    for group in range(sizes.groups):
        width = sizes.width * 2**group
        inner, places = width // EXPANSION, (side // 2**group) ** 2
        for _ in range(sizes.blocks):
            shortcut = read * width * (read != width)
            total += 2 * places * (9 * inner * (read + 2 * inner) + inner * width + shortcut)
            read = width
    return total + 2 * (side // sizes.stride) ** 2 * read * sizes.vocabulary


def from_state_dict(tensors: Mapping[str, np.ndarray]) -> tuple[Sizes, dict[str, Any]]:
    """Sizes and parameters, from tensors such as `blocks.group_1.block_1.res_path.conv_1.w`.

    Raises:
      KeyError, ValueError: a tensor is missing, or has another number of dimensions.
    """
    params: dict[str, Any] = {}
    for name, tensor in tensors.items():
        if name.endswith(".w"):
            *modules, _ = name.removeprefix("blocks.").replace("output.conv", "output").split(".")
            parts = [part for part in modules if part != "res_path"]
            if len(parts) > 1:
                parts[:2] = ["_".join(parts[:2])]
            node = params
            for part in parts:
                node = node.setdefault(part, {})
            node["kernel"] = tensor.transpose(2, 3, 1, 0)
            node["bias"] = tensors[f"{name[:-1]}b"]
    named = {tuple(part.split("_")[1::2]) for part in params if part.startswith("group_")}
    sizes = Sizes(
        width=params["input"]["kernel"].shape[-1],
        groups=len({group for group, _ in named}),
        blocks=len({block for _, block in named}),
        vocabulary=params["output"]["kernel"].shape[-1],
    )
    return sizes, params
