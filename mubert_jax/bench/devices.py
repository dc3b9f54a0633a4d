"""`mubert bench devices`: what splitting a step over devices costs, collectives counted."""

import collections
import math
import re

import numpy as np
from rich.console import Console

from mubert_jax.bench.timed import TimedStep, resized
from mubert_jax.config import SHARDED
from mubert_jax.config_parts import StepPart

KINDS = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")
# Devices of a CPU.
VIRTUAL = 8
# How many devices work as -> mesh (data, fsdp, tensor) and rules.
PLANS = {
    "data": lambda count: ((count, 1, 1), ((".*", ()),)),
    "fsdp": lambda count: ((1, count, 1), SHARDED),
}


def count_collectives(program: str) -> tuple[collections.Counter, collections.Counter]:
    """Of the text of a compiled program: kind -> number, kind -> bytes of results on a device.

    Flags (pred) do not count: a loop that ends on all devices together exchanges one.
    """
    numbers, sizes = collections.Counter(), collections.Counter()
    for result, kind, start in re.findall(rf"= (.*?) ({'|'.join(KINDS)})(-start)?\(", program):
        arrays = [a for a in re.findall(r"([a-z]+)(\d*)\[([\d,]*)\]", result) if a[0] != "pred"]
        if start and kind != "all-reduce":
            # Typed (operands, results, contexts); a context is one integer.
            arrays = [a for a in arrays if a[::2] != ("u", "")]
            arrays = arrays[len(arrays) // 2 :]
        if arrays:
            numbers[kind] += 1
        for _, bits, shape in arrays:
            sizes[kind] += math.prod(map(int, filter(None, shape.split(",")))) * int(bits) // 8
    return numbers, sizes


def bench_devices(
    config: StepPart, batch_size: int, counts: list[int], steps: int, console: Console
) -> list[dict]:
    """Times one batch on so many devices each, data parallel and FSDP.

    On a CPU the devices are virtual and share its cores, so the rate shows what splitting costs,
    not what it gains.

    Returns one dict a (plan, count): pairs/s, planned memory of one device, collectives a step.
    """
    rows = []
    for plan, split in PLANS.items():
        for count in counts:
            mesh, rules = split(count)
            step = TimedStep(resized(config, batch_size, mesh=mesh, sharding=rules))
            numbers, sizes = count_collectives(step.program())
            rows.append(
                {
                    "plan": plan,
                    "devices": count,
                    "batch": batch_size,
                    "pairs/s": batch_size / float(np.median(step.seconds(steps))),
                    "planned GB a device": step.planned_bytes() / 1e9,
                    "collectives": ", ".join(f"{n} {kind}" for kind, n in numbers.items()) or "-",
                    "MB moved": sum(sizes.values()) / 1e6,
                }
            )
            console.print(f"{plan}, {count} devices: measured", highlight=False)
    return rows
