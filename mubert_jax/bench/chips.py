"""Chips that JAX compiles for on a machine that has none of them: their figures, and topologies."""

import functools
import os
from dataclasses import dataclass
from pathlib import Path

import jax
from jax.experimental import topologies

from mubert_jax.errors import UserError


@dataclass(frozen=True)
class Chip:
    """Nominal figures of a chip, from the maker's page; a program reaches less.

    Attributes:
      flops: dense bfloat16 FLOP per second.
      bandwidth: bytes per second between the chip and its memory.
      memory: bytes of memory that a program may take.
      links: bytes per second that the chip sends to others while it receives as many.
      source: the page.
    """

    flops: float
    bandwidth: float
    memory: float
    links: float
    source: str

    @property
    def is_tpu(self) -> bool:
        return "tpu" in self.source

    @property
    def options(self) -> dict[str, bool | str]:
        """What XLA is told where the chip is not here.

        A GPU's kernels are neither timed, for which one would have to be here, nor made by Triton,
        which only knows what it takes from timing.
        """
        if self.is_tpu:
            return {}
        return {"xla_gpu_autotune_level": "0", "xla_gpu_enable_triton_gemm": False}


# Pages give links in both directions together. Of a TPU's memory XLA keeps a quarter of a GiB.
CHIPS = {
    "v5e": Chip(197e12, 819e9, 15.75 * 2**30, 200e9, "https://cloud.google.com/tpu/docs/v5e"),
    "v5p": Chip(459e12, 2765e9, 94.75 * 2**30, 600e9, "https://cloud.google.com/tpu/docs/v5p"),
    "v6e": Chip(918e12, 1638e9, 31.25 * 2**30, 400e9, "https://cloud.google.com/tpu/docs/v6e"),
    "h100": Chip(989e12, 3350e9, 80e9, 450e9, "https://www.nvidia.com/en-us/data-center/h100/"),
    "h200": Chip(989e12, 4800e9, 141e9, 450e9, "https://www.nvidia.com/en-us/data-center/h200/"),
}
# XLA's descriptions of GPUs (xla.gpu.GpuTargetConfigProto).
TARGETS = Path(__file__).parent / "targets"
# What libtpu asks of the machine that it runs on; it may compile in several processes at a time.
OF_A_TPU_MACHINE = {
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-8",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_WORKER_ID": "0",
}


def chip_of(topology: str) -> Chip:
    """The chip of a topology, `CHIP:SHAPE`.

    Raises:
      UserError: the chip is not one of `CHIPS`, or the shape is none.
    """
    name, _, shape = topology.partition(":")
    if name not in CHIPS or not all(size.isdigit() for size in shape.split("x")):
        raise UserError(
            f"--topology {topology}: CHIP:SHAPE is expected, such as v5e:2x4 or h100:1x1x8 "
            f"(machines × processes × GPUs); chips are {', '.join(CHIPS)}"
        )
    return CHIPS[name]


@functools.cache
def devices_of(topology: str) -> list[jax.Device]:
    """The devices of a topology; programs can be compiled for them, not run.

    Raises:
      UserError: the topology is unknown, or what compiles for it is not installed.
    """
    chip, (name, _, shape) = chip_of(topology), topology.partition(":")
    try:
        if chip.is_tpu:
            for key, value in OF_A_TPU_MACHINE.items():
                os.environ.setdefault(key, value)
            found = topologies.get_topology_desc(platform="tpu", topology_name=topology)
        else:
            described = (TARGETS / f"{name}.txtpb").read_text()
            found = topologies.get_topology_desc(
                "", platform="cuda", topology=shape, target_config=described
            )
    except Exception as error:  # JAX and XLA raise what they like for a missing plugin
        needed = "libtpu" if chip.is_tpu else "JAX's CUDA plugin"
        raise UserError(
            f"--topology {topology}: JAX cannot compile for it "
            f"({str(error).splitlines()[0]}); {needed} is needed "
            "(pip install 'mubert_jax[aot]'), and a shape that the chip comes in"
        ) from error
    return list(found.devices)
