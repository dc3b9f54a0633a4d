"""The pretraining loop."""

import json
import math
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Protocol

import jax
import numpy as np
import optax
from jax.sharding import Mesh
from rich.console import Console

from mubert_jax import config as config_lib
from mubert_jax.config import Config
from mubert_jax.data.files import write_text
from mubert_jax.data.frames import FramePairs
from mubert_jax.data.pipeline import pretraining_batches
from mubert_jax.errors import UserError
from mubert_jax.training import pod, sharding
from mubert_jax.training.checkpoints import Checkpoints
from mubert_jax.training.compiled import CompiledRun
from mubert_jax.training.contamination import Seen
from mubert_jax.training.evaluator import Evaluation
from mubert_jax.training.meter import Meter
from mubert_jax.training.objective import Objective
from mubert_jax.training.preemption import Preempted, StopSignal
from mubert_jax.training.profile import Profile
from mubert_jax.training.progress import ProgressLine
from mubert_jax.training.schedules import learning_rate
from mubert_jax.training.state import TrainState
from mubert_jax.training.writers import MetricsWriter

# Metrics on the device, or read from it.
_Metrics = Mapping[str, jax.Array | float]
# A step whose metrics are not reported yet, its metrics, and whether it was evaluated.
_Unread = tuple[int, _Metrics, bool]


class Initial(Protocol):
    """Where a training starts if there is no checkpoint to resume from."""

    def seen(self) -> Seen:
        """Whose faces the first weights have seen; UserError if they cannot be opened."""
        ...

    def state(self, fresh: TrainState) -> TrainState:
        """The first state, given a fresh one."""
        ...


def pretrain(
    objective: Objective,
    config: Config,
    mesh: Mesh,
    pairs: FramePairs,
    initial: Initial,
    evaluations: Sequence[Evaluation],
    workdir: Path,
    console: Console,
    stop: StopSignal,
    meter: Meter,
) -> TrainState:
    """Trains until the last step, from the latest checkpoint in `workdir` if there is one.

    Step N is dispatched before the metrics of step N-1 are read, so the device never waits for the
    host. A state is saved only after its own loss and gradients were found finite, and before the
    next batch is drawn; the same command therefore continues where a killed run stopped.

    Args:
      objective: The pretraining method.
      config: The config of the run.
      mesh: The devices.
      pairs: The training data.
      initial: The first state, used where `workdir` has no checkpoint.
      evaluations: The measurements taken during the training.
      workdir: The folder for checkpoints, metrics and config.json.
      console: Where the progress line is shown.
      stop: The request to stop early.
      meter: The clock of the run.

    Raises:
      UserError: bad data, another run's folder, NaN loss, full disk.
      Preempted: SIGTERM or Ctrl-C; the state is saved.
    """
    total_steps = steps_of(config, len(pairs))
    schedule = learning_rate(config.optimizer, total_steps)
    run = CompiledRun(objective, config, mesh, total_steps)

    with Checkpoints(workdir, config, pairs.fingerprint) as checkpoints:
        start = checkpoints.latest_step
        if start is None:
            in_data = Seen.in_frames(*pairs.people, str(pairs.directory))
            checkpoints.record(initial.seen() | in_data)
            start, state = 0, initial.state(run.fresh_state())
        else:
            with meter.timing("checkpoints"):
                state = checkpoints.restore(run.abstract_state)
        if pod.leads():
            _write_config(config, workdir)
        batch_size = config.training.batch_size
        rows = sharding.rows_of_process(run.batch_sharding, batch_size)
        batches = pretraining_batches(
            pairs,
            batch_size=batch_size,
            seed=config.training.seed,
            start_step=start,
            rows=rows.tolist(),
            reader_threads=config.runtime.reader_threads,
            prefetch=config.runtime.prefetch,
        )
        with (
            MetricsWriter(workdir, start) if pod.leads() else nullcontext() as writer,
            ProgressLine(console, start, total_steps) as progress,
            Profile(config.runtime.profile_steps, workdir) as profile,
        ):
            report = partial(_report, config, schedule, meter, writer, progress)
            unread: _Unread | None = None
            for step in range(start + 1, total_steps + 1):
                profile.before(step)
                with meter.timing("data"):
                    batch = next(batches)
                    batch = sharding.put_batch(batch, run.batch_sharding, batch_size, rows)
                state, metrics = run.step(state, batch)
                if unread:
                    report(*unread)
                unread = step, metrics, False
                checkpoints.check()
                last = step == total_steps
                if due := [evaluation for evaluation in evaluations if evaluation.due(step, last)]:
                    values = _finite(step, metrics)
                    with meter.timing("evaluation"):
                        unread = step, values | _evaluated(due, state), True
                stopping = stop.after(step, last)
                if stopping or last or step % config.runtime.checkpoint_every == 0:
                    report(*unread)
                    unread = None
                    with meter.timing("checkpoints"):
                        checkpoints.save(step, state)
                        if stopping or last:
                            checkpoints.wait()
                if stopping:
                    raise Preempted(step, workdir)
    return state


def steps_of(config: Config, num_examples: int) -> int:
    """`training.steps`, or the number of steps in `training.epochs` over `num_examples`."""
    per_epoch = num_examples / config.training.batch_size
    return config.training.steps or max(1, math.ceil(config.training.epochs * per_epoch))


def _report(
    config: Config,
    schedule: optax.Schedule,
    meter: Meter,
    writer: MetricsWriter | None,
    progress: ProgressLine,
    step: int,
    metrics: _Metrics,
    evaluated: bool,
):
    values = _finite(step, metrics)
    rates = meter.step()
    progress.update(step, values, rates)
    if writer and (step % config.runtime.log_every == 0 or step == 1 or evaluated):
        values["learning_rate"] = float(np.asarray(schedule(step - 1)))
        writer.write(step, values | rates)


def _finite(step: int, metrics: _Metrics) -> dict[str, float]:
    """The metrics as floats on the host.

    Raises:
      UserError: the loss or the gradient is not finite.
    """
    values = {name: float(value) for name, value in jax.device_get(metrics).items()}
    for name in ("loss", "gradient_norm"):
        if not math.isfinite(values[name]):
            raise UserError(
                f"{name} is {values[name]} at step {step}; the last good checkpoint is kept. Lower "
                "config.optimizer.learning_rate or set config.optimizer.clip_norm=1.0, in another "
                "--workdir"
            )
    return values


def _evaluated(due: list[Evaluation], state: TrainState) -> dict[str, float]:
    """The metrics of the evaluations that are due; {} in all processes but the leading one."""
    params, extra = pod.together((state.params, state.extra))
    found = {}
    if pod.leads():
        for evaluation in due:
            found |= evaluation(params, extra)
    return found


def _write_config(config: Config, workdir: Path):
    text = json.dumps(config_lib.to_dict(config), indent=2)
    write_text(workdir / "config.json", text + "\n")
