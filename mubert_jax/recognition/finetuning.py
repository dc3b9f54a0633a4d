"""Full fine-tuning: encoder, DMA and recogniser of several folds in one program."""

import functools
import re
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax

from mubert_jax.config import RecognitionConfig
from mubert_jax.models.micron_bert import MicronBert
from mubert_jax.recognition.augment import augmented
from mubert_jax.recognition.heads import clip_weights
from mubert_jax.training.views import normalise

# The decoder has no part in recognition.
UNUSED = ("decoder", "projector")
WARMUP = 0.1


def finetune(
    model: MicronBert,
    params: dict,
    onset,
    apex,
    label_P,
    fold_K,
    train_KxP,
    weight_decay_K,
    config: RecognitionConfig,
    seed: int,
    head: dict | None = None,
    after_epoch: Callable[[int, np.ndarray], None] = lambda epoch, loss_K: None,
) -> tuple[dict, np.ndarray]:
    """Trains K copies of `params`, each on the clips that its row of `train_KxP` marks.

    An epoch is as many batches as all pairs fill; clips are drawn with replacement.

    The step is vmapped over the folds. A fold's batches and augmentations are a function of (seed,
    fold, step): in whatever company it is trained, it learns the same.

    Args:
      onset, apex: (P, H, W, 3) uint8; label_P: class of each.
      fold_K: the folds' numbers; train_KxP: boolean; weight_decay_K: of each.
      head: where each fold's linear layer starts, with a leading axis K; None: as in `params`.
      after_epoch: is told the epoch and the folds' mean losses (K,).

    Returns:
      Parameters with a leading axis K, and losses (K, epochs).
    """
    images = jnp.asarray(onset), jnp.asarray(apex), jnp.asarray(label_P)
    params = {name: tree for name, tree in params.items() if name not in UNUSED}
    steps = -(-len(label_P) // config.batch_size)
    tx = _optimizer(config, steps * config.epochs)
    seeds = jax.vmap(lambda fold: jax.random.fold_in(jax.random.key(seed), fold))
    keys, train = seeds(jnp.asarray(fold_K)), jnp.asarray(train_KxP)
    classes = model.config.recognizer.classes
    weights = jax.vmap(lambda marks: clip_weights(images[2], marks, classes, config.balance))(train)
    decays = jnp.asarray(weight_decay_K, jnp.float32)
    params = jax.tree.map(lambda x: jnp.repeat(jnp.asarray(x)[None], len(keys), 0), params)
    if head is not None:
        params["recognizer"] = params["recognizer"] | {"head": jax.tree.map(jnp.asarray, head)}
    state, losses = jax.vmap(tx.init)(params), []
    for epoch in range(config.epochs):
        total = 0.0
        for number in range(epoch * steps, (epoch + 1) * steps):
            of_folds = params, state, keys, train, weights, decays
            params, state, loss = _advance(
                of_folds[:2], of_folds[2:], number, images, model, config, steps
            )
            total += loss
        losses.append(np.asarray(total) / steps)
        after_epoch(epoch, losses[-1])
    return params, np.stack(losses, axis=1)


@functools.partial(
    jax.jit, static_argnames=("model", "config", "steps"), donate_argnames="learning"
)
def _advance(learning, folds, number, images, model, config, steps):
    """One step of every fold: `learning` holds its parameters and optimizer state."""

    def one(params, state, key, train, weights, decay):
        return _step(
            params, state, key, number, train, weights, decay, images, model, config, steps
        )

    return jax.vmap(one)(*learning, *folds)


def _step(params, state, key, number, train_P, weight_P, decay, images, model, config, steps):
    onset, apex, label_P = images
    of_rows, of_clips = jax.random.split(jax.random.fold_in(key, number))
    rows, counts = _draw(of_rows, train_P, weight_P, config)
    keys = jax.random.split(of_clips, config.batch_size)

    def loss_of(params):
        first, second = jax.vmap(lambda k, a, b: augmented(k, a, b, config))(
            keys, onset[rows], apex[rows]
        )
        logits = model.apply(
            {"params": params}, normalise(first), normalise(second), method="recognise"
        )
        entropy = optax.softmax_cross_entropy_with_integer_labels(logits, label_P[rows])
        return jnp.sum(entropy * counts)

    loss, gradient = jax.value_and_grad(loss_of)(params)
    state.hyperparams["weight_decay"] = decay
    tx = _optimizer(config, steps * config.epochs)
    updates, state = tx.update(gradient, state, params)
    return optax.apply_updates(params, updates), state, loss


def _draw(key, train_P, weight_P, config):
    """Rows of a batch and how much each counts: balanced by what is drawn, or by weights."""
    even = jnp.full(config.batch_size, 1 / config.batch_size)
    if config.balance == "sampling":
        return jax.random.choice(key, len(train_P), even.shape, p=weight_P), even
    chance_P = train_P / jnp.sum(train_P)
    rows = jax.random.choice(key, len(train_P), even.shape, p=chance_P)
    return rows, weight_P[rows] / chance_P[rows] * even


def _optimizer(config: RecognitionConfig, steps: int):
    """AdamW; every block learns `layer_decay` times as fast as the one above it."""
    schedule = optax.warmup_cosine_decay_schedule(
        0.0, config.learning_rate, round(WARMUP * steps), max(2, steps)
    )
    matrices = functools.partial(jax.tree.map, lambda x: x.ndim > 1)
    adam = optax.inject_hyperparams(
        lambda weight_decay: optax.chain(
            optax.clip_by_global_norm(1.0),
            optax.scale_by_adam(),
            optax.add_decayed_weights(weight_decay, matrices),
            _by_depth(config.layer_decay),
            optax.scale_by_learning_rate(schedule),
        )
    )
    return adam(weight_decay=0.0)


def _by_depth(layer_decay: float) -> optax.GradientTransformation:
    def scaled(updates, _):
        depth = max((_block(name) for name in _names(updates)), default=-1) + 1
        return jax.tree_util.tree_map_with_path(
            lambda path, update: update * layer_decay ** _below(path, depth), updates
        )

    return optax.stateless(scaled)


def _below(path, depth) -> int:
    """How many steps a parameter is below the head."""
    name = jax.tree_util.keystr(path, simple=True, separator="/")
    if name.startswith("recognizer/"):
        return 0
    if name.startswith("encoder/") and not name.startswith("encoder/norm"):
        return depth - _block(name)
    return 1


def _block(name: str) -> int:
    """The number of a parameter's block; -1 for what comes before all blocks."""
    found = re.match(r"encoder/blocks_(\d+)/", name)
    return int(found[1]) if found else -1


def _names(params: dict) -> list[str]:
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return [jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in leaves]
