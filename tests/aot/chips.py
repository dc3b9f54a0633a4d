"""Chips that are not here: JAX compiles for them on a CPU."""

import functools
import os
import time
from pathlib import Path

import jax
from jax.experimental import topologies
from jax.sharding import SingleDeviceSharding

# What every program is compiled for.
TARGETS = ("h100:1x1x1", "v5e:2x4")
# Bytes of a chip's memory that programs get: of a v5e's 16 GiB, XLA has 15.75.
MEMORY = {"h100": 80e9, "v5e": 15.75 * 2**30}
# Kernels are neither timed, for which a GPU would have to be here, nor made by Triton, which only
# knows what it takes from timing.
OPTIONS = {
    "gpu": {"xla_gpu_autotune_level": 0, "xla_gpu_enable_triton_gemm": False},
    "tpu": {},
}
# What libtpu asks of the machine that it runs on.
OF_A_TPU_MACHINE = {
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-8",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_WORKER_ID": "0",
}


@functools.cache
def devices(target: str) -> list:
    """The devices of `CHIP:SHAPE`, to compile for."""
    chip, shape = target.split(":")
    if chip.startswith("v"):
        os.environ.update(OF_A_TPU_MACHINE)
        topology = topologies.get_topology_desc(platform="tpu", topology_name=target)
    else:
        described = (Path(__file__).parent / f"{chip}.txtpb").read_text()
        topology = topologies.get_topology_desc(
            "", platform="cuda", topology=shape, target_config=described
        )
    return list(topology.devices)


def on(device, tree):
    """Arrays of a tree as shapes on one device; what is no array stays."""
    place = SingleDeviceSharding(device)
    return jax.tree.map(
        lambda x: (
            jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place) if hasattr(x, "shape") else x
        ),
        tree,
    )


def compiled(target: str, lowered):
    """The compiled program of a `jax.stages.Lowered`, and what is to be said of it."""
    started = time.perf_counter()
    program = lowered.compile(compiler_options=OPTIONS[devices(target)[0].platform])
    seconds = time.perf_counter() - started
    plan = program.memory_analysis()
    held = plan.argument_size_in_bytes + plan.temp_size_in_bytes
    assert held < MEMORY[target.split(":")[0]], f"{held / 1e9:.1f} GB do not fit {target}"
    said = f"{seconds:6.1f} s, temporaries {plan.temp_size_in_bytes / 1e9:6.3f} GB per chip"
    return program.as_text(), said
