"""The compiled parts of a run: its first state and its step, placed on the devices."""

from functools import partial

import jax
from jax.sharding import Mesh

from mubert_jax.config import Config
from mubert_jax.training import sharding
from mubert_jax.training.objective import Objective
from mubert_jax.training.state import create_state, optimizer
from mubert_jax.training.step import make_step


class CompiledRun:
    """The compiled parts of a run on `mesh`, whose devices may belong to a topology elsewhere.

    Attributes:
      abstract_state: shapes and shardings of the state, for restoring one.
      fresh_state: () -> the state before the first step.
      step: (state, batch) -> state, metrics; the buffers of the given state are donated.
      batch_sharding: how a batch is split over the devices.
    """

    def __init__(self, objective: Objective, config: Config, mesh: Mesh, total_steps: int):
        tx = optimizer(config.optimizer, total_steps, objective.frozen)
        key = jax.random.key(config.training.seed)
        from_disk = objective.from_disk()
        create = partial(create_state, objective, tx, key)
        abstract = jax.eval_shape(create, from_disk)
        shardings = sharding.state_shardings(mesh, config.runtime.sharding, abstract)
        self.batch_sharding = sharding.batch_sharding(mesh)
        self.abstract_state = jax.tree.map(
            lambda leaf, place: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place),
            abstract,
            shardings,
        )
        self.fresh_state = partial(jax.jit(create, out_shardings=shardings), from_disk)
        parts = config.training.micro_batches
        step = make_step(objective, tx, total_steps, key, parts, self.batch_sharding)
        self.step = jax.jit(
            sharding.on_mesh(step, mesh),
            in_shardings=(shardings, self.batch_sharding),
            out_shardings=(shardings, None),
            donate_argnums=0,
        )
