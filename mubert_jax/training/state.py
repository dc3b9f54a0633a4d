"""The training state and its initial value."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

from mubert_jax.config import OptimizerConfig
from mubert_jax.training.objective import Objective, Params
from mubert_jax.training.schedules import learning_rate


@flax.struct.dataclass
class TrainState:
    """Everything that a step reads and writes, and the whole content of a checkpoint.

    `extra` is the state that the objective keeps beside its parameters; {} if there is none.
    """

    step: jax.Array
    params: Params
    opt_state: optax.OptState
    extra: dict


def create_state(
    objective: Objective,
    tx: optax.GradientTransformation,
    key: jax.Array,
    from_disk: dict | None = None,
) -> TrainState:
    """A fresh state, a function of `key` and of what `objective.from_disk` gave.

    It is to be jitted with output shardings.
    """
    params = objective.init(key)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        opt_state=tx.init(params),
        extra=objective.extra(params) | (from_disk or {}),
    )


def optimizer(
    options: OptimizerConfig, total_steps: int, frozen: Sequence[str] = ()
) -> optax.GradientTransformation:
    """AdamW or LARS; weight decay on matrices only, not on biases, norms and the contextual token.

    Args:
      options: The rate, the decays and whose updates they are.
      total_steps: Where the rate ends at 0.
      frozen: Beginnings of the slash-joined names of parameters that are left as they are.
    """
    chained = [_updates(options, learning_rate(options, total_steps))]
    if options.clip_norm:
        chained.insert(0, optax.clip_by_global_norm(options.clip_norm))
    if frozen:
        chained.append(optax.masked(optax.set_to_zero(), partial(begin_with, frozen)))
    return optax.chain(*chained) if len(chained) > 1 else chained[0]


def _updates(options: OptimizerConfig, rate: optax.Schedule) -> optax.GradientTransformation:
    if options.name == "lars":
        return optax.lars(
            rate,
            weight_decay=options.weight_decay,
            weight_decay_mask=_matrices,
            trust_ratio_mask=_matrices,
            momentum=options.beta1,
        )
    return optax.adamw(
        rate,
        b1=options.beta1,
        b2=options.beta2,
        weight_decay=options.weight_decay,
        mask=_matrices,
    )


def _matrices(params: Params):
    return jax.tree.map(lambda x: x.ndim > 1, params)


def begin_with(beginnings: Sequence[str], params: Params) -> Any:
    """Which parameters have slash-joined names that begin so: a tree of booleans."""

    def begins(path: Any, _: jax.Array) -> bool:
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        return name.startswith(tuple(beginnings))

    return jax.tree_util.tree_map_with_path(begins, params)
