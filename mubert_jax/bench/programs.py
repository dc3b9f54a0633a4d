"""What the text of a compiled program says: its computations, and its traffic with the memory."""

import collections
import dataclasses
import math
import re
from collections.abc import Iterator

KINDS = (
    "all-reduce",
    "all-gather",
    "reduce-scatter",
    "all-to-all",
    "ragged-all-to-all",
    "collective-permute",
    "collective-broadcast",
)
# Parts of the text of a compiled program.
_COMPUTATION = re.compile(r"^(?:ENTRY )?%?([\w.-]+) \(.*\{$")
_CALLED = re.compile(
    r"\b(?:calls|to_apply|body|condition|\w+_computations?)=(?:\{([^}]*)\}|(%?[\w.-]+))"
)
_FUSION = re.compile(r" = \S.*? fusion\(")
_ENTRY = re.compile(r"^ENTRY %?([\w.-]+)", re.MULTILINE)
_IN_LOOP = re.compile(r"condition=%?([\w.-]+), body=%?([\w.-]+)")


def count_fusions(program: str) -> int:
    """Counts the fused operations in the text of a compiled program: kernels, on a GPU.

    One in a loop counts once.
    """
    return len(_FUSION.findall(program))


def computations_of(program: str) -> dict[str, list[str]]:
    """The lines of each computation by its name, "" for those before the first."""
    found, name = collections.defaultdict(list), ""
    for line in program.splitlines():
        if start := _COMPUTATION.match(line):
            name = start[1]
        found[name].append(line)
    return found


@dataclasses.dataclass
class Runs:
    """How often a program runs one of its computations, and whether any loop does."""

    times: int = 0
    in_a_loop: bool = False


def runs_of(program: str, computations: dict[str, list[str]]) -> dict[str, Runs]:
    """By the name of a computation; a text without an entry starts with its first line."""
    found = collections.defaultdict(Runs)

    def run(name: str, times: int, in_a_loop: bool) -> None:
        found[name].times += times
        found[name].in_a_loop |= in_a_loop
        for line in computations.get(name, ()):
            loop = _IN_LOOP.search(line)
            turns = _turns("\n".join(computations[loop[1]])) if loop else 1
            for called in _called(line):
                run(called.lstrip("%"), times * turns, in_a_loop or loop is not None)

    entry = _ENTRY.search(program)
    run(entry[1] if entry else "", 1, False)
    return found


def _called(line: str) -> list[str]:
    return [name for several, one in _CALLED.findall(line) for name in (several or one).split(", ")]


def _bits(dtype: str) -> int:
    """Size of a number; the type without a size in its name, pred, takes a byte."""
    named = re.search(r"\d+", dtype)
    return int(named[0]) if named else 8


# Instructions that move nothing: they name what is there, or stand for others.
_NAMES = {
    "parameter",
    "constant",
    "tuple",
    "get-tuple-element",
    "bitcast",
    "while",
    "conditional",
    "call",
    "copy-done",
    "slice-done",
    "async-done",
    *(f"{kind}-done" for kind in KINDS),
}
# Calls of XLA's own that do the same.
_NAMING_CALLS = re.compile(r'custom_call_target="(?:ConcatBitcast|AllocateBuffer)"')
_INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%?([\w.-]+) = (.*?) ([\w-]+)\((.*)$")
# Memory space 1 is the chip's own memory, VMEM; the others (semaphores, ...) hold next to nothing.
_SHAPE = re.compile(r"(\w+)\[([\d,]*)\](\{[^}]*\})?")


def memory_traffic(program: str) -> float:
    """Bytes that the text of a compiled program moves between chip and memory.

    Every operation reads its operands and writes its results, but for those that XLA keeps in the
    chip's own memory (on TPUs), into which and out of which it copies. What a loop moves counts for
    each turn where its condition compares with a constant, else once; XLA's own estimate counts it
    once and has the chip's own memory in it.
    """
    computations = computations_of(program)
    entry = _ENTRY.search(program)
    return _traffic(entry[1], computations) if entry else 0.0


def _traffic(name: str, computations: dict[str, list[str]]) -> float:
    moved, types = 0.0, {}
    for line in computations[name]:
        if not (found := _INSTRUCTION.match(line)):
            continue
        result, kind, operands = found[2], found[3], found[4].split("), ")[0]
        types[found[1]] = result
        if kind == "while" and (loop := _IN_LOOP.search(line)):
            turns = _turns("\n".join(computations[loop[1]]))
            moved += turns * _traffic(loop[2], computations)
        if kind in _NAMES or _NAMING_CALLS.search(line):
            continue
        read = [types.get(operand, "") for operand in re.findall(r"%([\w.-]+)", operands)]
        if kind in ("copy-start", "slice-start"):
            # (source, destination, context) or the other way round: as much as the smaller one.
            ends = list(arrays_of(result))[:2]
            moved += min(size for size, _ in ends) * sum(not own for _, own in ends)
            continue
        moved += sum(size for part in (result, *read) for size, own in arrays_of(part) if not own)
    return moved


def _turns(condition: str) -> int:
    """How often a loop turns, by what its condition compares its counter with; 1 if unknown."""
    limits = re.findall(r"= s32\[\]\S* constant\((\d+)\)", condition)
    return int(limits[0]) if len(limits) == 1 and "direction=LT" in condition else 1


def arrays_of(result: str) -> Iterator[tuple[int, bool]]:
    """(bytes, whether it is in the chip's own memory) of each array of a type."""
    for dtype, shape, layout in _SHAPE.findall(re.sub(r"/\*.*?\*/", "", result)):
        size = math.prod(map(int, filter(None, shape.split(",")))) * _bits(dtype) // 8
        yield size, "S(1)" in layout
