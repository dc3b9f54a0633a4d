"""A compiled training step that runs when it is called, for the benchmarks."""

import dataclasses
import functools
import time

import jax
import numpy as np

from mubert_jax.config import Config
from mubert_jax.models.device import check_attention
from mubert_jax.models.micron_bert import compute_dtype
from mubert_jax.objectives import make_objective
from mubert_jax.training import sharding
from mubert_jax.training.compiled import CompiledRun

TOTAL_STEPS = 1000


def compiled(config: Config) -> CompiledRun:
    """The run of a config on the mesh of its `runtime`."""
    mesh = sharding.make_mesh(config)
    return CompiledRun(make_objective(config, mesh.devices.flat[0]), config, mesh, TOTAL_STEPS)


def resized(config: Config, batch_size: int, **runtime) -> Config:
    """The config with another batch, and other keys of its `runtime`."""
    return dataclasses.replace(
        config,
        training=dataclasses.replace(config.training, batch_size=batch_size),
        runtime=dataclasses.replace(config.runtime, **runtime),
    )


class TimedStep:
    """The step of a run of `config` on noise, on the mesh of `config.runtime`.

    Attributes:
      state: the run's, after the calls so far.
      abstract_state: its shapes and places.
      dtype: name of the compute precision.

    Raises:
      UserError: an attention that the device rules out.
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
    def state(self):
        return self._fresh_state()

    def __call__(self):
        self.state, metrics = self._step(self.state, self._placed)
        jax.block_until_ready((self.state, metrics))

    def seconds(self, count: int) -> list[float]:
        """How long `count` calls take, each, after one more to warm up."""
        self()
        seconds = []
        for _ in range(count):
            start = time.perf_counter()
            self()
            seconds.append(time.perf_counter() - start)
        return seconds

    def program(self) -> str:
        """The compiled program of one device, as text."""
        return self._step.as_text()

    def planned_bytes(self) -> int:
        """XLA's plan of one step on one device: arguments and temporaries."""
        plan = self._step.memory_analysis()
        return plan.argument_size_in_bytes + plan.temp_size_in_bytes

    def xla_flops(self) -> float:
        """XLA's own count, of a step without loops: it counts a loop's body once."""
        model = self._config.model
        whole_rows = dataclasses.replace(model.dma, chunk=model.num_patches)
        unrolled = dataclasses.replace(model, attention="explicit", dma=whole_rows)
        config = dataclasses.replace(self._config, model=unrolled)
        run = compiled(config)
        return run.step.lower(run.abstract_state, self.batch).cost_analysis()["flops"]


def noise_pairs(batch_size: int, size: int) -> dict[str, np.ndarray]:
    """A batch of uint8 noise, as the loop gives it to the step."""
    random = np.random.default_rng(0)
    current, reference = random.integers(0, 255, (2, batch_size, size, size, 3), np.uint8)
    index = np.arange(batch_size, dtype=np.uint32)
    return {"current": current, "reference": reference, "index": index}
