"""The training state and its initial value."""

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
    objective: Objective, tx: optax.GradientTransformation, key: jax.Array
) -> TrainState:
    """A fresh state, a function of `key`; to be jitted with output shardings."""
    params = objective.init(key)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        opt_state=tx.init(params),
        extra=objective.extra(params),
    )


def optimizer(options: OptimizerConfig, total_steps: int) -> optax.GradientTransformation:
    """AdamW; weight decay on matrices only, not on biases, norms and the contextual token."""
    adamw = optax.adamw(
        learning_rate(options, total_steps),
        b1=options.beta1,
        b2=options.beta2,
        weight_decay=options.weight_decay,
        mask=lambda params: jax.tree.map(lambda x: x.ndim > 1, params),
    )
    if options.clip_norm:
        return optax.chain(optax.clip_by_global_norm(options.clip_norm), adamw)
    return adamw
