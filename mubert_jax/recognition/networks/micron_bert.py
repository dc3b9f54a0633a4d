"""Full fine-tuning of Micron-BERT: encoder, DMA and recognizer learn."""

import dataclasses
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mubert_jax.config import Config, RecognitionConfig
from mubert_jax.models.images import normalise
from mubert_jax.models.micron_bert import build_model
from mubert_jax.recognition import linear_probe
from mubert_jax.recognition.inputs import FEATURES, FRAMES, Backbone, Inputs, augmented
from mubert_jax.recognition.network import Network
from mubert_jax.training.objective import Params

# Modules that have no part in recognition.
UNUSED = ("decoder", "projector")
# How the first heads are fitted, except for epochs and augmentation: by the defaults of the linear
# probe, with the middle one of its weight decays.
HEADS = RecognitionConfig(weight_decay=(0.001,))


class FullFineTuning(Network):
    """A copy of the backbone per fold, trained from the pretrained weights.

    The head alone is fitted first: gradients through a random head would distort the backbone
    (Kumar et al., 2022).
    """

    reads = (FRAMES,)
    predicts = True

    def __init__(self, config: Config, backbone: Backbone | None = None):
        super().__init__(config, backbone)
        self._model = build_model(config)

    def init(self, key: jax.Array, inputs: dict[str, jax.Array]) -> Params:
        taken = {x: tree for x, tree in self.backbone.params.items() if x not in UNUSED}
        return jax.tree.map(jnp.asarray, taken)

    def start(self, inputs: Inputs, seed: int, fold_K: np.ndarray, train_KxP: np.ndarray) -> Params:
        params = super().start(inputs, seed, fold_K, train_KxP)
        if not self.config.recognition.head_epochs:
            return params
        head = first_heads(self, FEATURES, inputs, seed, train_KxP)
        return params | {"recognizer": params["recognizer"] | {"head": head}}

    def augment(self, key: jax.Array, inputs: dict[str, jax.Array]) -> dict[str, jax.Array]:
        onset, apex = inputs[FRAMES]
        return {FRAMES: jnp.stack(augmented(key, onset, apex, self.config.recognition))}

    def logits(self, params: Params, inputs: dict[str, jax.Array]) -> jax.Array:
        onset, apex = jnp.unstack(normalise(inputs[FRAMES]), axis=1)
        found: Any = self._model.apply({"params": params}, onset, apex, method="logits")
        return found

    def layers(self, params: Params) -> Any:
        """Depths from the top: the recognizer, DMA, then the encoder's blocks."""
        return depths(params, "recognizer")

    def weights(self, params: Params) -> Params:
        return self.backbone.params | params


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
