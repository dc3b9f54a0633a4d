"""A recognizer network: its interface, and the training of one copy per fold in one program."""

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
from mubert_jax.errors import UserError
from mubert_jax.recognition.backbone import Backbone
from mubert_jax.recognition.cross_validation import Learned, Learner
from mubert_jax.recognition.inputs import APEX_ALONE, FRAMES, Inputs, check_input, in_batches
from mubert_jax.recognition.linear_probe import clip_weights
from mubert_jax.training.objective import Metrics, NoOptions, Objective, Params
from mubert_jax.training.state import TrainState
from mubert_jax.training.step import make_step

# The share of the steps in which the learning rate rises. A tenth is a common choice for
# transformers: less risks large first steps, more leaves fewer steps at a high rate.
WARMUP = 0.1
# The entry of a network's parameters that no gradient changes: running averages of batch norms. It
# is Flax's name of that collection.
STATISTICS = "batch_stats"


class Network(abc.ABC):
    """A recognizer; each file of `mubert_jax.recognition.networks` defines one subclass.

    `init`, `logits`, `training_logits` and `augment` are pure and are compiled by `jax.jit`. Their
    `inputs` are a dict by the names in `reads`. Parameters may hold an entry `STATISTICS`, which
    no gradient changes: running averages of what a training has seen, so that a test clip is
    classified without any other.

    Attributes:
      config: the config of the run; its `model.recognizer.classes` is the number of classes.
      Options: a frozen dataclass: what `config.recognition.options` may hold, and its defaults.
      options: the `Options` of this run.
      reads: the names of its inputs, as `Inputs.read` knows them.
      copies: the number of augmented copies per pair that are read beside it; a step draws among
        them and the pair.
      predicts: whether `mubert predict` can open its `weights`.
      any_objective: whether its backbone may be the encoder of any objective, not of Micron-BERT
        alone.
      recipe: the config that trains it; `configs/recognition/NAME.py`, with the name of its file,
        if empty.
      title: what tables call it; the name of its file if empty.
      reference: its publication as a BibTeX entry; "" if it has none.
      published_as: what its rows are called in `published.PUBLISHED`.
      by_epochs: whether it is trained by epochs, among which one could be picked.
    """

    Options: type = NoOptions
    reads: tuple[str, ...]
    copies: int = 0
    predicts: bool = False
    any_objective: bool = False
    recipe: str = ""
    title: str = ""
    reference: str = ""
    published_as: tuple[str, ...] = ()
    by_epochs: bool = True

    def __init__(self, config: Config, backbone: Backbone | None = None):
        """Reads the options; without a backbone the network only checks the config.

        Raises:
          UserError: the options are not those of `Options`, there is no such input, or something
            is asked of the epochs where there are none.
        """
        self.config, self._backbone = config, backbone
        given = config.recognition.options
        self.options: Any = from_values(self.Options, given, "config.recognition.options")
        for name in self.reads:
            check_input(name)
        if not self.by_epochs:
            self._refuse_epochs()
        if FRAMES in self.reads and config.recognition.clip_pooling != APEX_ALONE:
            raise UserError(
                f"config.recognition.clip_pooling: {config.recognition.network} learns from onset "
                "and apex themselves; only what is computed once can be pooled over a clip, such "
                "as config.recognition.network=linear_probe or ridge reads"
            )

    def _refuse_epochs(self) -> None:
        asked = self.config.recognition
        keys = {
            "optimism": asked.optimism,
            "learning_rate_factors": len(asked.learning_rate_factors) > 1,
            "epochs_factors": len(asked.epochs_factors) > 1,
        }
        for key, given in keys.items():
            if given:
                raise UserError(
                    f"config.recognition.{key}: {asked.network} is solved in closed form, so there "
                    "is no epoch to pick and no rate to choose; leave it out"
                )

    @property
    def backbone(self) -> Backbone:
        """The pretrained Micron-BERT; ValueError if the network was made without one."""
        if self._backbone is None:
            raise ValueError(f"{type(self).__name__} was made without a backbone")
        return self._backbone

    @property
    def classes(self) -> int:
        return self.config.model.recognizer.classes

    @abc.abstractmethod
    def init(self, key: jax.Array, inputs: dict[str, jax.Array]) -> Params:
        """The first parameters, given the inputs of one pair, (1, ...), for their shapes."""

    @abc.abstractmethod
    def logits(self, params: Params, inputs: dict[str, jax.Array]) -> jax.Array:
        """The logits (B, classes), float32, of inputs (B, ...)."""

    def training_logits(
        self, params: Params, inputs: dict[str, jax.Array], key: jax.Array
    ) -> tuple[jax.Array, Params]:
        """The logits (B, classes) in a step, and the `STATISTICS` after it.

        It differs from `logits` where there is dropout, which draws by `key`, or batch norm.
        """
        return self.logits(params, inputs), params.get(STATISTICS, {})

    def loss(self, logits: jax.Array, label_B: jax.Array, weight_B: jax.Array) -> jax.Array:
        """The loss of a batch, from its clips' weights: here cross-entropy."""
        entropy_B = optax.softmax_cross_entropy_with_integer_labels(logits, label_B)
        return jnp.sum(entropy_B * weight_B)

    def augment(self, key: jax.Array, inputs: dict[str, jax.Array]) -> dict[str, jax.Array]:
        """The inputs of one pair, augmented for a step."""
        return inputs

    def layers(self, params: Params) -> Any:
        """The depth of each parameter below the top layer: a tree like `params`, of integers.

        A parameter at depth n learns at `config.recognition.layer_decay`**n of the learning rate.
        """
        return jax.tree.map(lambda _: 0, params)

    def optimizer(self, steps: int) -> optax.GradientTransformation:
        """The updates of a training of so many steps.

        Its state has `hyperparams["weight_decay"]`, as `optax.inject_hyperparams` gives it. Here it
        is AdamW; every layer learns `layer_decay` times as fast as the one above it, and the
        gradient is clipped at a global norm of 1, a common choice for transformers.
        """
        config = self.config.recognition
        schedule = optax.warmup_cosine_decay_schedule(
            0.0, config.learning_rate, round(WARMUP * steps), max(2, steps)
        )

        def slower_below(updates: Any, _: Any) -> Any:
            scales = jax.tree.map(lambda below: config.layer_decay**below, self.layers(updates))
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

    def start(self, inputs: Inputs, seed: int, fold_K: np.ndarray, train_KxP: np.ndarray) -> Params:
        """The first parameters of each fold, with a leading axis K."""
        example = {name: jnp.asarray(x[0, :1]) for name, x in self.read(inputs, seed).items()}
        keys = fold_keys(seed, fold_K)
        return jax.vmap(lambda key: self.init(key, example))(keys)

    def weights(self, params: Params) -> Params:
        """The parameters of a Micron-BERT with a recognizer, if the network `predicts`."""
        raise NotImplementedError(f"{type(self).__name__} is not what `mubert predict` opens")

    def read(self, inputs: Inputs, seed: int) -> dict[str, np.ndarray]:
        """The inputs of all pairs, (1 + copies, P, ...) each, by name."""
        return {name: inputs.read(name, self.copies, seed) for name in self.reads}

    @property
    def folds_at_once(self) -> int:
        """The number of folds that are trained in one program; 0 for all."""
        return self.config.recognition.folds_at_once or (1 if jax.default_backend() == "cpu" else 8)

    def learner(self, inputs: Inputs, seed: int) -> Learner:
        """The learner for cross-validation; here it trains a copy per fold by gradient descent."""
        read = self.read(inputs, seed)

        def learn(
            fold_K: np.ndarray,
            train_KxP: np.ndarray,
            weight_decay_K: np.ndarray,
            watched_KxT: np.ndarray | None = None,
            /,
        ) -> Learned:
            named: list[np.ndarray] = []

            def look(epoch: int, loss_K: np.ndarray, params_K: Params) -> None:
                if watched_KxT is not None:
                    named.append(_watched(self, params_K, read, watched_KxT))

            start = self.start(inputs, seed, fold_K, train_KxP)
            folds = fold_K, train_KxP, weight_decay_K
            params, losses = train(self, start, read, inputs.label, *folds, seed, look)
            logits = in_batches(
                lambda rows: _see(self, params, {name: x[0, rows] for name, x in read.items()}),
                len(inputs.label),
                axis=1,
            )
            return Learned(logits, losses, params, np.stack(named, 1) if named else None)

        return learn


def train(
    network: Network,
    params_K: Params,
    read: dict[str, np.ndarray],
    label_P: np.ndarray,
    fold_K: np.ndarray,
    train_KxP: np.ndarray,
    weight_decay_K: np.ndarray,
    seed: int,
    after_epoch: Callable[[int, np.ndarray, Params], None] = lambda epoch, loss_K, params_K: None,
) -> tuple[Params, np.ndarray]:
    """Trains K copies of a network, each on the clips that its row of `train_KxP` marks.

    An epoch is as many batches as all pairs fill; clips are drawn with replacement.

    The step is vmapped over the folds. A fold's batches and augmentations are a function of (seed,
    fold, step), so that it learns the same alone and among others.

    Args:
      params_K: The first parameters of each fold, with a leading axis K.
      read: The inputs of all pairs by name, (1 + copies, P, ...) each.
      label_P: The class of each pair.
      fold_K: The numbers of the folds.
      train_KxP: The clips from which each fold learns, boolean.
      weight_decay_K: The weight decay of each fold.
      after_epoch: Called with the epoch, the folds' mean losses (K,) and their parameters.

    Returns:
      Parameters with a leading axis K, and losses (K, epochs).
    """
    config = network.config.recognition
    per_epoch = -(-len(label_P) // config.batch_size)
    total = per_epoch * config.epochs
    marks, label = jnp.asarray(train_KxP), jnp.asarray(label_P)
    weights = jax.vmap(lambda marks: clip_weights(label, marks, network.classes, config.balance))
    folds = {"key": fold_keys(seed, fold_K), "train": marks, "weight": weights(marks)}
    pairs = {"read": jax.tree.map(jnp.asarray, read), "label": label}
    learned = jax.tree.map(jnp.asarray, params_K)
    statistics = learned.pop(STATISTICS, {})
    opt_state: Any = jax.vmap(network.optimizer(total).init)(learned)
    opt_state.hyperparams["weight_decay"] = jnp.asarray(weight_decay_K, jnp.float32)
    state = TrainState(jnp.zeros(len(marks), jnp.int32), learned, opt_state, statistics)
    losses = []
    for epoch in range(config.epochs):
        loss_K = 0.0
        for _ in range(per_epoch):
            state, loss = _advance(state, folds, pairs, network, total)
            loss_K += loss
        losses.append(np.asarray(loss_K) / per_epoch)
        params_K = state.params | ({STATISTICS: state.extra} if state.extra else {})
        after_epoch(epoch, losses[-1], params_K)
    return params_K, np.stack(losses, 1)


def fold_keys(seed: int, fold_K: np.ndarray) -> jax.Array:
    """A key per fold."""
    return jax.vmap(lambda fold: jax.random.fold_in(jax.random.key(seed), fold))(
        jnp.asarray(fold_K)
    )


@functools.partial(jax.jit, static_argnames=("network", "total_steps"), donate_argnames="state")
def _advance(
    state: TrainState,
    folds: dict[str, jax.Array],
    pairs: dict[str, Any],
    network: Network,
    total_steps: int,
) -> tuple[TrainState, jax.Array]:
    """One step of every fold; returns the state and the loss of each."""
    tx = network.optimizer(total_steps)
    step = make_step(FineTuning(network), tx, total_steps, key=jax.random.key(0))

    def of_fold(state: TrainState, fold: dict[str, jax.Array]) -> tuple[TrainState, jax.Array]:
        state, metrics = step(state, fold | pairs | {"step": state.step})
        return state, metrics["loss"]

    return jax.vmap(of_fold)(state, folds)


@functools.partial(jax.jit, static_argnames="network")
def _see(network: Network, params_K: Params, inputs: dict[str, jax.Array]) -> jax.Array:
    """The logits (K, B, classes) of inputs by every fold."""
    return jax.vmap(network.logits, (0, None))(params_K, inputs)


def _watched(
    network: Network, params_K: Params, read: dict[str, np.ndarray], watched_KxT: np.ndarray
) -> np.ndarray:
    """The class that each fold takes each of its watched pairs for, (K, T)."""
    logits_KxTxC = in_batches(
        lambda columns: _see_own(
            network, params_K, {name: x[0, watched_KxT[:, columns]] for name, x in read.items()}
        ),
        watched_KxT.shape[1],
        axis=1,
    )
    return logits_KxTxC.argmax(-1)


@functools.partial(jax.jit, static_argnames="network")
def _see_own(network: Network, params_K: Params, inputs: dict[str, jax.Array]) -> jax.Array:
    """The logits (K, B, classes) of inputs (K, B, ...) by the fold that they belong to."""
    return jax.vmap(network.logits)(params_K, inputs)


class FineTuning(Objective):
    """The loss of a network on augmented clips, drawn by a key of the fold's own."""

    def __init__(self, network: Network):
        self.network, self.config = network, network.config

    def init(self, key: jax.Array) -> Params:
        raise NotImplementedError("`Network.start` gives the first parameters of a fold")

    def views(self, key: jax.Array, batch: dict[str, Any]) -> Any:
        """(inputs, label, weight) of a drawn batch of clips, and a key for the network."""
        config = self.config.recognition
        of_rows, of_clips = jax.random.split(jax.random.fold_in(batch["key"], batch["step"]))
        rows, counts = _draw(of_rows, batch["train"], batch["weight"], config)
        copies = 0
        if self.network.copies:
            of_copies = jax.random.fold_in(of_rows, 1)
            copies = jax.random.randint(of_copies, rows.shape, 0, 1 + self.network.copies)
        drawn = {name: x[copies, rows] for name, x in batch["read"].items()}
        keys = jax.random.split(of_clips, config.batch_size)
        inputs = jax.vmap(self.network.augment)(keys, drawn)
        return inputs, batch["label"][rows], counts, jax.random.fold_in(of_clips, 0)

    def loss(
        self, params: Params, extra: dict, views: Any, progress: jax.Array
    ) -> tuple[jax.Array, tuple[Metrics, dict]]:
        inputs, label, counts, key = views
        known = params | ({STATISTICS: extra} if extra else {})
        logits, statistics = self.network.training_logits(known, inputs, key)
        return self.network.loss(logits, label, counts), ({}, statistics)

    def after_update(
        self, params: Params, extra: dict, statistics: dict, progress: jax.Array
    ) -> dict:
        return statistics


def _draw(key: jax.Array, train_P: jax.Array, weight_P: jax.Array, config: RecognitionConfig):
    """The rows of a batch and their weights: classes are balanced by the draw or by the weights."""
    even = jnp.full(config.batch_size, 1 / config.batch_size)
    if config.balance == "sampling":
        return jax.random.choice(key, len(train_P), even.shape, p=weight_P), even
    chance_P = train_P / jnp.sum(train_P)
    rows = jax.random.choice(key, len(train_P), even.shape, p=chance_P)
    return rows, weight_P[rows] / chance_P[rows] * even


def matrices(params: Any) -> Any:
    """Which parameters weight decay acts upon: those that are no bias and no scale."""
    return jax.tree.map(lambda x: x.ndim > 1, params)
