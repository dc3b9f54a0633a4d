"""`mubert bench devices`: what splitting a step over devices costs, and its collectives."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import numpy as np
from rich.console import Console

from mubert_jax.bench.collectives import collectives_of, listed
from mubert_jax.bench.timed import TimedStep, resized
from mubert_jax.config import SHARDED, Config
from mubert_jax.config_parts import StepPart

# Virtual devices of a CPU, up to the largest count in docs/scaling.md's table of collectives.
VIRTUAL = 8
# From a number of devices to the mesh (data, fsdp, tensor) and the sharding rules.
PLANS: dict[str, Callable[[int], tuple[tuple[int, int, int], tuple]]] = {
    "data": lambda count: ((count, 1, 1), ((".*", ()),)),
    "fsdp": lambda count: ((1, count, 1), SHARDED),
}


def bench_devices(
    config: Annotated[Config, StepPart],
    batch_size: int,
    counts: Sequence[int],
    steps: int,
    console: Console,
) -> list[dict[str, Any]]:
    """Times one batch on each of `counts` devices, data parallel and FSDP.

    On a CPU the devices are virtual and share its cores, so the rate shows what splitting costs,
    not what it gains.

    Returns one dict per (plan, count): pairs per second, planned memory of one device, collectives
    per step.
    """
    rows = []
    for plan, split in PLANS.items():
        for count in counts:
            mesh, rules = split(count)
            step = TimedStep(resized(config, batch_size, mesh=mesh, sharding=rules))
            found = collectives_of(step.program())
            rows.append(
                {
                    "plan": plan,
                    "devices": count,
                    "batch": batch_size,
                    "pairs/s": batch_size / float(np.median(step.seconds(steps))),
                    "planned GB per device": step.planned_bytes() / 1e9,
                    "collectives": listed(found),
                    "MB moved": sum(one.bytes for one in found) / 1e6,
                }
            )
            console.print(f"{plan}, {count} devices: measured", highlight=False)
    return rows
