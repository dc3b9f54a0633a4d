"""What the field's light networks share: they read flow maps and are small Flax modules."""

import abc
import functools
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import optax

from mubert_jax.config_values import choice
from mubert_jax.recognition.flow_inputs import flow_maps_of
from mubert_jax.recognition.network import STATISTICS, Network, matrices
from mubert_jax.training.objective import Params


@dataclass(frozen=True)
class FlowOptions:
    """What `config.recognition.options` may hold for every network that reads flow maps."""

    # A motion map that gives flow: farneback, tvl1, dis, raft; "" takes the flow that the set of
    # clips stores and, where it stores frames, Farnebäck's.
    flow: str = ""
    # per-channel: each channel of a clip stretched to 0..255, as published. pixels: as it is.
    normalise: str = choice("per-channel", "pixels")


class FlowNetwork(Network):
    """A network that reads (u, v, optical strain), 28 × 28."""

    Options: type = FlowOptions

    @property
    def reads(self) -> tuple[str, ...]:  # pyrefly: ignore[bad-override]
        return (flow_maps_of(self.options.flow, self.options.normalise),)

    def maps(self, inputs: dict[str, Any]) -> Any:
        """The flow maps, (..., 28, 28, 3)."""
        return inputs[self.reads[0]]


class FlaxNetwork(FlowNetwork):
    """A network that is a Flax module, which is called with flow maps and `train`."""

    @abc.abstractmethod
    def module(self) -> nn.Module:
        """The module: (maps (B, 28, 28, 3), train) -> logits (B, classes)."""

    def init(self, key: jax.Array, inputs: dict[str, jax.Array]) -> Params:
        return _variables(self.module(), key, self.maps(inputs))

    def logits(self, params: Params, inputs: dict[str, jax.Array]) -> jax.Array:
        found: Any = self.module().apply(params, self.maps(inputs), False)
        return found

    def training_logits(
        self, params: Params, inputs: dict[str, jax.Array], key: jax.Array
    ) -> tuple[jax.Array, Params]:
        found, changed = self.module().apply(
            params, self.maps(inputs), True, rngs={"dropout": key}, mutable=[STATISTICS]
        )
        logits: Any = found
        statistics: Any = changed.get(STATISTICS, {})
        return logits, statistics


class AdamNetwork(FlaxNetwork):
    """One that is trained by Adam at a constant rate."""

    def optimizer(self, steps: int) -> optax.GradientTransformation:
        return descent(optax.scale_by_adam(), self.config.recognition.learning_rate)


@functools.partial(jax.jit, static_argnums=0)
def _variables(module: nn.Module, key: jax.Array, maps: jax.Array) -> Params:
    return dict(module.init(key, maps, False))


def descent(
    updates: optax.GradientTransformation, schedule: optax.Schedule | float
) -> optax.GradientTransformation:
    """Updates such as Adam's, of a gradient to which the weight decay is added beforehand.

    L2 regularisation as MATLAB and PyTorch's optimizers have it.
    """
    make = optax.inject_hyperparams(
        lambda weight_decay: optax.chain(
            optax.add_decayed_weights(weight_decay, matrices),
            updates,
            optax.scale_by_learning_rate(schedule),
        )
    )
    return make(weight_decay=0.0)
