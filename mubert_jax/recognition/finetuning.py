"""Full fine-tuning: encoder, DMA and recogniser of several folds in one program."""

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
    after_epoch: Callable[[int, np.ndarray], None] = lambda epoch, loss_K: None,
) -> tuple[dict, np.ndarray]:
    """Trains K copies of `params`, each on the clips that its row of `train_KxP` marks.

    The step is vmapped over the folds. A fold's batches and augmentations are a function of (seed,
    fold, step): in whatever company it is trained, it learns the same.

    Args:
      onset, apex: (P, H, W, 3) uint8; label_P: class of each.
      fold_K: the folds' numbers; train_KxP: boolean; weight_decay_K: of each.
      after_epoch: is told the epoch and the folds' mean losses (K,).

    Returns:
      Parameters with a leading axis K, and losses (K, epochs).
    """
    classes = model.config.recognizer.classes
    onset, apex, label_P = (jnp.asarray(x) for x in (onset, apex, label_P))
    params = {name: tree for name, tree in params.items() if name not in UNUSED}
    steps = -(-len(label_P) // config.batch_size)
    tx = _optimizer(params, config, steps * config.epochs)

    def draw(key, train_P, weight_P):
        """A batch of clips and how much each counts: balanced by what is drawn, or by weights."""
        chance = weight_P if config.balance == "sampling" else train_P / jnp.sum(train_P)
        rows = jax.random.choice(key, len(label_P), (config.batch_size,), p=chance)
        if config.balance == "sampling":
            return rows, jnp.full(config.batch_size, 1 / config.batch_size)
        counts = weight_P[rows] / chance[rows]
        return rows, counts / config.batch_size

    def loss_of(params, rows, counts, keys):
        first, second = jax.vmap(lambda k, a, b: augmented(k, a, b, config))(
            keys, onset[rows], apex[rows]
        )
        logits = model.apply(
            {"params": params}, normalise(first), normalise(second), method="recognise"
        )
        entropy = optax.softmax_cross_entropy_with_integer_labels(logits, label_P[rows])
        return jnp.sum(entropy * counts)

    def step(params, state, key, number, train_P, weight_P, decay):
        of_rows, of_clips = jax.random.split(jax.random.fold_in(key, number))
        rows, counts = draw(of_rows, train_P, weight_P)
        keys = jax.random.split(of_clips, config.batch_size)
        loss, gradient = jax.value_and_grad(loss_of)(params, rows, counts, keys)
        state.hyperparams["weight_decay"] = decay
        updates, state = tx.update(gradient, state, params)
        return optax.apply_updates(params, updates), state, loss

    keys = jax.vmap(lambda fold: jax.random.fold_in(jax.random.key(seed), fold))(
        jnp.asarray(fold_K)
    )
    train = jnp.asarray(train_KxP)
    weights = jax.vmap(lambda marks: clip_weights(label_P, marks, classes, config.balance))(train)
    decays = jnp.asarray(weight_decay_K, jnp.float32)
    params = jax.tree.map(lambda x: jnp.repeat(jnp.asarray(x)[None], len(keys), 0), params)
    state = jax.vmap(tx.init)(params)
    advance = jax.jit(jax.vmap(step, (0, 0, 0, None, 0, 0, 0)), donate_argnums=(0, 1))
    losses = []
    for epoch in range(config.epochs):
        total = 0.0
        for number in range(epoch * steps, (epoch + 1) * steps):
            params, state, loss = advance(params, state, keys, number, train, weights, decays)
            total += loss
        losses.append(np.asarray(total) / steps)
        after_epoch(epoch, losses[-1])
    return params, np.stack(losses, axis=1)


def _optimizer(params: dict, config: RecognitionConfig, steps: int):
    """AdamW; every block learns `layer_decay` times as fast as the one above it."""
    schedule = optax.warmup_cosine_decay_schedule(
        0.0, config.learning_rate, round(WARMUP * steps), max(2, steps)
    )
    adam = optax.inject_hyperparams(
        lambda weight_decay: optax.chain(
            optax.clip_by_global_norm(1.0),
            optax.scale_by_adam(),
            optax.add_decayed_weights(weight_decay),
            _by_depth(params, config.layer_decay),
            optax.scale_by_learning_rate(schedule),
        )
    )
    return adam(weight_decay=0.0)


def _by_depth(params: dict, layer_decay: float) -> optax.GradientTransformation:
    depth = max((_block(name) for name in _names(params)), default=-1) + 1

    def scale(path, update):
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        if name.startswith("recognizer/"):
            return update
        if name.startswith("encoder/") and not name.startswith("encoder/norm"):
            return update * layer_decay ** (depth - _block(name))
        return update * layer_decay

    return optax.stateless(lambda updates, _: jax.tree_util.tree_map_with_path(scale, updates))


def _block(name: str) -> int:
    """The number of a parameter's block; -1 for what comes before all blocks."""
    found = re.match(r"encoder/blocks_(\d+)/", name)
    return int(found[1]) if found else -1


def _names(params: dict) -> list[str]:
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return [jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in leaves]
