"""STSTNet, the shallow triple stream three-dimensional CNN (Liong et al., 2019): 1,683 parameters.

Three parallel 3 × 3 convolutions of 3, 5 and 8 kernels read (u, v, optical strain).
"""

import concurrent.futures
import functools
import os
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from mubert_jax.recognition.cross_validation import Learned, Learner, named_rows
from mubert_jax.recognition.inputs import Inputs
from mubert_jax.recognition.linear_probe import clip_weights
from mubert_jax.recognition.network import STATISTICS, fold_keys
from mubert_jax.recognition.networks._light import AdamNetwork, FlowOptions
from mubert_jax.recognition.networks._pooled_windows import POOLED, Windows, pooled, windows_of
from mubert_jax.recognition.networks._windows import Conv, max_pool
from mubert_jax.training.objective import Params

STREAMS = (3, 5, 8)
CHANNELS = sum(STREAMS)
EPSILON = 1e-5
# Folds in one product of matrices and clips per chunk, on a CPU: measured, what its caches hold.
FOLDS, CLIPS = 4, 4
REFERENCE = """\
@inproceedings{liong2019ststnet,
  author = {Liong, Sze-Teng and Gan, Yee Siang and See, John and Khor, Huai-Qian and
    Huang, Yen-Chang},
  title = {Shallow Triple Stream Three-dimensional {CNN} ({STSTNet}) for Micro-expression
    Recognition},
  booktitle = {14th IEEE International Conference on Automatic Face and Gesture Recognition (FG)},
  pages = {1--5},
  year = {2019},
}
"""


@dataclass(frozen=True)
class Options(FlowOptions):
    """What `config.recognition.options` may hold."""


class STSTNet(AdamNetwork):
    """Trained by Adam on all training clips at a time; every fold in the same program.

    `recognition.batch_size` is not read: a step sees all training clips, as published for 256 of
    442 clips or fewer.
    """

    Options = Options
    title = "STSTNet"
    reference = REFERENCE
    published_as = ("STSTNet",)

    def module(self) -> nn.Module:
        return Streams(self.classes)

    @property
    def folds_at_once(self) -> int:
        """Finished folds are kept whenever every core has fitted one group of them."""
        asked = self.config.recognition.folds_at_once
        return asked or (FOLDS * _threads() if jax.default_backend() == "cpu" else 0)

    def learner(self, inputs: Inputs, seed: int) -> Learner:
        """The learner that trains groups of folds, on a CPU one group per core."""
        maps_Px28x28x3 = self.maps(self.read(inputs, seed))[0]
        on_cpu, count = jax.default_backend() == "cpu", len(maps_Px28x28x3)
        windows = windows_of(maps_Px28x28x3, CLIPS if on_cpu else count)
        label_P = jnp.asarray(inputs.label)
        balance = self.config.recognition.balance

        def learn(
            fold_K: np.ndarray,
            train_KxP: np.ndarray,
            weight_decay_K: np.ndarray,
            watched_KxT: np.ndarray | None = None,
            /,
        ) -> Learned:
            marks_KxP = jnp.asarray(train_KxP)
            weight_KxP = jnp.stack(
                [clip_weights(label_P, marks, self.classes, balance) for marks in marks_KxP]
            )
            of_folds = {
                "params": self.start(inputs, seed, fold_K, train_KxP)["params"],
                "key": fold_keys(seed, fold_K),
                "train": marks_KxP.astype(jnp.float32),
                "weight": weight_KxP,
                "decay": jnp.asarray(weight_decay_K, jnp.float32),
            }
            size = FOLDS if on_cpu else len(fold_K)
            # The last group is filled up with its own folds, so that all are of one size.
            rows = [
                np.arange(start, start + size) % len(fold_K)
                for start in range(0, len(fold_K), size)
            ]
            groups = [jax.tree.map(lambda x, rows=rows: x[rows], of_folds) for rows in rows]
            fit = functools.partial(fit_folds, self, windows, label_P)
            with concurrent.futures.ThreadPoolExecutor(_threads() if on_cpu else 1) as pool:
                found = list(pool.map(lambda group: jax.device_get(fit(group)), groups))
            together = jax.tree.map(lambda *parts: np.concatenate(parts)[: len(fold_K)], *found)
            named = named_rows(together["named"], watched_KxT)
            return Learned(together["logits"], together["losses"], together["trained"], named)

        return learn


class Streams(nn.Module):
    """(maps (B, 28, 28, 3), train) -> logits (B, classes).

    The streams are columns of one convolution; each starts as the convolution that it is.
    """

    classes: int
    dropout: float = 0.5

    @nn.compact
    def __call__(self, maps: jax.Array, train: bool) -> jax.Array:
        x = nn.relu(Conv(CHANNELS, 3, 1, kernel_init=_of_streams, name="streams")(maps))
        x = nn.BatchNorm(not train, momentum=0.9, epsilon=EPSILON, name="norm")(x)
        x = max_pool(x, 3, 3, 1)
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        half = POOLED // 2
        x = x.reshape(-1, half, 2, half, 2, CHANNELS).mean((2, 4)).reshape(-1, half**2 * CHANNELS)
        return nn.Dense(self.classes, kernel_init=nn.initializers.glorot_uniform(), name="head")(x)


def _of_streams(key: jax.Array, shape: tuple[int, ...], dtype: jnp.dtype = jnp.float32):
    glorot, keys = nn.initializers.glorot_uniform(), jax.random.split(key, len(STREAMS))
    parts = zip(keys, STREAMS, strict=True)
    return jnp.concatenate([glorot(key, (*shape[:-1], n), dtype) for key, n in parts], axis=-1)


@functools.partial(jax.jit, static_argnames="network")
def fit_folds(
    network: STSTNet, windows: Windows, label_P: jax.Array, folds: dict[str, jax.Array]
) -> dict:
    """Trains K copies of the network, with what `folds` holds of each along a leading axis K.

    Args:
      folds: "params", first parameters; "key"; "train" and "weight" (K, P), the clips it learns
        from and their shares of the loss; "decay" (K,).

    Returns:
      "logits" (K, P, classes) of all clips, "losses" (K, epochs), "trained", all variables, and
      "named" (K, epochs, P), the class that each clip is taken for after each epoch.
    """
    epochs = network.config.recognition.epochs
    tx = network.optimizer(epochs)
    empty = len(windows.values) * windows.clips - len(label_P)
    label_KxP = jnp.tile(jnp.pad(label_P, (0, empty)), (len(folds["key"]), 1))
    train, weight = (jnp.pad(folds[name], ((0, 0), (0, empty))) for name in ("train", "weight"))

    def loss_of(params: Params, epoch: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        keys = jax.vmap(jax.random.fold_in, (0, None))(folds["key"], epoch)
        kept = jax.vmap(lambda key: dropped(key, label_KxP.shape[1]))(keys)
        pools, _ = pooled_folds(params, windows, train)
        entropy = optax.softmax_cross_entropy_with_integer_labels(
            head_logits(params, pools, kept), label_KxP
        )
        losses = jnp.sum(entropy * weight, axis=1)
        return jnp.sum(losses), (losses, named(params, pools))

    def named(params: Params, pools: jax.Array) -> jax.Array:
        """What clips are taken for, (K, P)."""
        found_KxP = jnp.argmax(head_logits(params, pools, None), axis=-1)
        return found_KxP[:, : len(label_P)].astype(jnp.uint8)

    def step(carry: tuple, epoch: jax.Array) -> tuple[tuple, tuple[jax.Array, jax.Array]]:
        params, state = carry
        gradient, found = jax.grad(loss_of, has_aux=True)(params, epoch)
        updates, state = jax.vmap(tx.update)(gradient, state, params)
        return (optax.apply_updates(params, updates), state), found

    state: Any = jax.vmap(tx.init)(folds["params"])
    state.hyperparams["weight_decay"] = folds["decay"]
    (params, _), (losses, before) = jax.lax.scan(step, (folds["params"], state), jnp.arange(epochs))
    pools, norm = pooled_folds(params, windows, train)
    # A step sees the clips before it learns: what it names is of the epoch before.
    of_epochs = jnp.concatenate([before[1:], named(params, pools)[None]])
    return {
        "logits": head_logits(params, pools, None)[:, : len(label_P)],
        "losses": losses.T,
        "trained": {"params": params, STATISTICS: {"norm": norm}},
        "named": of_epochs.swapaxes(0, 1),
    }


def dropped(key: jax.Array, clips: int) -> jax.Array:
    """Whether each of the pooled values of so many clips is kept, (clips, 100, 16): a bit each."""
    bits = jax.random.bits(key, (clips, POOLED**2), jnp.uint16)
    return (bits[..., None] >> jnp.arange(CHANNELS, dtype=jnp.uint16)) & 1


def pooled_folds(
    params: Params, windows: Windows, train_KxP: jax.Array
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """The pools (P, 100, K, 16) of `Streams`, and the mean and variance (K, 16) of its batch norm.

    Statistics are those of the clips that `train_KxP` marks, for all other clips, too.

    Args:
      params: The parameters of K folds; a clip has the same windows in all of them.
    """
    streams, norm = params["streams"], params["norm"]
    count, clips = train_KxP.shape
    kernel = streams["kernel"].reshape(count, -1, CHANNELS)
    columns = jnp.concatenate([kernel, streams["bias"][:, None]], axis=1)
    columns = columns.transpose(1, 0, 2).reshape(-1, count * CHANNELS)
    sign = jnp.where(norm["scale"] < 0, -1.0, 1.0).reshape(-1)
    trained = jnp.repeat(train_KxP.T, CHANNELS, axis=1).reshape(-1, windows.clips, sign.size)
    best, *sums = pooled(columns, sign, windows, trained)
    # The images have 28 × 28 places each.
    places = 28**2 * jnp.sum(train_KxP, axis=1)[:, None]
    mean, squares = (x.reshape(count, CHANNELS) / places for x in sums)
    variance = jnp.maximum(squares - mean**2, 0)
    scale = norm["scale"] * jax.lax.rsqrt(variance + EPSILON)
    pools = best.reshape(clips, -1, count, CHANNELS) * scale + (norm["bias"] - mean * scale)
    return pools, {"mean": mean, "var": variance}


def head_logits(params: Params, pools: jax.Array, kept: jax.Array | None) -> jax.Array:
    """Logits (K, P, C) from pools (P, 100, K, 16).

    Args:
      kept: What dropout keeps, (K, P, 100, 16); None keeps everything.
    """
    x, head = pools, params["head"]
    clips, _, count, _ = x.shape
    if kept is not None:
        x = x * (2 * kept.transpose(1, 2, 0, 3))
    x = x.reshape(clips, 4, -1, count, CHANNELS).mean(1)
    by_place = head["kernel"].reshape(count, x.shape[1], CHANNELS, -1)
    return jnp.einsum("pnkf,knfc->kpc", x, by_place) + head["bias"][:, None]


def _threads() -> int:
    return os.cpu_count() or 1
