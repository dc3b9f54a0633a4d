"""OFF-ApexNet (Gan et al., 2019): two towers of convolutions, on u and on v; 2.66 M parameters."""

from dataclasses import dataclass

import flax.linen as nn
import jax
import jax.numpy as jnp

from mubert_jax.recognition.networks._light import AdamNetwork, FlowOptions
from mubert_jax.recognition.networks._windows import Conv, max_pool

# Kernels of the two convolutions of a tower, and their side.
KERNELS, SIDE = (6, 16), 5
REFERENCE = """\
@article{gan2019offapexnet,
  author = {Gan, Y. S. and Liong, S. T. and Yau, W. C. and Huang, Y. C. and Tan, L. K.},
  title = {{OFF-ApexNet} on Micro-expression Recognition System},
  journal = {Signal Processing: Image Communication},
  volume = {74},
  pages = {129--139},
  year = {2019},
}
"""


@dataclass(frozen=True)
class Options(FlowOptions):
    """What `config.recognition.options` may hold."""

    # Width of the two hidden layers.
    hidden: int = 1024


class OffApexNet(AdamNetwork):
    """Trained by Adam at a constant rate; strain is not read."""

    Options = Options
    title = "OFF-ApexNet"
    reference = REFERENCE
    published_as = ("OFF-ApexNet",)

    def module(self) -> nn.Module:
        return Towers(self.options.hidden, self.classes)


class Towers(nn.Module):
    """(maps (B, 28, 28, 3), train) -> logits (B, classes)."""

    hidden: int
    classes: int

    @nn.compact
    def __call__(self, maps: jax.Array, train: bool) -> jax.Array:
        towers = []
        for channel, name in enumerate("uv"):
            x = maps[..., channel : channel + 1]
            for number, kernels in enumerate(KERNELS, 1):
                conv = Conv(kernels, SIDE, SIDE // 2, name=f"{name}_conv{number}")
                x = max_pool(nn.relu(conv(x)), 2, 2)
            towers.append(x.reshape(len(x), -1))
        x = jnp.concatenate(towers, axis=-1)
        for number in (1, 2):
            x = nn.relu(nn.Dense(self.hidden, name=f"hidden{number}")(x))
            x = nn.Dropout(0.5, deterministic=not train)(x)
        return nn.Dense(self.classes, name="head")(x)
