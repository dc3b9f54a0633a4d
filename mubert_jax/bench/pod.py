"""`mubert bench pod`: the training step, compiled for chips that are not here, and its bounds.

A bound is the least time that the compiled program can take on a chip of nominal speed: for its
matrix products, for its traffic with memory, for what it sends to other chips. Nothing is measured.
"""

import collections
import re
import time
from collections.abc import Sequence
from typing import Annotated, Any

import jax
import numpy as np
from rich.console import Console

from mubert_jax.bench.chips import Chip, chip_of, devices_of
from mubert_jax.bench.collectives import collectives_of, listed
from mubert_jax.bench.programs import count_fusions, memory_traffic
from mubert_jax.bench.timed import TOTAL_STEPS, resized
from mubert_jax.config import Config
from mubert_jax.config_parts import PodPart
from mubert_jax.errors import UserError
from mubert_jax.objectives import make_objective
from mubert_jax.training import sharding
from mubert_jax.training.compiled import CompiledRun

_CALLED = re.compile(r'custom_call_target="([^"]+)"')
# Calls that compute nothing: they name memory, and begin or end what runs beside other operations.
_NO_KERNELS = {"ConcatBitcast", "AllocateBuffer", "AsyncCollectiveStart", "AsyncCollectiveDone"}


def bench_pod(
    config: Annotated[Config, PodPart],
    topologies: Sequence[str],
    pairs: int,
    console: Console,
) -> list[dict[str, Any]]:
    """Compiles the step with `pairs` per chip for each of the topologies, and bounds its time.

    Returns one dict per topology. Figures are those of one chip. What is moved is counted in the
    compiled program (`programs.memory_traffic`); XLA's own estimate, which it has for TPUs alone,
    counts a loop once and what never leaves the chip. The allowed MFU is the share of the chip's
    peak that the counted FLOPs have in the largest of the bounds.

    Raises:
      UserError: a topology is unknown, or nothing that compiles for it is installed.
    """
    return [_row(config, topology, pairs, console) for topology in topologies]


def lowered_step(config: Config, devices: Sequence[jax.Device]) -> jax.stages.Lowered:
    """The step of a config on devices that may be elsewhere, ready to compile."""
    mesh = sharding.make_mesh(config, devices)
    run = CompiledRun(make_objective(config, mesh.devices.flat[0]), config, mesh, TOTAL_STEPS)
    pairs, side = config.training.batch_size, config.model.image_size

    def placed(shape: tuple[int, ...], dtype: type):
        return jax.ShapeDtypeStruct(shape, dtype, sharding=run.batch_sharding)

    frames = placed((pairs, side, side, 3), np.uint8)
    batch = {"current": frames, "reference": frames, "index": placed((pairs,), np.uint32)}
    return run.step.lower(run.abstract_state, batch | {"face": placed((pairs, 4), np.float32)})


def _row(config: Config, topology: str, pairs: int, console: Console) -> dict[str, Any]:
    chip, devices = chip_of(topology), devices_of(topology)
    config = resized(config, pairs * len(devices))
    console.print(f"{topology}: compiling for {len(devices)} chips", highlight=False)
    lowered = lowered_step(config, devices)
    start = time.perf_counter()
    try:
        program = lowered.compile(compiler_options=chip.options)
    except jax.errors.JaxRuntimeError as error:  # it does not fit, or XLA cannot
        return {"topology": topology, "pairs per chip": pairs, "compiled": _first_line(error)}
    seconds = time.perf_counter() - start
    row = {"topology": topology, "pairs per chip": pairs, "compiled": f"in {seconds:.0f} s"}
    return row | bounds(config, chip, len(devices), program)


def bounds(config: Config, chip: Chip, chips: int, program: jax.stages.Compiled) -> dict[str, Any]:
    """What a compiled step holds, moves and sends per chip, and the times that bound it."""
    pairs = config.training.batch_size / chips
    counted = make_objective(config).flops_per_pair() * pairs
    plan, costs, text = (
        program.memory_analysis(),
        program.cost_analysis() or {},
        program.as_text() or "",
    )
    if plan is None:
        raise UserError("XLA gives no plan of the memory for this topology")
    held = plan.argument_size_in_bytes + plan.temp_size_in_bytes
    moved = memory_traffic(text)
    found = collectives_of(text)
    sent = sum(one.sent(chips) for one in found)
    times = {
        "products": counted / chip.flops,
        "memory": moved / chip.bandwidth,
        "links": sent / chip.links,
    }
    return {
        "TFLOP, counted": counted / 1e12,
        "TFLOP, XLA's count": _estimate(costs, "flops", 1e12),
        "GB moved per pair": moved / pairs / 1e9,
        "GB per pair, XLA's estimate": _estimate(costs, "bytes accessed", pairs * 1e9),
        "temporaries, GB per pair": plan.temp_size_in_bytes / pairs / 1e9,
        "planned GB": held / 1e9,
        "share of the memory": held / chip.memory,
        "collectives": listed(found),
        "of them asynchronous": sum(one.asynchronous for one in found),
        "MB of collectives": sum(one.bytes for one in found) / 1e6,
        "MB sent": sent / 1e6,
        "fusions": count_fusions(text),
        "kernels": _kernels(text),
        **{f"bound by {name}, ms": 1e3 * bound for name, bound in times.items()},
        "MFU allowed": times["products"] / max(times.values()),
    }


def _estimate(costs: dict[str, float], name: str, unit: float) -> float | None:
    return costs[name] / unit if name in costs else None


def _kernels(text: str) -> str:
    called = collections.Counter(x for x in _CALLED.findall(text) if x not in _NO_KERNELS)
    return ", ".join(f"{n} {name}" for name, n in called.most_common(6)) or "-"


def _first_line(error: Exception):
    return str(error).strip().splitlines()[0]
