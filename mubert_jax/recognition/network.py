"""A recognizer network: one object, and how a copy of it per fold is trained, in one program."""

import abc
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from mubert_jax.config import Config, RecognitionConfig
from mubert_jax.config_values import from_values
from mubert_jax.recognition.cross_validation import Learner
from mubert_jax.recognition.inputs import Backbone, Inputs, check_input, in_batches
from mubert_jax.recognition.linear_probe import clip_weights
from mubert_jax.training.objective import NoOptions, Objective
from mubert_jax.training.state import TrainState
from mubert_jax.training.step import make_step

Params = Any
# Of the steps, before the learning rate is at its highest.
WARMUP = 0.1


class Network(abc.ABC):
    """A recognizer; a subclass of it in a file of `mubert_jax.recognition.networks` is found there.

    `init`, `logits` and `augment` are pure and are compiled by `jax.jit`. What a network reads is a
    dict, by the names in `reads`.

    Attributes:
      config: of the run; its `model.recognizer.classes` is the number of classes.
      backbone: the pretrained Micron-BERT; None where only the config is looked at.
      Options: a frozen dataclass: what `config.recognition.options` may hold, and its defaults.
      options: one of them.
      reads: names of what it reads, as `Inputs.read` knows them.
      copies: how many augmented copies of each pair are read beside it; a step draws among them.
      predicts: whether `weights` is what `mubert predict` can open.
    """

    Options: type = NoOptions
    reads: tuple[str, ...]
    copies: int = 0
    predicts: bool = False

    def __init__(self, config: Config, backbone: Backbone | None = None):
        """Raises UserError: the options are not those of `Options`, or there is no such input."""
        self.config, self.backbone = config, backbone
        given = config.recognition.options
        self.options = from_values(self.Options, given, "config.recognition.options")
        for name in self.reads:
            check_input(name)

    @property
    def classes(self) -> int:
        return self.config.model.recognizer.classes

    @abc.abstractmethod
    def init(self, key: jax.Array, inputs: dict[str, jax.Array]) -> Params:
        """The first parameters; `inputs` of one pair, (1, ...), for their shapes."""

    @abc.abstractmethod
    def logits(self, params: Params, inputs: dict[str, jax.Array]) -> jax.Array:
        """(B, classes), float32, of inputs (B, ...)."""

    def augment(self, key: jax.Array, inputs: dict[str, jax.Array]) -> dict[str, jax.Array]:
        """The inputs of one pair as a step learns from them."""
        return inputs

    def layers(self, params: Params) -> Any:
        """How many layers below the top each parameter is: a tree as `params`, of integers.

        `config.recognition.layer_decay` lets each layer learn so much slower than the one above.
        """
        return jax.tree.map(lambda _: 0, params)

    def start(self, inputs: Inputs, seed: int, fold_K, train_KxP) -> Params:
        """Where the training of each fold starts, with a leading axis K."""
        example = {name: x[0, :1] for name, x in self.read(inputs, seed).items()}
        keys = _keys(seed, fold_K)
        return jax.vmap(lambda key: self.init(key, example))(keys)

    def weights(self, params: Params) -> dict:
        """The parameters of a Micron-BERT with a recognizer, where the network `predicts`."""
        raise NotImplementedError(f"{type(self).__name__} is not what `mubert predict` opens")

    def read(self, inputs: Inputs, seed: int) -> dict[str, np.ndarray]:
        """What it reads of all pairs, (1 + copies, P, ...) each."""
        return {name: inputs.read(name, self.copies, seed) for name in self.reads}

    @property
    def folds_at_once(self) -> int:
        """How many folds are one program; 0 for all."""
        return self.config.recognition.folds_at_once or (1 if jax.default_backend() == "cpu" else 8)

    def learner(self, inputs: Inputs, seed: int) -> Learner:
        """What cross-validation asks for: here, a copy per fold is trained by gradient descent."""
        read = self.read(inputs, seed)
        see = jax.jit(jax.vmap(self.logits, (0, None)))

        def learn(fold_K, train_KxP, weight_decay_K):
            start = self.start(inputs, seed, fold_K, train_KxP)
            folds = fold_K, train_KxP, weight_decay_K
            params, losses = train(self, start, read, inputs.label, *folds, seed)
            logits = in_batches(
                lambda rows: see(params, {name: x[0, rows] for name, x in read.items()}),
                len(inputs.label),
                axis=1,
            )
            return logits, losses, params

        return learn


def train(
    network: Network,
    params_K: Params,
    read: dict[str, np.ndarray],
    label_P,
    fold_K,
    train_KxP,
    weight_decay_K,
    seed: int,
    after_epoch: Callable[[int, np.ndarray], None] = lambda epoch, loss_K: None,
) -> tuple[Params, np.ndarray]:
    """Trains K copies of a network, each on the clips that its row of `train_KxP` marks.

    An epoch is as many batches as all pairs fill; clips are drawn with replacement.

    The step is vmapped over the folds. A fold's batches and augmentations are a function of (seed,
    fold, step): in whatever company it is trained, it learns the same.

    Args:
      params_K: where each fold starts, with a leading axis K.
      read: of all pairs, (1 + copies, P, ...) each; label_P: class of each pair.
      fold_K: the folds' numbers; train_KxP: boolean; weight_decay_K: of each.
      after_epoch: is told the epoch and the folds' mean losses (K,).

    Returns:
      Parameters with a leading axis K, and losses (K, epochs).
    """
    config = network.config.recognition
    per_epoch = -(-len(label_P) // config.batch_size)
    total = per_epoch * config.epochs
    marks, label = jnp.asarray(train_KxP), jnp.asarray(label_P)
    weights = jax.vmap(lambda marks: clip_weights(label, marks, network.classes, config.balance))
    folds = {"key": _keys(seed, fold_K), "train": marks, "weight": weights(marks)}
    pairs = {"read": jax.tree.map(jnp.asarray, read), "label": label}
    params_K = jax.tree.map(jnp.asarray, params_K)
    opt_state = jax.vmap(_optimizer(network, total).init)(params_K)
    opt_state.hyperparams["weight_decay"] = jnp.asarray(weight_decay_K, jnp.float32)
    state = TrainState(jnp.zeros(len(marks), jnp.int32), params_K, opt_state, {})
    losses = []
    for epoch in range(config.epochs):
        loss_K = 0.0
        for _ in range(per_epoch):
            state, loss = _advance(state, folds, pairs, network, total)
            loss_K += loss
        losses.append(np.asarray(loss_K) / per_epoch)
        after_epoch(epoch, losses[-1])
    return state.params, np.stack(losses, axis=1)


def _keys(seed: int, fold_K):
    """A key per fold."""
    return jax.vmap(lambda fold: jax.random.fold_in(jax.random.key(seed), fold))(
        jnp.asarray(fold_K)
    )


@functools.partial(jax.jit, static_argnames=("network", "total_steps"), donate_argnames="state")
def _advance(state, folds, pairs, network, total_steps):
    """One step of every fold: its state and its loss."""
    tx = _optimizer(network, total_steps)
    step = make_step(FineTuning(network), tx, total_steps, key=jax.random.key(0))

    def of_fold(state, fold):
        state, metrics = step(state, fold | pairs | {"step": state.step})
        return state, metrics["loss"]

    return jax.vmap(of_fold)(state, folds)


class FineTuning(Objective):
    """The cross-entropy of a network on augmented clips; what is drawn has a key of the fold's."""

    def __init__(self, network: Network):
        self.network, self.config = network, network.config.recognition

    def init(self, key):
        raise NotImplementedError("where a fold starts, `Network.start` says")

    def views(self, key, batch):
        of_rows, of_clips = jax.random.split(jax.random.fold_in(batch["key"], batch["step"]))
        rows, counts = _draw(of_rows, batch["train"], batch["weight"], self.config)
        copies = 0
        if self.network.copies:
            of_copies = jax.random.fold_in(of_rows, 1)
            copies = jax.random.randint(of_copies, rows.shape, 0, 1 + self.network.copies)
        drawn = {name: x[copies, rows] for name, x in batch["read"].items()}
        keys = jax.random.split(of_clips, self.config.batch_size)
        return jax.vmap(self.network.augment)(keys, drawn), batch["label"][rows], counts

    def loss(self, params, extra, views, progress):
        inputs, label, counts = views
        logits = self.network.logits(params, inputs)
        entropy = optax.softmax_cross_entropy_with_integer_labels(logits, label)
        return jnp.sum(entropy * counts), ({}, {})


def _draw(key, train_P, weight_P, config: RecognitionConfig):
    """Rows of a batch and how much each counts: balanced by what is drawn, or by weights."""
    even = jnp.full(config.batch_size, 1 / config.batch_size)
    if config.balance == "sampling":
        return jax.random.choice(key, len(train_P), even.shape, p=weight_P), even
    chance_P = train_P / jnp.sum(train_P)
    rows = jax.random.choice(key, len(train_P), even.shape, p=chance_P)
    return rows, weight_P[rows] / chance_P[rows] * even


def _optimizer(network: Network, steps: int):
    """AdamW; every layer learns `layer_decay` times as fast as the one above it."""
    config = network.config.recognition
    schedule = optax.warmup_cosine_decay_schedule(
        0.0, config.learning_rate, round(WARMUP * steps), max(2, steps)
    )
    matrices = functools.partial(jax.tree.map, lambda x: x.ndim > 1)

    def slower_below(updates, _):
        scales = jax.tree.map(lambda below: config.layer_decay**below, network.layers(updates))
        return jax.tree.map(jnp.multiply, updates, scales)

    adam = optax.inject_hyperparams(
        lambda weight_decay: optax.chain(
            optax.clip_by_global_norm(1.0),
            optax.scale_by_adam(),
            optax.add_decayed_weights(weight_decay, matrices),
            optax.stateless(slower_below),
            optax.scale_by_learning_rate(schedule),
        )
    )
    return adam(weight_decay=0.0)
