"""`mubert bench devices`: what splitting a step over devices costs, and its collectives."""

import collections
import math
import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import numpy as np
from rich.console import Console

from mubert_jax.bench.timed import TimedStep, resized
from mubert_jax.config import SHARDED, Config
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
# Virtual devices of a CPU, up to the largest count in docs/scaling.md's table of collectives.
VIRTUAL = 8
# From a number of devices to the mesh (data, fsdp, tensor) and the sharding rules.
PLANS: dict[str, Callable[[int], tuple[tuple[int, int, int], tuple]]] = {
    "data": lambda count: ((count, 1, 1), ((".*", ()),)),
    "fsdp": lambda count: ((1, count, 1), SHARDED),
}


# Parts of the text of a compiled program.
_COLLECTIVE = re.compile(rf" = (.*?) ({'|'.join(KINDS)})(-start)?\(")
_COMPUTATION = re.compile(r"^(?:ENTRY )?%?([\w.-]+) \(.*\{$")
_CALLED = re.compile(
    r"\b(?:calls|to_apply|body|condition|\w+_computations?)=(?:\{([^}]*)\}|(%?[\w.-]+))"
)
_ARRAY = r"\w+\[[\d,]*\]"
_UNDER_WAY = re.compile(rf"\((?:\([^()]*\)|{_ARRAY}), (\([^()]*\)|{_ARRAY})")


def count_collectives(program: str) -> tuple[collections.Counter[str], collections.Counter[str]]:
    """Counts the collectives in the text of a compiled program, and their bytes, by kind.

    The bytes are those of the results on one device. Collectives in a loop are a kind of their own,
    such as "all-reduce in a loop", counted for one iteration: the text does not say how many
    iterations there are.
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
    """The lines of each computation by its name, "" for those before the first."""
    found, name = collections.defaultdict(list), ""
    for line in program.splitlines():
        if start := _COMPUTATION.match(line):
            name = start[1]
        found[name].append(line)
    return found


def _in_loops(computations: dict[str, list[str]]) -> set[str]:
    """The names of the conditions and bodies of loops, and of all that these call."""
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
    """Size of a collective's results.

    The type of an asynchronous start is (operands, results, contexts); only that of an all-reduce
    may be the results alone.
    """
    result = re.sub(r"\{.*?\}|/\*.*?\*/", "", result)
    if start and (kind != "all-reduce" or result.startswith("((")):
        under_way = _UNDER_WAY.match(result)
        if under_way is None:
            raise ValueError(f"XLA starts {kind} with an unknown type: {result}")
        result = under_way[1]
    return sum(
        math.prod(map(int, filter(None, shape.split(",")))) * _bits(dtype) // 8
        for dtype, shape in re.findall(r"(\w+)\[([\d,]*)\]", result)
    )


def _bits(dtype: str) -> int:
    """Size of a number; the type without a size in its name, pred, takes a byte."""
    named = re.search(r"\d+", dtype)
    return int(named[0]) if named else 8


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
