"""Full fine-tuning of Micron-BERT: encoder, DMA and recognizer learn."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np

from mubert_jax.config import RecognitionConfig
from mubert_jax.models.micron_bert import build_model
from mubert_jax.recognition import linear_probe
from mubert_jax.recognition.inputs import FEATURES, FRAMES, augmented
from mubert_jax.recognition.network import Network
from mubert_jax.training.views import normalise

# The decoder has no part in recognition.
UNUSED = ("decoder", "projector")
# How the heads are fitted that it starts from, but for epochs and augmentation.
HEADS = RecognitionConfig(weight_decay=(0.001,))


class FullFineTuning(Network):
    """A copy of the backbone per fold, from the pretrained weights on.

    The head is fitted first, alone: gradients through a random one would spoil the backbone before
    it fits (Kumar et al., 2022).
    """

    reads = (FRAMES,)
    predicts = True

    def __init__(self, config, backbone=None):
        super().__init__(config, backbone)
        self._model = build_model(config)

    def init(self, key, inputs):
        taken = {x: tree for x, tree in self.backbone.params.items() if x not in UNUSED}
        return jax.tree.map(jnp.asarray, taken)

    def start(self, inputs, seed, fold_K, train_KxP):
        params = super().start(inputs, seed, fold_K, train_KxP)
        recognition = self.config.recognition
        if not recognition.head_epochs:
            return params
        alone = dataclasses.replace(
            recognition, epochs=recognition.head_epochs, learning_rate=HEADS.learning_rate
        )
        heads, _ = linear_probe.fit(
            inputs.read(FEATURES, recognition.copies, seed),
            inputs.label,
            train_KxP,
            np.full(len(fold_K), HEADS.weight_decay[0]),
            self.classes,
            alone,
        )
        head = {"kernel": heads.kernel, "bias": heads.bias}
        return params | {"recognizer": params["recognizer"] | {"head": head}}

    def augment(self, key, inputs):
        pair = augmented(key, *inputs[FRAMES], self.config.recognition)
        return {FRAMES: jnp.stack(pair)}

    def logits(self, params, inputs):
        onset, apex = jnp.unstack(normalise(inputs[FRAMES]), axis=1)
        return self._model.apply({"params": params}, onset, apex, method="logits")

    def layers(self, params):
        """The recognizer is the top; DMA is below it, and then come the encoder's blocks."""
        names = jax.tree_util.tree_map_with_path(
            lambda path, _: jax.tree_util.keystr(path, simple=True, separator="/"), params
        )
        depth = 1 + max((_block(name) for name in jax.tree.leaves(names)), default=-1)
        return jax.tree.map(lambda name: _below(name, depth), names)

    def weights(self, params):
        return self.backbone.params | params


def _below(name: str, depth: int) -> int:
    """How many layers a parameter is below the head."""
    if name.startswith("recognizer/"):
        return 0
    if name.startswith("encoder/") and not name.startswith("encoder/norm"):
        return depth - _block(name)
    return 1


def _block(name: str) -> int:
    """The number of a parameter's block; -1 for what comes before all blocks."""
    found = re.match(r"encoder/blocks_(\d+)/", name)
    return int(found[1]) if found else -1
