"""Linear heads of all folds in one program: multinomial logistic regression on shared features."""

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax

from mubert_jax.config import RecognitionConfig


@flax.struct.dataclass
class Heads:
    """K heads: `kernel` (K, F, C), `bias` (K, C); of features as they are, not standardised."""

    kernel: jax.Array
    bias: jax.Array

    def logits(self, features_PxF) -> jax.Array:
        """(K, P, C)."""
        return jnp.einsum("pf,kfc->kpc", features_PxF, self.kernel) + self.bias[:, None]


def fit(
    features_AxPxF,
    label_P,
    train_KxP,
    weight_decay_K,
    classes: int,
    config: RecognitionConfig,
    stacked: bool = True,
) -> tuple[Heads, np.ndarray]:
    """One head for every row of `train_KxP`, from all copies A of the clips that it marks.

    Features are standardised by the head's own training clips, which is then folded into the
    weights. L = cross-entropy + weight decay · F · mean(kernel²), by AdamW on all clips at a time.

    Args:
      label_P: class of each pair; train_KxP: which pairs each head learns from, boolean.
      weight_decay_K: of each head.
      stacked: all heads in one program, or one after the other.

    Returns:
      The heads, and their losses (K, epochs).
    """
    features = jnp.asarray(features_AxPxF, jnp.float32)
    labels = jnp.asarray(label_P)

    def one(train_P, weight_decay):
        return _fit_one(features, labels, train_P, weight_decay, classes, config)

    marks, decays = jnp.asarray(train_KxP), jnp.asarray(weight_decay_K, jnp.float32)
    if stacked:
        heads, losses = jax.jit(jax.vmap(one))(marks, decays)
    else:
        one = jax.jit(one)
        found = [one(*row) for row in zip(marks, decays, strict=True)]
        heads, losses = jax.tree.map(lambda *parts: jnp.stack(parts), *found)
    return heads, np.asarray(losses)


def clip_weights(label_P, train_P, classes: int, balance: str):
    """How much each pair counts, (P,), sum 1: 0 outside the training, all classes alike if asked.

    Over all clips at a time, a balanced loss and balanced sampling are the same.
    """
    counts_C = jnp.sum(jax.nn.one_hot(label_P, classes) * train_P[:, None], axis=0)
    weight_P = train_P.astype(jnp.float32)
    if balance != "none":
        weight_P /= jnp.maximum(counts_C[label_P], 1)
    return weight_P / jnp.sum(weight_P)


def _fit_one(features_AxPxF, label_P, train_P, weight_decay, classes, config):
    weight_P = clip_weights(label_P, train_P, classes, config.balance)
    even_P = train_P / jnp.sum(train_P)
    mean_F = jnp.einsum("apf,p->f", features_AxPxF, even_P) / len(features_AxPxF)
    square_F = jnp.einsum("apf,p->f", jnp.square(features_AxPxF - mean_F), even_P)
    scale_F = 1 / jnp.sqrt(square_F / len(features_AxPxF) + 1e-8)
    standard = (features_AxPxF - mean_F) * scale_F
    size = features_AxPxF.shape[-1]
    # Standardised features are divided by √F, so that a decay means the same for any number.
    kernel, bias = jnp.zeros((size, classes)), jnp.zeros(classes)
    target = jax.nn.one_hot(label_P, classes)

    def loss_of(params):
        logits = standard @ params[0] * size**-0.5 + params[1]
        entropy_AxP = optax.softmax_cross_entropy(logits, target)
        cross = jnp.sum(jnp.mean(entropy_AxP, axis=0) * weight_P)
        return cross + weight_decay * jnp.sum(jnp.square(params[0])), cross

    tx = optax.adam(optax.cosine_decay_schedule(config.learning_rate, config.epochs))

    def step(carry, _):
        params, state = carry
        (_, cross), gradient = jax.value_and_grad(loss_of, has_aux=True)(params)
        updates, state = tx.update(gradient, state)
        return (optax.apply_updates(params, updates), state), cross

    params = (kernel, bias)
    (params, _), losses = jax.lax.scan(step, (params, tx.init(params)), length=config.epochs)
    kernel = params[0] * scale_F[:, None] * size**-0.5
    return Heads(kernel, params[1] - mean_F @ kernel), losses
