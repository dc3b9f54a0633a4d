"""Full fine-tuning: encoder, DMA and recognizer of several folds in one program."""

import functools
import re
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax

from mubert_jax.config import RecognitionConfig
from mubert_jax.models.micron_bert import MicronBert, init_params
from mubert_jax.recognition.augment import augmented
from mubert_jax.recognition.linear_probe import clip_weights
from mubert_jax.training.objective import Objective
from mubert_jax.training.state import TrainState
from mubert_jax.training.step import make_step
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
    params = {name: tree for name, tree in params.items() if name not in UNUSED}
    per_epoch = -(-len(label_P) // config.batch_size)
    total = per_epoch * config.epochs
    seeds = jax.vmap(lambda fold: jax.random.fold_in(jax.random.key(seed), fold))
    train, label = jnp.asarray(train_KxP), jnp.asarray(label_P)
    classes = model.config.recognizer.classes
    weights = jax.vmap(lambda marks: clip_weights(label, marks, classes, config.balance))
    folds = {"key": seeds(jnp.asarray(fold_K)), "train": train, "weight": weights(train)}
    pairs = {"onset": jnp.asarray(onset), "apex": jnp.asarray(apex), "label": label}
    params = jax.tree.map(lambda x: jnp.repeat(jnp.asarray(x)[None], len(train), 0), params)
    if head is not None:
        params["recognizer"] = params["recognizer"] | {"head": jax.tree.map(jnp.asarray, head)}
    opt_state = jax.vmap(_optimizer(config, total).init)(params)
    opt_state.hyperparams["weight_decay"] = jnp.asarray(weight_decay_K, jnp.float32)
    state = TrainState(jnp.zeros(len(train), jnp.int32), params, opt_state, {})
    losses = []
    for epoch in range(config.epochs):
        loss_K = 0.0
        for _ in range(per_epoch):
            state, loss = _advance(state, folds, pairs, model, config, total)
            loss_K += loss
        losses.append(np.asarray(loss_K) / per_epoch)
        after_epoch(epoch, losses[-1])
    return state.params, np.stack(losses, axis=1)


@functools.partial(
    jax.jit, static_argnames=("model", "config", "total_steps"), donate_argnames="state"
)
def _advance(state, folds, pairs, model, config, total_steps):
    """One step of every fold: its state and its loss."""
    tx, objective = _optimizer(config, total_steps), FineTuning(model, config)
    step = make_step(objective, tx, total_steps, key=jax.random.key(0))

    def of_fold(state, fold):
        state, metrics = step(state, fold | pairs | {"step": state.step})
        return state, metrics["loss"]

    return jax.vmap(of_fold)(state, folds)


class FineTuning(Objective):
    """The recognizer's cross-entropy on augmented clips; what is drawn has a key of the fold's."""

    def __init__(self, model: MicronBert, config: RecognitionConfig):
        self.model, self.config = model, config

    def init(self, key):
        return init_params(self.model, key)

    def views(self, key, batch):
        of_rows, of_clips = jax.random.split(jax.random.fold_in(batch["key"], batch["step"]))
        rows, counts = _draw(of_rows, batch["train"], batch["weight"], self.config)
        keys = jax.random.split(of_clips, self.config.batch_size)
        first, second = jax.vmap(lambda k, a, b: augmented(k, a, b, self.config))(
            keys, batch["onset"][rows], batch["apex"][rows]
        )
        return normalise(first), normalise(second), batch["label"][rows], counts

    def loss(self, params, extra, views, progress):
        first, second, label, counts = views
        logits = self.model.apply({"params": params}, first, second, method="logits")
        entropy = optax.softmax_cross_entropy_with_integer_labels(logits, label)
        return jnp.sum(entropy * counts), ({}, {})


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
