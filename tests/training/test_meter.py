"""The times of a run add up, by a clock that the test turns."""

import io
import json

import pytest
from conftest import tiny_config
from rich.console import Console

from mubert_jax.training import flops
from mubert_jax.training import meter as meter_lib
from mubert_jax.training.meter import Meter


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 100.0

        def perf_counter(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(meter_lib, "time", clock)
    return clock


def test_a_run_by_the_clock(clock, tmp_path):
    meter = Meter(batch_size=8, flops_per_pair=1e6, peak_flops=1e9)

    def spend(seconds, what=None):
        if what is None:
            clock.now += seconds
            return
        with meter.timing(what):
            clock.now += seconds

    spend(2, "checkpoints")  # restoring
    spend(1, "data")
    spend(30)
    assert meter.step() == {}
    for _ in range(4):
        spend(1, "data")
        spend(3)
        rates = meter.step()
    assert rates["seconds_per_step"] == pytest.approx(4)
    assert rates["pairs_per_second"] == pytest.approx(2)
    assert rates["data_wait"] == pytest.approx(1 / 4)
    spend(5, "checkpoints")
    spend(26, "evaluation")

    shown = io.StringIO()
    meter.summarise(tmp_path, Console(file=shown))
    assert json.loads((tmp_path / "summary.json").read_text()) == {
        "steps": 5,
        "pairs_per_second": pytest.approx(2),
        "model_flops_utilisation": pytest.approx(2e-3),
        "seconds": pytest.approx(80),
        "compiling_seconds": pytest.approx(30),
        "data_wait_seconds": pytest.approx(5),
        "checkpoint_seconds": pytest.approx(7),
        "evaluation_seconds": pytest.approx(26),
        "goodput": pytest.approx(12 / 80),
    }
    assert shown.getvalue().startswith("5 steps in 1.3 min: 2.0 pairs/s, MFU ")
    assert shown.getvalue().endswith(
        "first step 30 s, data wait 5.0 s, checkpoints 7.0 s, evaluation 26.0 s, goodput 15%\n"
    )


def test_a_run_of_one_step_has_no_rate(clock, tmp_path):
    meter = Meter(batch_size=4, flops_per_pair=1e6, peak_flops=1e9)
    clock.now += 3
    meter.step()
    meter.summarise(tmp_path, Console(file=io.StringIO()))
    assert json.loads((tmp_path / "summary.json").read_text())["pairs_per_second"] == 0


@pytest.mark.parametrize("backend, devices", [("gpu", 32), ("tpu", 32), ("cpu", 1)])
def test_the_peak_is_that_of_the_whole_mesh(monkeypatch, backend, devices):
    """The rate it is held against is that of all processes, too."""
    monkeypatch.setattr(flops, "matmul_peak", lambda dtype: 1e12)
    monkeypatch.setattr(flops.jax, "default_backend", lambda: backend)
    assert flops.peak_of(tiny_config(), 32) == devices * 1e12
