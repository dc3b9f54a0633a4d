"""Full fine-tuning of the encoder of any objective: a linear layer reads how its tokens change."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mubert_jax.models.images import normalise
from mubert_jax.recognition.inputs import FRAMES, TOKENS, Inputs
from mubert_jax.recognition.networks._fine_tuned import FineTuned, depths, first_heads
from mubert_jax.training.objective import Params


class EncoderFineTuning(FineTuned):
    """A copy of the encoder per fold, trained from the pretrained weights; its head comes first.

    This is how objectives without DMA are compared: the head reads what
    `recognition.features="encoder"` gives a linear probe.
    """

    any_objective = True
    recipe = "configs/finetune_encoder.py"
    title = "encoder, fine-tuned"

    def init(self, key: jax.Array, inputs: dict[str, jax.Array]) -> Params:
        onset, apex = jnp.unstack(normalise(inputs[FRAMES]), axis=1)
        pretrained = self.backbone.encoder
        weights = pretrained.params, pretrained.extra
        change = jax.eval_shape(pretrained.token_change, *weights, onset, apex)
        kernel = jnp.zeros((change.shape[-1], self.classes))
        encoder = jax.tree.map(jnp.asarray, pretrained.params)
        return {"encoder": encoder, "head": {"kernel": kernel, "bias": jnp.zeros(self.classes)}}

    def start(self, inputs: Inputs, seed: int, fold_K: np.ndarray, train_KxP: np.ndarray) -> Params:
        params = super().start(inputs, seed, fold_K, train_KxP)
        if not self.config.recognition.head_epochs:
            return params
        return params | {"head": first_heads(self, TOKENS, inputs, seed, train_KxP)}

    def logits(self, params: Params, inputs: dict[str, jax.Array]) -> jax.Array:
        onset, apex = jnp.unstack(normalise(inputs[FRAMES]), axis=1)
        pretrained = self.backbone.encoder
        change_BxF = pretrained.token_change(params["encoder"], pretrained.extra, onset, apex)
        return change_BxF @ params["head"]["kernel"] + params["head"]["bias"]

    def layers(self, params: Params) -> Any:
        return depths(params, "head")
