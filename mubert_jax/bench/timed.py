"""A compiled training step that runs when it is called, for the benchmarks."""

import dataclasses
import functools
import math
import time
from typing import Any

import jax
import numpy as np

from mubert_jax.config import Config
from mubert_jax.errors import UserError
from mubert_jax.models.device import check_attention
from mubert_jax.models.micron_bert import compute_dtype
from mubert_jax.objectives import make_objective
from mubert_jax.training import sharding
from mubert_jax.training.compiled import CompiledRun
from mubert_jax.training.state import TrainState

# The length of the learning rate's schedule, which has no influence on the time of a step.
TOTAL_STEPS = 1000
# Products of which the best is the matmul peak; fewer than `matmul_peak` takes by itself, since it
# is measured again and again between steps.
PEAK_REPEATS = 3


def compiled(config: Config) -> CompiledRun:
    """Builds the run of a config on the mesh of its `runtime`."""
    mesh = sharding.make_mesh(config)
    return CompiledRun(make_objective(config, mesh.devices.flat[0]), config, mesh, TOTAL_STEPS)


def resized(config: Config, batch_size: int, **runtime: Any) -> Config:
    """The config with another batch size, and with other values of its `runtime`."""
    return dataclasses.replace(
        config,
        training=dataclasses.replace(config.training, batch_size=batch_size),
        runtime=dataclasses.replace(config.runtime, **runtime),
    )


class TimedStep:
    """The step of a run of `config` on noise, on the mesh of `config.runtime`.

    Attributes:
      state: the state of the run after the calls so far.
      abstract_state: the shapes and shardings of the state.
      batch: the noise, as the step takes it.
      dtype: the name of the compute precision.

    Raises:
      UserError: the device does not support the attention.
    """

    def __init__(self, config: Config):
        check_attention(config.model)
        self._config = config
        self.dtype = np.dtype(compute_dtype(config.model)).name
        run = compiled(config)
        self.batch = noise_pairs(config.training.batch_size, config.model.image_size)
        self._placed = jax.device_put(self.batch, run.batch_sharding)
        self._fresh_state, self.abstract_state = run.fresh_state, run.abstract_state
        self._step = run.step.lower(run.abstract_state, self._placed).compile()

    @functools.cached_property
    def state(self) -> TrainState:
        return self._fresh_state()

    def __call__(self):
        self.state, metrics = self._step(self.state, self._placed)
        jax.block_until_ready((self.state, metrics))

    def seconds(self, count: int) -> list[float]:
        """The time of each of `count` calls, after one more to warm up."""
        self()
        seconds = []
        for _ in range(count):
            start = time.perf_counter()
            self()
            seconds.append(time.perf_counter() - start)
        return seconds

    def program(self) -> str:
        """The compiled program of one device, as text.

        Raises:
          UserError: the backend does not show it.
        """
        text = self._step.as_text()
        if text is None:
            raise UserError(f"JAX shows no compiled program on {jax.default_backend()}")
        return text

    def planned_bytes(self) -> float:
        """XLA's plan of one step on one device, arguments and temporaries; NaN if it gives none."""
        plan = self._step.memory_analysis()
        if plan is None:
            return math.nan
        return plan.argument_size_in_bytes + plan.temp_size_in_bytes

    def xla_flops(self) -> float:
        """XLA's own count, or NaN without one.

        It is that of a step without loops, since XLA counts the body of a loop once.
        """
        model = self._config.model
        whole_rows = dataclasses.replace(model.dma, chunk=model.num_patches)
        unrolled = dataclasses.replace(model, attention="explicit", dma=whole_rows)
        config = dataclasses.replace(self._config, model=unrolled)
        run = compiled(config)
        costs = run.step.lower(run.abstract_state, self.batch).cost_analysis()
        return math.nan if costs is None else costs["flops"]


def noise_pairs(batch_size: int, size: int) -> dict[str, np.ndarray]:
    """A batch of uint8 noise, in the form in which the training loop gives it to the step."""
    random = np.random.default_rng(0)
    current, reference = random.integers(0, 255, (2, batch_size, size, size, 3), np.uint8)
    index = np.arange(batch_size, dtype=np.uint32)
    face = np.tile(np.array([0.5, 0.5, 0.3, 0.4], np.float32), (batch_size, 1))
    return {"current": current, "reference": reference, "index": index, "face": face}
