"""`mubert bench step`: one training step, its model FLOPs, its share of the peak, its memory."""

import resource
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import jax
import numpy as np
from rich.console import Console

from mubert_jax.bench.timed import PEAK_REPEATS, TimedStep, resized
from mubert_jax.config import Config
from mubert_jax.config_parts import StepPart
from mubert_jax.errors import UserError
from mubert_jax.objectives import make_objective
from mubert_jax.training import flops

MICRON_BERT = "micron_bert"


def bench_step(
    config: Annotated[Config, StepPart],
    batch_sizes: Sequence[int],
    steps: int,
    peers: Sequence[str],
    console: Console,
    beside: Mapping[str, Config] | None = None,
) -> list[dict[str, Any]]:
    """Times `steps` training steps at each batch size on the default device.

    The `peers`, steps of the PyTorch model of the same sizes (DMA, POI, decoder, AdamW), take turns
    with ours, so that all meet the same machine: `torch` is plain eager, `torch-sdpa` has fused
    attention, `torch-compile` is compiled as well. So do the steps of other
    configs, `beside` by name.

    Returns one dict per batch size. Rates are those of the median step; the matmul peak is measured
    in the same run; planned memory is XLA's plan (arguments + temporaries) of one step.
    """
    return [_measure(config, size, steps, peers, console, beside or {}) for size in batch_sizes]


def _measure(
    config: Config,
    batch_size: int,
    steps: int,
    peers: Sequence[str],
    console: Console,
    beside: Mapping[str, Config],
) -> dict[str, Any]:
    config = resized(config, batch_size, mesh=(1, 1, 1))
    if peers:
        _check_peer(config)
    console.print(f"batch {batch_size}: compiling", highlight=False)
    ours = TimedStep(config)
    others: dict[str, Callable[[], None]] = {
        name: TimedStep(resized(other, batch_size, mesh=(1, 1, 1)))
        for name, other in beside.items()
    }
    closing = []
    if peers:
        from mubert_jax.bench.torch_step import TorchPeer

        in_torch = {name: TorchPeer(name, config, ours.batch, ours.dtype) for name in peers}
        others |= in_torch
        closing = [peer.close for peer in in_torch.values()]
    contenders = [ours, *others.values()]
    seconds = [[] for _ in contenders]
    peaks = []
    for contender in contenders:
        contender()
    for i in range(steps):
        console.print(f"batch {batch_size}: step {i + 1} of {steps}", highlight=False)
        for contender, times in zip(contenders, seconds, strict=True):
            start = time.perf_counter()
            contender()
            times.append(time.perf_counter() - start)
        peaks.append(flops.matmul_peak(ours.dtype, repeats=PEAK_REPEATS))
    name = config.objective.name
    pairs_per_second = batch_size / float(np.median(seconds[0]))
    counted = make_objective(config).flops_per_pair()
    peak = float(np.median(peaks))
    row = {
        "device": jax.devices()[0].device_kind,
        "precision": ours.dtype,
        "image": f"{config.model.image_size}, {config.model.num_patches} patches",
        **({"agreement": config.loss.agreement} if name == MICRON_BERT else {"objective": name}),
        "batch": batch_size,
        "pairs/s": pairs_per_second,
        "pairs/s, slowest step": batch_size / max(seconds[0]),
        "GFLOP per pair, counted": counted / 1e9,
        "GFLOP per pair, XLA's count": ours.xla_flops() / batch_size / 1e9,
        "matmul peak, GFLOP/s": peak / 1e9,
        "share of matmul peak": pairs_per_second * counted / peak,
        "planned memory, GB": ours.planned_bytes() / 1e9,
        "peak memory, GB": _peak_bytes() / 1e9,
    }
    for close in closing:
        close()
    for other, times in zip(others, seconds[1:], strict=True):
        theirs = batch_size / float(np.median(times))
        row |= {f"{other}, pairs/s": theirs, f"ratio to {other}": pairs_per_second / theirs}
    return row


def _check_peer(config: Config):
    """UserError if the config asks for a loss that a peer does not have."""
    loss = config.loss
    if config.objective.name != MICRON_BERT:
        raise UserError(
            "--peer is a step of Micron-BERT; the config's objective is "
            f"{config.objective.name!r}, see --beside"
        )
    if loss.agreement != "none" or loss.warp_weight or loss.expectation_weight:
        raise UserError(
            "--peer compares reconstruction alone; add --config.loss.agreement=none "
            "--config.loss.warp_weight=0 --config.loss.expectation_weight=0"
        )


def _peak_bytes() -> int:
    """The device's own peak memory; on a CPU, the peak resident memory of the process."""
    statistics = jax.devices()[0].memory_stats() or {}
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return statistics.get("peak_bytes_in_use", resident)
