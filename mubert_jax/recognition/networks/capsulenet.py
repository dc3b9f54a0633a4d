"""CapsuleNet (Quang et al., 2019): capsules on a ResNet-18 that looks at the apex frame alone."""

from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from mubert_jax.config import Config
from mubert_jax.config_values import path_or
from mubert_jax.errors import UserError
from mubert_jax.models import torchvision
from mubert_jax.models.images import normalise
from mubert_jax.motion_maps._weights import WeightsFile
from mubert_jax.recognition.backbone import Backbone
from mubert_jax.recognition.inputs import FRAMES
from mubert_jax.recognition.network import STATISTICS
from mubert_jax.recognition.networks._light import FlaxNetwork, descent
from mubert_jax.training.objective import Params

# Channels of the stages of the trunk, two blocks each; the last stage of ResNet-18 is left out.
WIDTHS = (64, 128, 256)
# Kernels' side and channels of the two convolutions after the trunk; numbers in a capsule, before
# and after routing; turns of the routing.
SIDE, CHANNELS = 9, 256
PRIMARY, OF_CLASS = 8, 16
TURNS = 3
# The least side for which one primary capsule is left.
LEAST_SIDE = 8 * (2 * SIDE - 1)
# Lengths that a present and an absent class are to have, and the weight of absent ones (Sabour et
# al., 2017).
PRESENT, ABSENT, DOWN_WEIGHT = 0.99, 0.01, 0.5
TINY = 1e-8
WEIGHTS = WeightsFile("ResNet-18", "", ("resnet18-f37072fd.pth",), "")
REFERENCE = """\
@inproceedings{quang2019capsulenet,
  author = {Quang, Nguyen Van and Chun, Jinhee and Tokuyama, Takeshi},
  title = {{CapsuleNet} for Micro-Expression Recognition},
  booktitle = {14th IEEE International Conference on Automatic Face and Gesture Recognition (FG)},
  year = {2019},
}
"""


@dataclass(frozen=True)
class Options:
    """What `config.recognition.options` may hold."""

    # The side to which frames are resized.
    side: int = 224
    # A file of torchvision's ResNet-18, such as resnet18-f37072fd.pth, as published; without one
    # the trunk starts at random.
    weights: str = path_or()


class CapsuleNet(FlaxNetwork):
    """Trained by Adam, whose rate falls by a tenth per epoch, with the margin loss."""

    Options = Options
    title = "CapsuleNet"
    reference = REFERENCE
    published_as = ("CapsuleNet",)
    reads: tuple[str, ...] = (FRAMES,)  # pyrefly: ignore[bad-override]

    def __init__(self, config: Config, backbone: Backbone | None = None):
        super().__init__(config, backbone)
        if (side := self.options.side) < LEAST_SIDE or side % 8:
            raise UserError(
                f"config.recognition.options.side is {side}; choose a multiple of 8 from "
                f"{LEAST_SIDE} on"
            )
        if self.options.weights:
            self._trunk  # noqa: B018  a file that is none is said before anything is trained

    def maps(self, inputs: dict[str, Any]) -> Any:
        """The apex frames (B, side, side, 3), normalised."""
        apex = normalise(inputs[FRAMES][:, 1])
        side = self.options.side
        return jax.image.resize(apex, (len(apex), side, side, 3), "linear")

    def module(self) -> nn.Module:
        return Capsules(self.classes)

    def optimizer(self, steps: int) -> optax.GradientTransformation:
        config = self.config.recognition
        per_epoch = max(1, steps // config.epochs)
        schedule = optax.exponential_decay(config.learning_rate, per_epoch, 0.9, staircase=True)
        return descent(optax.scale_by_adam(), schedule)

    def init(self, key: jax.Array, inputs: dict[str, jax.Array]) -> Params:
        first = super().init(key, inputs)
        if not self.options.weights:
            return first
        found = {"params": self._trunk["params"], STATISTICS: self._trunk[STATISTICS]}
        return {part: first[part] | {"trunk": found[part]} for part in first}

    def loss(self, logits: jax.Array, label_B: jax.Array, weight_B: jax.Array) -> jax.Array:
        """The margin loss of the lengths, whose logarithms the logits are."""
        length_BxC, truth = jnp.exp(logits), jax.nn.one_hot(label_B, self.classes)
        present = truth * jnp.square(jax.nn.relu(PRESENT - length_BxC))
        absent = (1 - truth) * jnp.square(jax.nn.relu(length_BxC - ABSENT))
        return jnp.sum(jnp.sum(present + DOWN_WEIGHT * absent, axis=-1) * weight_B)

    @cached_property
    def _trunk(self) -> dict[str, Any]:
        """The variables of torchvision's ResNet-18, without its last stage.

        Raises:
          UserError: the file holds something else.
        """
        path = Path(self.options.weights)
        tensors = {
            name: tensor
            for name, tensor in WEIGHTS.tensors(path).items()
            if not name.startswith("layer4.")
        }
        image = jax.ShapeDtypeStruct((1, 32, 32, 3), np.float32)
        wanted = jax.eval_shape(partial(Trunk().init, train=False), jax.random.key(0), image)
        try:
            found = torchvision.resnet(tensors)
        except (KeyError, ValueError) as error:
            raise UserError(f"{path} holds no ResNet-18 of torchvision: {error}") from error
        if jax.tree.map(np.shape, found) != jax.tree.map(lambda x: x.shape, dict(wanted)):
            raise UserError(f"{path} holds no ResNet-18 of torchvision: its tensors differ")
        return found


class Capsules(nn.Module):
    """(images (B, side, side, 3), train) -> logarithms of the lengths of capsules (B, classes)."""

    classes: int

    @nn.compact
    def __call__(self, images: jax.Array, train: bool) -> jax.Array:
        x = Trunk(name="trunk")(images, train)
        conv = partial(nn.Conv, CHANNELS, (SIDE, SIDE), padding="VALID")
        x = nn.relu(conv(name="conv")(x))
        x = conv(strides=2, name="primary")(x)
        capsules = squash(x.reshape(len(x), -1, PRIMARY))
        shape = capsules.shape[1], self.classes, PRIMARY, OF_CLASS
        kernel = self.param("kernel", nn.initializers.normal(0.01), shape)
        of_classes = route(jnp.einsum("bni,ncij->bncj", capsules, kernel))
        return jnp.log(jnp.sqrt(jnp.sum(jnp.square(of_classes), axis=-1) + TINY))


def squash(x: jax.Array) -> jax.Array:
    """Vectors along the last axis, with lengths r become r² / (1 + r²) (Sabour et al., 2017)."""
    squares = jnp.sum(jnp.square(x), axis=-1, keepdims=True)
    return x * squares / (1 + squares) / jnp.sqrt(squares + TINY)


def route(predicted_BxNxCxD: jax.Array) -> jax.Array:
    """The capsules of the classes (B, C, D): N capsules go where they agree."""

    def agreed(agreement_BxNxC: jax.Array) -> jax.Array:
        share = jax.nn.softmax(agreement_BxNxC, axis=-1)
        return squash(jnp.einsum("bnc,bncd->bcd", share, predicted_BxNxCxD))

    agreement_BxNxC = jnp.zeros(predicted_BxNxCxD.shape[:-1])
    found_BxCxD = agreed(agreement_BxNxC)
    for _ in range(TURNS - 1):
        agreement_BxNxC += jnp.einsum("bncd,bcd->bnc", predicted_BxNxCxD, found_BxCxD)
        found_BxCxD = agreed(agreement_BxNxC)
    return found_BxCxD


class Trunk(nn.Module):
    """ResNet-18 up to its third stage, without its max-pool: (B, S, S, 3) -> (B, S/8, S/8, 256)."""

    @nn.compact
    def __call__(self, images: jax.Array, train: bool) -> jax.Array:
        x = nn.relu(_norm(train, "bn1")(_conv(WIDTHS[0], 7, 2, "conv1")(images)))
        for stage, width in enumerate(WIDTHS, 1):
            for number in range(2):
                stride = 2 if stage > 1 and number == 0 else 1
                x = Block(width, stride, name=f"layer{stage}_{number}")(x, train)
        return x


class Block(nn.Module):
    """Two 3 × 3 convolutions beside a shortcut: (B, H, W, C) -> (B, H/s, W/s, width)."""

    width: int
    stride: int

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        y = nn.relu(_norm(train, "bn1")(_conv(self.width, 3, self.stride, "conv1")(x)))
        y = _norm(train, "bn2")(_conv(self.width, 3, 1, "conv2")(y))
        if self.stride != 1:
            down = _conv(self.width, 1, self.stride, "downsample_conv")
            x = _norm(train, "downsample_bn")(down(x))
        return nn.relu(x + y)


def _conv(width: int, side: int, stride: int, name: str) -> nn.Module:
    he = nn.initializers.variance_scaling(2.0, "fan_out", "normal")
    padding = ((side // 2, side // 2),) * 2
    return nn.Conv(width, (side, side), stride, padding, use_bias=False, kernel_init=he, name=name)


def _norm(train: bool, name: str) -> nn.Module:
    return nn.BatchNorm(not train, momentum=0.9, epsilon=1e-5, name=name)
