"""Ridge regression on the means of flow and strain over a few cells: the least of all recognizers.

It learns in closed form, and is what larger networks have to be better than.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mubert_jax.config import Config
from mubert_jax.errors import UserError
from mubert_jax.flow_maps import SIDE
from mubert_jax.recognition.backbone import Backbone
from mubert_jax.recognition.cross_validation import Learned, Learner
from mubert_jax.recognition.inputs import Inputs
from mubert_jax.recognition.linear_probe import clip_weights
from mubert_jax.recognition.networks._light import FlowNetwork, FlowOptions
from mubert_jax.training.objective import Params

# The least probability that the regression is read as: where it says less than nothing, a single
# clip would otherwise decide which weight decay is chosen.
LEAST = 0.05
REFERENCE = """\
@article{hoerl1970ridge,
  author = {Hoerl, Arthur E. and Kennard, Robert W.},
  title = {Ridge Regression: Biased Estimation for Nonorthogonal Problems},
  journal = {Technometrics},
  volume = {12},
  pages = {55--67},
  year = {1970},
}
"""


@dataclass(frozen=True)
class Options(FlowOptions):
    """What `config.recognition.options` may hold."""

    # Cells along a side: 7 is 7 × 7 × 3 = 147 numbers.
    cells: int = 7


class Ridge(FlowNetwork):
    """Least squares from standardised means to one-hot classes, all classes of the same weight.

    minimises  Σ w_p ‖y_p - x_p·B - b‖² + weight decay · ‖B‖²  with Σ w_p = 1, x standardised by the
    fold's training clips. What it predicts sums to 1 over the classes and is read as probabilities.
    """

    Options = Options
    title = "ridge regression"
    reference = REFERENCE
    folds_at_once = 0
    by_epochs = False

    def __init__(self, config: Config, backbone: Backbone | None = None):
        super().__init__(config, backbone)
        if self.options.cells not in (known := [n for n in range(1, SIDE + 1) if SIDE % n == 0]):
            raise UserError(
                f"config.recognition.options.cells is {self.options.cells}; the {SIDE} pixels of a "
                f"side are divided by {', '.join(map(str, known))}"
            )
        if min(decays := config.recognition.weight_decay) <= 0:
            raise UserError(
                f"config.recognition.weight_decay is {decays}; a ridge regression needs positive "
                "values"
            )

    def init(self, key: jax.Array, inputs: dict[str, jax.Array]) -> Params:
        numbers = 3 * self.options.cells**2
        return {"kernel": jnp.zeros((numbers, self.classes)), "bias": jnp.zeros(self.classes)}

    def logits(self, params: Params, inputs: dict[str, jax.Array]) -> jax.Array:
        means_BxF = cell_means(self.maps(inputs), self.options.cells)
        return jnp.log(jnp.maximum(means_BxF @ params["kernel"] + params["bias"], LEAST))

    def learner(self, inputs: Inputs, seed: int) -> Learner:
        """The learner that solves each fold's normal equations."""
        maps_Px28x28x3 = self.maps(self.read(inputs, seed))[0]
        means_PxF = cell_means(maps_Px28x28x3, self.options.cells).astype(np.float64)
        target_PxC, label_P = np.eye(self.classes)[inputs.label], jnp.asarray(inputs.label)

        def learn(
            fold_K: np.ndarray,
            train_KxP: np.ndarray,
            weight_decay_K: np.ndarray,
            watched_KxT: np.ndarray | None = None,
            /,
        ) -> Learned:
            balance = self.config.recognition.balance
            solved = []
            for train_P, decay in zip(train_KxP, weight_decay_K, strict=True):
                weight_P = clip_weights(label_P, jnp.asarray(train_P), self.classes, balance)
                weights = np.asarray(weight_P, np.float64)[train_P]
                learnt = means_PxF[train_P], target_PxC[train_P], weights
                solved.append(fit(*learnt, decay, self.moments(means_PxF, train_P)))
            kernel, bias, loss = (np.stack(parts) for parts in zip(*solved, strict=True))
            predicted_KxPxC = means_PxF @ kernel + bias[:, None]
            logits = np.log(np.maximum(predicted_KxPxC, LEAST)).astype(np.float32)
            return Learned(logits, loss[:, None], {"kernel": kernel, "bias": bias})

        return learn

    def moments(self, means_PxF: np.ndarray, train_P: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and deviation of each feature, (F,) both, over a fold's training clips."""
        return means_PxF[train_P].mean(0), means_PxF[train_P].std(0) + 1e-6


def fit(
    means_TxF: np.ndarray,
    target_TxC: np.ndarray,
    weight_T: np.ndarray,
    decay: float,
    moments: tuple[np.ndarray, np.ndarray],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The kernel (F, C) and bias (C,) for features as they are, and the weighted squared error.

    Args:
      moments: By which features are standardised.
    """
    middle, spread = moments
    x_TxF = (means_TxF - middle) / spread
    x_mean, y_mean = weight_T @ x_TxF, weight_T @ target_TxC
    centred, weighted = x_TxF - x_mean, weight_T[:, None] * (x_TxF - x_mean)
    gram_FxF = weighted.T @ centred + decay * np.eye(x_TxF.shape[1])
    kernel = np.linalg.solve(gram_FxF, weighted.T @ (target_TxC - y_mean))
    error = weight_T @ np.square(target_TxC - y_mean - centred @ kernel).sum(1)
    kernel_of_means = kernel / spread[:, None]
    return kernel_of_means, y_mean - x_mean @ kernel - middle @ kernel_of_means, error


def cell_means(maps: Any, cells: int) -> Any:
    """Maps (..., S, S, D) averaged over `cells` × `cells` squares and flattened: (..., F)."""
    *batch, side, _, depth = maps.shape
    parts = maps.reshape(*batch, cells, side // cells, cells, side // cells, depth)
    return parts.mean((-2, -4)).reshape(*batch, cells * cells * depth)
