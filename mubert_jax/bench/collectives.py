"""The collectives of a compiled program: how many of each kind, their bytes, and what is sent."""

import collections
import dataclasses
import math
import re
from collections.abc import Iterable

from mubert_jax.bench.programs import KINDS, arrays_of, computations_of, runs_of

IN_A_LOOP = " in a loop"

# Bytes sent per byte of result, by each of n devices in a ring.
_SENT = {
    "all-reduce": lambda n: 2 * (n - 1) / n,
    "all-gather": lambda n: (n - 1) / n,
    "reduce-scatter": lambda n: n - 1,
    "all-to-all": lambda n: (n - 1) / n,
    "ragged-all-to-all": lambda n: (n - 1) / n,
    "collective-permute": lambda n: 1,
    "collective-broadcast": lambda n: 1,
}
# Parts of the text of a compiled program.
_COLLECTIVE = re.compile(rf" = (.*?) ({'|'.join(KINDS)})(-start)?\(")
_CHANNEL = re.compile(r"channel_id=(\d+)")
_ARRAY = r"\w+\[[\d,]*\]"
_UNDER_WAY = re.compile(rf"\((?:\([^()]*\)|{_ARRAY}), (\([^()]*\)|{_ARRAY})")
# The devices that take part together: {{0,1},{2,3}}, [groups,size]<=..., or axes of a mesh.
_LISTED = re.compile(r"replica_groups=\{\{([\d,]+)\}")
_COUNTED = re.compile(r"replica_groups=\[\d+,(\d+)\]")
_OF_A_MESH = re.compile(r"replica_groups=mesh\[([^\]]*)\][^{]*\{([^}]*)\}")
# What TPUs have in place of "-start" and of "reduce-scatter".
_STARTS = 'custom_call_target="AsyncCollectiveStart"'
_SCATTERS = "all-reduce-scatter"


@dataclasses.dataclass(frozen=True)
class Collective:
    """One collective in the text of a compiled program.

    Attributes:
      kind: one of `KINDS`.
      bytes: of its results on one device, in all turns of its loops where their conditions compare
        with a constant, else in one turn.
      devices: how many take part together; None for all.
      asynchronous: whether other operations may run beside it.
      in_a_loop: whether a loop runs it.
    """

    kind: str
    bytes: int
    devices: int | None
    asynchronous: bool
    in_a_loop: bool

    def sent(self, devices: int) -> float:
        """Bytes that each device sends in a ring, in a program of `devices` devices."""
        return _SENT[self.kind](self.devices or devices) * self.bytes


def collectives_of(program: str) -> list[Collective]:
    """The collectives in the text of a compiled program, each once.

    A TPU's program repeats an asynchronous one in every fused operation that runs beside it, and
    has a reduce-scatter as a fused operation that sums and then slices.
    """
    found, computations = [], computations_of(program)
    starting = {name for name, lines in computations.items() if _STARTS in "\n".join(lines)}
    started = {channel for name in starting for channel in _channels(computations[name])}
    for name, runs in runs_of(program, computations).items():
        for line in computations[name]:
            if not (match := _COLLECTIVE.search(line)):
                continue
            if name not in starting and started.intersection(_channels([line])):
                continue
            result, kind, start = match.groups()
            size, devices = runs.times * _bytes(result, kind, start), _devices(line)
            if name.startswith(_SCATTERS):
                kind, size = "reduce-scatter", size // (devices or 1)
            asynchronous = bool(start) or name in starting
            found.append(Collective(kind, size, devices, asynchronous, runs.in_a_loop))
    return found


def count_collectives(
    found: Iterable[Collective],
) -> tuple[collections.Counter[str], collections.Counter[str]]:
    """Their number and their bytes by kind; those in a loop are a kind of their own."""
    numbers, sizes = collections.Counter(), collections.Counter()
    for one in found:
        kind = one.kind + IN_A_LOOP * one.in_a_loop
        numbers[kind] += 1
        sizes[kind] += one.bytes
    return numbers, sizes


def listed(found: Iterable[Collective]) -> str:
    """As a table has them, each kind with its bytes: "2 all-reduce (6.49 MB)"; "-" for none."""
    numbers, sizes = count_collectives(found)
    return (
        ", ".join(f"{n} {kind} ({sizes[kind] / 1e6:.3g} MB)" for kind, n in numbers.items()) or "-"
    )


def _channels(lines: Iterable[str]) -> set[str]:
    return {channel for line in lines for channel in _CHANNEL.findall(line)}


def _devices(line: str) -> int | None:
    if counted := _COUNTED.search(line):
        return int(counted[1])
    if named := _LISTED.search(line):
        return named[1].count(",") + 1
    if mesh := _OF_A_MESH.search(line):
        sizes = dict(re.findall(r"('\w+')=(\d+)", mesh[1]))
        return math.prod(int(sizes[axis]) for axis in re.findall(r"'\w+'", mesh[2]))
    return None


def _bytes(result: str, kind: str, start: str | None) -> int:
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
    return sum(size for size, _ in arrays_of(result))
