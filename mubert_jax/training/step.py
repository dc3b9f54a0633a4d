"""One training step: (state, batch) -> (state, metrics), pure; of whatever objective."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import optax
from jax.sharding import NamedSharding

from mubert_jax.training.objective import Objective
from mubert_jax.training.sharding import per_example
from mubert_jax.training.state import TrainState


def make_step(
    objective: Objective,
    tx: optax.GradientTransformation,
    total_steps: int,
    key: jax.Array,
    micro_batches: int = 1,
    batch_sharding: NamedSharding | None = None,
) -> Callable[[TrainState, dict], tuple[TrainState, dict]]:
    """Builds the step that `jax.jit` compiles; its metrics are float32 scalars.

    Args:
      key: of the run, from which `objective.views` draws.
      micro_batches: in how many parts a batch is taken, one after the other.
      batch_sharding: how the batch lies on the devices.
    """
    views_of = per_example(partial(objective.views, key), batch_sharding)

    def gradients_of(state: TrainState, batch: dict):
        progress = state.step / total_steps
        loss_fn = jax.value_and_grad(objective.loss, has_aux=True)
        (loss, (metrics, statistics)), gradients = loss_fn(
            state.params, state.extra, views_of(batch), progress
        )
        return gradients, metrics | {"loss": loss}, statistics

    def step(state: TrainState, batch: dict):
        gradients, metrics, statistics = mean_over_micro_batches(
            partial(gradients_of, state), batch, micro_batches
        )
        updates, opt_state = tx.update(gradients, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        progress = state.step / total_steps
        extra = objective.after_update(params, state.extra, statistics, progress)
        metrics["gradient_norm"] = optax.tree.norm(gradients)
        return TrainState(state.step + 1, params, opt_state, extra), metrics

    return step


def mean_over_micro_batches(of_part: Callable, batch: dict, parts: int):
    """Mean of what `of_part` gives of each of `parts` equal parts of a batch, one at a time.

    Every device keeps its own examples: part i holds examples i, i + parts, ...
    """
    if parts == 1:
        return of_part(batch)
    split = jax.tree.map(lambda x: x.reshape(-1, parts, *x.shape[1:]).swapaxes(0, 1), batch)
    first = jax.tree.map(lambda x: x[0], split)
    nothing = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(of_part, first))
    total, _ = jax.lax.scan(
        lambda total, part: (jax.tree.map(jnp.add, total, of_part(part)), None), nothing, split
    )
    return jax.tree.map(lambda x: x / parts, total)
