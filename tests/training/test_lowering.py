"""The training step lowers for accelerators that are not here."""

import dataclasses

import jax
import pytest
from conftest import tiny_config

from mubert_jax.bench.timed import compiled, noise_pairs
from mubert_jax.config import SHARDED

TINY = tiny_config(
    loss__warp_weight=1.0,
    loss__expectation_weight=1.0,
    model__dma__reads="pixels",
    model__dma__projection="shared",
    model__dtype="bfloat16",
    model__attention="xla",
    runtime__sharding=SHARDED,
)


def exported(config, platform, mesh):
    config = dataclasses.replace(
        config, runtime=dataclasses.replace(config.runtime, mesh=mesh, sharding=SHARDED)
    )
    run = compiled(config)
    batch = noise_pairs(config.training.batch_size, config.model.image_size)
    return jax.export.export(run.step, platforms=[platform])(run.abstract_state, batch)


@pytest.mark.parametrize("platform", ["tpu", "cuda"])
def test_a_split_step_lowers_for_an_accelerator(platform):
    program = exported(TINY, platform, (2, 2, 1))
    assert program.platforms == (platform,) and program.nr_devices == 4
    kernels = program.mlir_module().count("bf16")
    assert kernels > 100, "products are in bfloat16"
    lines = program.mlir_module().splitlines()
    windows = [line for line in lines if "stablehlo.convolution" in line]
    assert windows and all("HIGHEST" in line for line in windows), "DMA's, of pixels, are not"
