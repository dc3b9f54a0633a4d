"""One training step of any objective: a pure function (state, batch) -> (state, metrics)."""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import optax
from jax.sharding import NamedSharding

from mubert_jax.training.objective import Metrics, Objective, Params
from mubert_jax.training.sharding import per_example
from mubert_jax.training.state import TrainState, begin_with

Tree = TypeVar("Tree")


def make_step(
    objective: Objective,
    tx: optax.GradientTransformation,
    total_steps: int,
    key: jax.Array,
    micro_batches: int = 1,
    batch_sharding: NamedSharding | None = None,
) -> Callable[[TrainState, dict[str, Any]], tuple[TrainState, Metrics]]:
    """Builds the step that `jax.jit` compiles; its metrics are float32 scalars.

    Args:
      key: The run's key, from which `objective.views` draws.
      micro_batches: The number of parts in which a batch is processed, one after the other.
      batch_sharding: The sharding of the batch over the devices.
    """
    views_of = per_example(partial(objective.views, key), batch_sharding)

    def loss_of(params: Params, *inputs: Any) -> tuple[jax.Array, tuple[Metrics, dict]]:
        frozen = begin_with(objective.frozen, params)
        kept = jax.tree.map(lambda x, y: jax.lax.stop_gradient(x) if y else x, params, frozen)
        return objective.loss(kept, *inputs)

    def gradients_of(state: TrainState, batch: dict[str, Any]) -> tuple[Params, Metrics, dict]:
        progress = state.step / total_steps
        loss_fn = jax.value_and_grad(loss_of, has_aux=True)
        (loss, (metrics, statistics)), gradients = loss_fn(
            state.params, state.extra, views_of(batch), progress
        )
        return gradients, metrics | {"loss": loss}, statistics

    def step(state: TrainState, batch: dict[str, Any]) -> tuple[TrainState, Metrics]:
        gradients, metrics, statistics = mean_over_micro_batches(
            partial(gradients_of, state), batch, micro_batches
        )
        updates, opt_state = tx.update(gradients, state.opt_state, state.params)
        # Optax types any tree as `ArrayTree`; this one has the structure of `state.params`.
        params: Params = optax.apply_updates(state.params, updates)  # pyrefly: ignore[bad-assignment]
        progress = state.step / total_steps
        extra = objective.after_update(params, state.extra, statistics, progress)
        metrics["gradient_norm"] = optax.tree.norm(gradients)
        return TrainState(state.step + 1, params, opt_state, extra), metrics

    return step


def mean_over_micro_batches(
    of_part: Callable[[dict[str, Any]], Tree], batch: dict[str, Any], parts: int
) -> Tree:
    """The mean of `of_part` over `parts` equal parts of a batch, computed one at a time.

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
