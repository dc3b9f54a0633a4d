"""Linear heads of all folds in one program: multinomial logistic regression on shared features."""

import functools
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.typing import ArrayLike

from mubert_jax.config import RecognitionConfig


@flax.struct.dataclass
class Heads:
    """K heads, `kernel` (K, F, C) and `bias` (K, C), for features that are not standardised."""

    kernel: jax.Array
    bias: jax.Array

    def logits(self, features_PxF: ArrayLike) -> jax.Array:
        """The logits (K, P, C) of every head."""
        return jnp.einsum("pf,kfc->kpc", features_PxF, self.kernel) + self.bias[:, None]


def fit(
    features_AxPxF: np.ndarray,
    label_P: np.ndarray,
    train_KxP: np.ndarray,
    weight_decay_K: np.ndarray,
    classes: int,
    config: RecognitionConfig,
    stacked: bool = True,
) -> tuple[Heads, np.ndarray]:
    """One head for every row of `train_KxP`, from all copies A of the clips that it marks.

    Features are standardised by the head's own training clips, which the weights then include.
    L = cross-entropy + weight decay · ‖√F·kernel‖², minimised by Adam on all clips at a time.

    Args:
      label_P: The class of each pair.
      train_KxP: The pairs from which each head learns, boolean.
      weight_decay_K: The weight decay of each head.
      stacked: Whether all heads are fitted in one program or one after the other.

    Returns:
      The heads, and their losses (K, epochs).
    """
    heads, losses, _ = fit_named(
        features_AxPxF, label_P, train_KxP, weight_decay_K, classes, config, stacked
    )
    return heads, losses


def fit_named(
    features_AxPxF: np.ndarray,
    label_P: np.ndarray,
    train_KxP: np.ndarray,
    weight_decay_K: np.ndarray,
    classes: int,
    config: RecognitionConfig,
    stacked: bool = True,
) -> tuple[Heads, np.ndarray, np.ndarray]:
    """As `fit`, and the class that each head takes each pair for after each epoch, (K, E, P)."""
    features = np.asarray(features_AxPxF, np.float32)
    # Only for the precision of float32: each head standardises by its own clips.
    middle, spread = features.mean((0, 1)), features.std((0, 1)) + 1e-6
    shared = jnp.asarray((features - middle) / spread), jnp.asarray(label_P)
    own = jnp.asarray(train_KxP), jnp.asarray(weight_decay_K, jnp.float32)
    if stacked:
        (kernel, bias), losses, named = _fit_all(*shared, *own, classes, config)
    else:
        found = [_fit_one(*shared, *row, classes, config) for row in zip(*own, strict=True)]
        (kernel, bias), losses, named = jax.tree.map(lambda *parts: jnp.stack(parts), *found)
    kernel /= spread[:, None]
    return Heads(kernel, bias - middle @ kernel), np.asarray(losses), np.asarray(named)


def clip_weights(label_P: jax.Array, train_P: jax.Array, classes: int, balance: str) -> jax.Array:
    """The weight of each pair, (P,), sum 1; 0 outside the training clips.

    Unless `balance` is "none", all classes have the same weight: on all clips at a time, a balanced
    loss and balanced sampling are the same.
    """
    counts_C = jnp.sum(jax.nn.one_hot(label_P, classes) * train_P[:, None], axis=0)
    weight_P = train_P.astype(jnp.float32)
    if balance != "none":
        weight_P /= jnp.maximum(counts_C[label_P], 1)
    return weight_P / jnp.sum(weight_P)


@functools.partial(jax.jit, static_argnums=(4, 5))
def _fit_all(
    features_AxPxF: jax.Array,
    label_P: jax.Array,
    train_KxP: jax.Array,
    weight_decay_K: jax.Array,
    classes: int,
    config: RecognitionConfig,
):
    one = functools.partial(_fit_one, features_AxPxF, label_P, classes=classes, config=config)
    return jax.vmap(one)(train_KxP, weight_decay_K)


@functools.partial(jax.jit, static_argnames=("classes", "config"))
def _fit_one(
    features_AxPxF: jax.Array,
    label_P: jax.Array,
    train_P: jax.Array,
    weight_decay: jax.Array,
    classes: int,
    config: RecognitionConfig,
):
    weight_P = clip_weights(label_P, train_P, classes, config.balance)
    even_P = train_P / jnp.sum(train_P)
    mean_F = jnp.einsum("apf,p->f", features_AxPxF, even_P) / len(features_AxPxF)
    square_F = jnp.einsum("apf,p->f", jnp.square(features_AxPxF), even_P) / len(features_AxPxF)
    size = features_AxPxF.shape[-1]
    # Standardised features are divided by √F, so that a decay means the same for any F.
    scale_F = (size * jnp.maximum(square_F - mean_F**2, 1e-6)) ** -0.5
    target = jax.nn.one_hot(label_P, classes)

    def of_raw_features(kernel_FxC: jax.Array, bias_C: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The weights with the standardisation folded in: all heads read the same features."""
        kernel_FxC = kernel_FxC * scale_F[:, None]
        return kernel_FxC, bias_C - mean_F @ kernel_FxC

    def loss_of(params: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, Any]:
        kernel_FxC, bias_C = of_raw_features(*params)
        logits_AxPxC = features_AxPxF @ kernel_FxC + bias_C
        entropy_AxP = optax.softmax_cross_entropy(logits_AxPxC, target)
        cross = jnp.sum(jnp.mean(entropy_AxP, axis=0) * weight_P)
        loss = cross + weight_decay * jnp.sum(jnp.square(params[0]))
        return loss, (cross, named(logits_AxPxC[0]))

    def named(logits_PxC: jax.Array) -> jax.Array:
        return jnp.argmax(logits_PxC, axis=-1).astype(jnp.uint8)

    tx = optax.adam(optax.cosine_decay_schedule(config.learning_rate, config.epochs))

    def step(carry: Any, _: None) -> tuple[Any, tuple[jax.Array, jax.Array]]:
        params, state = carry
        (_, seen), gradient = jax.value_and_grad(loss_of, has_aux=True)(params)
        updates, state = tx.update(gradient, state)
        return (optax.apply_updates(params, updates), state), seen

    params = jnp.zeros((size, classes)), jnp.zeros(classes)
    (params, _), (losses, before) = jax.lax.scan(
        step, (params, tx.init(params)), length=config.epochs
    )
    kernel_FxC, bias_C = of_raw_features(*params)
    # A step sees the clips before it learns: what it names is of the epoch before.
    last = named(features_AxPxF[0] @ kernel_FxC + bias_C)
    return (kernel_FxC, bias_C), losses, jnp.concatenate([before[1:], last[None]])
