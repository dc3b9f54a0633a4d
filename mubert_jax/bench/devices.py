"""`mubert bench devices`: what splitting a step over devices costs, collectives counted."""

import collections
import math
import re

import numpy as np
from rich.console import Console

from mubert_jax.bench.timed import TimedStep, resized
from mubert_jax.config import SHARDED
from mubert_jax.config_parts import StepPart

KINDS = (
    "all-reduce",
    "all-gather",
    "reduce-scatter",
    "all-to-all",
    "ragged-all-to-all",
    "collective-permute",
    "collective-broadcast",
)
IN_A_LOOP = " in a loop"
# Devices of a CPU.
VIRTUAL = 8
# How many devices work as -> mesh (data, fsdp, tensor) and rules.
PLANS = {
    "data": lambda count: ((count, 1, 1), ((".*", ()),)),
    "fsdp": lambda count: ((1, count, 1), SHARDED),
}


# Of the text of a program.
_COLLECTIVE = re.compile(rf" = (.*?) ({'|'.join(KINDS)})(-start)?\(")
_COMPUTATION = re.compile(r"^(?:ENTRY )?%?([\w.-]+) \(.*\{$")
_CALLED = re.compile(
    r"\b(?:calls|to_apply|body|condition|\w+_computations?)=(?:\{([^}]*)\}|(%?[\w.-]+))"
)
_ARRAY = r"\w+\[[\d,]*\]"
_UNDER_WAY = re.compile(rf"\((?:\([^()]*\)|{_ARRAY}), (\([^()]*\)|{_ARRAY})")


def count_collectives(program: str) -> tuple[collections.Counter, collections.Counter]:
    """Of the text of a compiled program: kind -> number, kind -> bytes of results on a device.

    What lies in a loop is a kind of its own, "all-reduce in a loop": the number and the bytes are
    those of one iteration, and how many there are the text does not say.
    """
    numbers, sizes = collections.Counter(), collections.Counter()
    computations = _computations(program)
    looped = _in_loops(computations)
    for name, lines in computations.items():
        for result, kind, start in _COLLECTIVE.findall("\n".join(lines)):
            where = kind + IN_A_LOOP * (name in looped)
            numbers[where] += 1
            sizes[where] += _bytes(result, kind, start)
    return numbers, sizes


def _computations(program: str) -> dict[str, list[str]]:
    """Name -> lines; those before the first have none."""
    found, name = collections.defaultdict(list), ""
    for line in program.splitlines():
        if start := _COMPUTATION.match(line):
            name = start[1]
        found[name].append(line)
    return found


def _in_loops(computations: dict[str, list[str]]) -> set[str]:
    """The names of loops' conditions and bodies and of all that they call."""
    calls = {
        name: [(line, called.lstrip("%")) for line in lines for called in _called(line)]
        for name, lines in computations.items()
    }
    waiting = [to for found in calls.values() for line, to in found if " while(" in line]
    looped = set()
    while waiting:
        name = waiting.pop()
        if name not in looped:
            looped.add(name)
            waiting += [to for _, to in calls.get(name, ())]
    return looped


def _called(line: str) -> list[str]:
    return [name for several, one in _CALLED.findall(line) for name in (several or one).split(", ")]


def _bytes(result: str, kind: str, start: str) -> int:
    """Of a collective's type. Under way it is (operands, results, contexts), but for sums."""
    result = re.sub(r"\{.*?\}|/\*.*?\*/", "", result)
    if start and (kind != "all-reduce" or result.startswith("((")):
        result = _UNDER_WAY.match(result)[1]
    return sum(
        math.prod(map(int, filter(None, shape.split(",")))) * _bits(dtype) // 8
        for dtype, shape in re.findall(r"(\w+)\[([\d,]*)\]", result)
    )


def _bits(dtype: str) -> int:
    """Of one number: a flag (pred) takes a byte."""
    return 8 if dtype == "pred" else int(re.search(r"\d+", dtype)[0])


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
                    "planned GB per device": step.planned_bytes() / 1e9,
                    "collectives": ", ".join(f"{n} {kind}" for kind, n in numbers.items()) or "-",
                    "MB moved": sum(sizes.values()) / 1e6,
                }
            )
            console.print(f"{plan}, {count} devices: measured", highlight=False)
    return rows
