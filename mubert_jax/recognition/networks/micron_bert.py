"""Full fine-tuning of Micron-BERT: encoder, DMA and recognizer learn."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mubert_jax.config import Config
from mubert_jax.models.images import normalise
from mubert_jax.models.micron_bert import build_model
from mubert_jax.recognition.backbone import Backbone
from mubert_jax.recognition.inputs import FEATURES, FRAMES, Inputs
from mubert_jax.recognition.networks._fine_tuned import FineTuned, depths, first_heads
from mubert_jax.recognition.networks._paper import REFERENCE
from mubert_jax.recognition.published import PAPER
from mubert_jax.training.objective import Params

# Modules that have no part in recognition.
UNUSED = ("decoder", "projector")


class FullFineTuning(FineTuned):
    """A copy of the backbone per fold, trained from the pretrained weights.

    The head alone is fitted first: gradients through a random head would distort the backbone
    (Kumar et al., 2022).
    """

    predicts = True
    recipe = "configs/finetune_full.py"
    title = "μ-BERT, fine-tuned"
    reference = REFERENCE
    published_as = (PAPER,)

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

    def logits(self, params: Params, inputs: dict[str, jax.Array]) -> jax.Array:
        onset, apex = jnp.unstack(normalise(inputs[FRAMES]), axis=1)
        found: Any = self._model.apply({"params": params}, onset, apex, method="logits")
        return found

    def layers(self, params: Params) -> Any:
        """Depths from the top: the recognizer, DMA, then the encoder's blocks."""
        return depths(params, "recognizer")

    def weights(self, params: Params) -> Params:
        return self.backbone.params | params
