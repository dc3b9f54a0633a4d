"""`mubert bench checkpoint`: how much of the training's time saving takes, beside one step."""

import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import jax
import numpy as np
from rich.console import Console

from mubert_jax.bench.timed import TimedStep, resized
from mubert_jax.config import Config
from mubert_jax.config_parts import CheckpointPart
from mubert_jax.training.checkpoints import Checkpoints


def bench_checkpoint(
    config: Annotated[Config, CheckpointPart],
    batch_sizes: Sequence[int],
    steps: int,
    console: Console,
) -> list[dict[str, Any]]:
    """Saves the state of a run and restores it, `steps` times, in a temporary folder.

    Returns one dict per batch size: the median time of a step; how long `save` blocks the training,
    in seconds and in steps; how long until everything is on the disk; how long a restore takes.
    """
    return [_measure(config, size, steps, console) for size in batch_sizes]


def _measure(config: Config, batch_size: int, count: int, console: Console) -> dict[str, Any]:
    config = resized(config, batch_size)
    step = TimedStep(config)
    one_step = float(np.median(step.seconds(count)))
    held, written, restored = [], [], []
    with TemporaryDirectory() as folder:
        for number in range(1, count + 1):
            with Checkpoints(Path(folder) / str(number), config, "bench") as checkpoints:
                start = time.perf_counter()
                checkpoints.save(number, step.state)
                held.append(time.perf_counter() - start)
            written.append(time.perf_counter() - start)
            with Checkpoints(Path(folder) / str(number), config, "bench") as checkpoints:
                start = time.perf_counter()
                jax.block_until_ready(checkpoints.restore(step.abstract_state))
                restored.append(time.perf_counter() - start)
            console.print(f"save {number} of {count}", highlight=False)
    bytes_ = sum(x.nbytes for x in jax.tree.leaves(step.state))
    return {
        "batch": batch_size,
        "state, MB": bytes_ / 1e6,
        "a step, s": one_step,
        "save holds the training, s": float(np.median(held)),
        "of a step": float(np.median(held)) / one_step,
        "until on the disk, s": float(np.median(written)),
        "restore, s": float(np.median(restored)),
    }
