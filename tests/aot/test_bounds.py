"""What bounds the paper's step, compiled for chips that are not here: docs/scaling.md's figures.

bash launch/test.sh -m aot -k bounds        (its own environment, .venv-aot; minutes)
"""

import re
from pathlib import Path

import pytest
from rich.console import Console

from mubert_jax.bench.pod import bench_pod
from mubert_jax.config_files import load_config

pytestmark = pytest.mark.aot

CONFIGS = Path(__file__).parents[2] / "configs"


def row_of(name, topology, pairs, *overrides):
    config = load_config(str(CONFIGS / f"{name}.py"), list(overrides))
    (row,) = bench_pod(config, [topology], pairs, Console(quiet=True))
    assert row["compiled"].startswith("in "), row["compiled"]
    return row


def test_on_a_tpu_the_papers_step_bounds_itself_by_its_products():
    row = row_of("pretrain", "v5e:2x4", 16, "--config.loss.agreement=none")
    assert row["MFU allowed"] == 1.0 and row["share of the memory"] < 0.2
    assert row["GB moved per pair"] < 0.8 and row["GB per pair, XLA's estimate"] < 2
    assert row["temporaries, GB per pair"] < 0.15
    # 4 blocks of the encoder and 4 of the decoder, forward and backward.
    assert "16 tpu_custom_call" in row["kernels"]
    # Gradients in bfloat16, gradients in float32, metrics.
    assert re.fullmatch(r"3 all-reduce \(.* MB\)", row["collectives"])
    assert row["MB of collectives"] < 60


@pytest.mark.parametrize("reads", ["pixels", "motion"])
def test_on_a_tpu_warps_do_not_bound_the_default_step(reads):
    row = row_of("beyond", "v5e:2x4", 8, f"--config.model.dma.reads={reads}")
    assert row["MFU allowed"] == 1.0 and row["GB moved per pair"] < 1
    assert row["temporaries, GB per pair"] < {"pixels": 0.2, "motion": 0.3}[reads]
    assert "loop" not in row["collectives"]


def test_eight_gpus_sum_gradients_once_and_attend_by_cudnn():
    row = row_of("beyond", "h100:1x1x8", 16)
    assert row["MFU allowed"] > 0.35 and row["temporaries, GB per pair"] < 0.25
    for kernel in ("fmhaSoftmax", "fmhaSoftmaxBackward"):
        assert re.search(rf"\b8 __cudnn\${kernel}(,|$)", row["kernels"])
    assert re.fullmatch(r"\d all-reduce \(.* MB\)", row["collectives"])
    assert row["MB of collectives"] < 60
