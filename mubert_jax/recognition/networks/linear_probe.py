"""A linear layer on what is computed once: features of a frozen backbone, or a motion map."""

import jax.numpy as jnp
import numpy as np

from mubert_jax.config_values import unknown
from mubert_jax.recognition import linear_probe
from mubert_jax.recognition.inputs import FEATURES, IN_CELLS, available_maps
from mubert_jax.recognition.network import Network

BACKBONE = "backbone"


class LinearProbe(Network):
    """Reads what `config.recognition.features` names; all folds are fitted on all clips at a time.

    On the backbone it is what `mubert predict` opens, on a motion map it is there to compare with.
    """

    folds_at_once = 0

    def __init__(self, config, backbone=None):
        name, known = config.recognition.features, (BACKBONE, *available_maps())
        if name not in known:
            raise unknown(f"config.recognition.features {name!r}", name, known)
        self.predicts = name == BACKBONE
        self.reads = (FEATURES if self.predicts else f"{name}{IN_CELLS}",)
        self.copies = config.recognition.copies
        super().__init__(config, backbone)

    def init(self, key, inputs):
        (features_BxF,) = inputs.values()
        kernel = jnp.zeros((features_BxF.shape[-1], self.classes))
        return {"kernel": kernel, "bias": jnp.zeros(self.classes)}

    def logits(self, params, inputs):
        (features_BxF,) = inputs.values()
        return features_BxF @ params["kernel"] + params["bias"]

    def weights(self, params):
        recognizer = self.backbone.params["recognizer"] | {"head": params}
        return self.backbone.params | {"recognizer": recognizer}

    def learner(self, inputs, seed):
        """Each fold's logistic regression, to its end."""
        (features_AxPxF,) = self.read(inputs, seed).values()

        def learn(fold_K, train_KxP, weight_decay_K):
            heads, losses = linear_probe.fit(
                features_AxPxF,
                inputs.label,
                train_KxP,
                weight_decay_K,
                self.classes,
                self.config.recognition,
            )
            logits = np.asarray(heads.logits(features_AxPxF[0]))
            return logits, losses, {"kernel": heads.kernel, "bias": heads.bias}

        return learn
