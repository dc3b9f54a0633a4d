"""What networks that are trained through, from a head that was fitted first, have in common."""

import dataclasses
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mubert_jax.config import RecognitionConfig
from mubert_jax.recognition import linear_probe
from mubert_jax.recognition.inputs import FRAMES, Inputs
from mubert_jax.recognition.network import Network
from mubert_jax.recognition.paired_augmentation import augmented
from mubert_jax.training.objective import Params

# How the first heads are fitted, except for epochs and augmentation: by the defaults of the linear
# probe, with the middle one of its weight decays.
HEADS = RecognitionConfig(weight_decay=(0.001,))


class FineTuned(Network):
    """A network that reads the frames themselves, onset and apex augmented alike."""

    reads = (FRAMES,)

    def augment(self, key: jax.Array, inputs: dict[str, jax.Array]) -> dict[str, jax.Array]:
        onset, apex = inputs[FRAMES]
        return {FRAMES: jnp.stack(augmented(key, onset, apex, self.config.recognition))}


def first_heads(
    network: Network, name: str, inputs: Inputs, seed: int, train_KxP: np.ndarray
) -> Params:
    """Linear layers on an input that was computed once, one per fold: where a network starts."""
    recognition = network.config.recognition
    alone = dataclasses.replace(
        recognition, epochs=recognition.head_epochs, learning_rate=HEADS.learning_rate
    )
    heads, _ = linear_probe.fit(
        inputs.read(name, recognition.copies, seed),
        inputs.label,
        train_KxP,
        np.full(len(train_KxP), HEADS.weight_decay[0]),
        network.classes,
        alone,
    )
    return {"kernel": heads.kernel, "bias": heads.bias}


def depths(params: Params, heads: str) -> Any:
    """Depths from the top: what is named `heads`, other parts, then the encoder's blocks."""
    names = jax.tree_util.tree_map_with_path(
        lambda path, _: jax.tree_util.keystr(path, simple=True, separator="/"), params
    )
    blocks = sorted({place for name in jax.tree.leaves(names) if (place := _block(name))})

    def below(name: str) -> int:
        if name.startswith(f"{heads}/"):
            return 0
        if place := _block(name):
            return len(blocks) - blocks.index(place)
        before_all = name.startswith("encoder/") and not name.startswith("encoder/norm")
        return 1 + len(blocks) * before_all

    return jax.tree.map(below, names)


def _block(name: str) -> tuple[int, int] | None:
    """A parameter's block: its number, behind that of its stage in a ResNet; None in no block."""
    found = re.match(r"encoder/(?:blocks_|layer(\d+)_)(\d+)/", name)
    return (int(found[1] or 0), int(found[2])) if found else None
