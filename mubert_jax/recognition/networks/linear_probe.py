"""A linear layer on features of a frozen backbone or on a motion map, computed once."""

import jax
import jax.numpy as jnp
import numpy as np

from mubert_jax.config import Config
from mubert_jax.config_values import unknown
from mubert_jax.recognition import linear_probe
from mubert_jax.recognition.backbone import Backbone
from mubert_jax.recognition.cross_validation import Learned, Learner, named_rows
from mubert_jax.recognition.inputs import (
    FEATURES,
    IN_CELLS,
    IN_FACE,
    TOKENS,
    Inputs,
    available_maps,
)
from mubert_jax.recognition.network import Network
from mubert_jax.recognition.networks._paper import REFERENCE
from mubert_jax.recognition.published import PAPER
from mubert_jax.training.objective import Params

BACKBONE, ENCODER = "backbone", "encoder"


class LinearProbe(Network):
    """Reads what `config.recognition.features` names; all folds are fitted on all clips at a time.

    On the backbone, `mubert predict` can open it; on an encoder's tokens or on a motion map, it
    serves for comparison.
    """

    folds_at_once = 0
    recipe = "configs/finetune.py"

    def __init__(self, config: Config, backbone: Backbone | None = None):
        name, known = config.recognition.features, (BACKBONE, ENCODER, *available_maps())
        if name not in known:
            raise unknown(f"config.recognition.features {name!r}", name, known)
        self.predicts = name == BACKBONE
        self.any_objective = name == ENCODER
        self.title = f"linear probe on {name}"
        if name == BACKBONE:
            self.title = "μ-BERT, linear probe"
            self.reference, self.published_as = REFERENCE, (PAPER,)
        cells = IN_FACE if config.model.recognizer.places == "face" else IN_CELLS
        self.reads = ({BACKBONE: FEATURES, ENCODER: TOKENS}.get(name, f"{name}{cells}"),)
        self.copies = config.recognition.copies
        super().__init__(config, backbone)

    def init(self, key: jax.Array, inputs: dict[str, jax.Array]) -> Params:
        (features_BxF,) = inputs.values()
        kernel = jnp.zeros((features_BxF.shape[-1], self.classes))
        return {"kernel": kernel, "bias": jnp.zeros(self.classes)}

    def logits(self, params: Params, inputs: dict[str, jax.Array]) -> jax.Array:
        (features_BxF,) = inputs.values()
        return features_BxF @ params["kernel"] + params["bias"]

    def weights(self, params: Params) -> Params:
        recognizer = self.backbone.params["recognizer"] | {"head": params}
        return self.backbone.params | {"recognizer": recognizer}

    def learner(self, inputs: Inputs, seed: int) -> Learner:
        """The learner that fits each fold's logistic regression."""
        (features_AxPxF,) = self.read(inputs, seed).values()

        def learn(
            fold_K: np.ndarray,
            train_KxP: np.ndarray,
            weight_decay_K: np.ndarray,
            watched_KxT: np.ndarray | None = None,
            /,
        ) -> Learned:
            heads, losses, named = linear_probe.fit_named(
                features_AxPxF,
                inputs.label,
                train_KxP,
                weight_decay_K,
                self.classes,
                self.config.recognition,
            )
            logits = np.asarray(heads.logits(features_AxPxF[0]))
            params = {"kernel": heads.kernel, "bias": heads.bias}
            return Learned(logits, losses, params, named_rows(named, watched_KxT))

        return learn
