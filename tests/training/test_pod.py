"""`launch/local_pod.sh`: several processes train as one, on loopback.

Five pods are started in all; each does what one process does, and is stopped in another way.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from conftest import tiny_config, write_config_file
from test_resume import comes_to, launch

from mubert_jax.config import build
from mubert_jax.data.frames import FramePairs
from mubert_jax.data.pipeline import pretraining_batches
from mubert_jax.objectives import make_objective
from mubert_jax.training import sharding
from mubert_jax.training.checkpoints import Checkpoints, load_weights
from mubert_jax.training.compiled import CompiledRun
from mubert_jax.training.pod import HEARTBEAT_SECONDS
from mubert_jax.training.preemption import EXIT_CODE
from mubert_jax.training.writers import read_metrics

LOCAL_POD = Path(__file__).parents[2] / "launch" / "local_pod.sh"
MUBERT = Path(sys.prefix) / "bin" / "mubert"
SPLIT = [["qkv/kernel", ["fsdp", "tensor"]], ["fc1/kernel", ["fsdp"]], [".*", []]]


@pytest.fixture(scope="module")
def config(tmp_path_factory, frames_set):
    split = tiny_config(
        loss__agreement="mse",
        data__path=str(frames_set),
        model__attention="explicit",
        runtime__sharding=SPLIT,
    )
    return write_config_file(tmp_path_factory.mktemp("pod") / "config.py", split)


def pod(processes, devices, config, workdir, *flags, mesh="(1,-1,1)"):
    """A process group of its own, so that nothing is left of it."""
    command = ["bash", LOCAL_POD, str(processes), str(devices), "pretrain"]
    command += [f"--config={config}", f"--workdir={workdir}", f"--config.runtime.mesh={mesh}"]
    return subprocess.Popen(
        [*command, *flags],
        env=os.environ | {"MUBERT": str(MUBERT), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def finished(process, seconds=240):
    try:
        output, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        pytest.fail(f"hangs: {process.communicate()[0]}")
    return output


def wait_for(process, workdir, step):
    if not comes_to(process, workdir, step):
        pytest.fail(f"did not get to step {step}: {finished(process)}")


def members(process):
    """Process numbers of the pod's members."""
    found = subprocess.run(
        ["pgrep", "-P", str(process.pid), "-f", "mubert"], capture_output=True, text=True
    )
    return sorted(int(line) for line in found.stdout.split())


@pytest.fixture(scope="module")
def one_process(config, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("one") / "run"
    process = launch(config, workdir, "--config.runtime.keep_checkpoints=10")
    output = finished(process)
    assert process.returncode == 0, output
    summary = json.loads((workdir / "summary.json").read_text())
    assert summary["steps"] == 20
    parts = [value for name, value in summary.items() if name.endswith("_seconds")]
    assert len(parts) == 4 and min(parts) > 0
    assert summary["goodput"] == pytest.approx(1 - sum(parts) / summary["seconds"])
    assert 0 < summary["goodput"] < 1 and f"goodput {summary['goodput']:.0%}" in output
    return workdir


def assert_goes_on(workdir):
    """What is kept last is whole, and the next step from it has the loss that was logged."""
    step = max(int(path.name) for path in (workdir / "checkpoints").iterdir())
    config = build(json.loads((workdir / "config.json").read_text()))
    pairs = FramePairs(config.data.path, delta=config.data.delta, image_size=32)
    mesh = sharding.make_mesh(config, jax.devices()[:1])
    run = CompiledRun(make_objective(config), config, mesh, config.training.steps)
    with Checkpoints(workdir, config, pairs.fingerprint) as checkpoints:
        assert checkpoints.latest_step == step
        state = checkpoints.restore(run.abstract_state)
    assert int(state.step) == step
    size, seed = config.training.batch_size, config.training.seed
    batches = pretraining_batches(pairs, batch_size=size, seed=seed, start_step=step)
    _, metrics = run.step(
        state, sharding.put_batch(next(batches), run.batch_sharding, size, np.arange(size))
    )
    batches.close()
    logged = {row["step"]: row["loss"] for row in read_metrics(workdir)}
    np.testing.assert_allclose(metrics["loss"], logged[step + 1], rtol=1e-4)


def assert_same_end(workdir, expected):
    losses = [[row["loss"] for row in read_metrics(folder)] for folder in (workdir, expected)]
    assert len(losses[0]) == len(losses[1]) == 20
    np.testing.assert_allclose(losses[0], losses[1], rtol=2e-4)
    ours, theirs = (load_weights(folder)[1].params for folder in (workdir, expected))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-3), ours, theirs)


@pytest.mark.slow
def test_sigterm_to_one_stops_all_at_one_step_and_one_process_goes_on(
    config, one_process, tmp_path
):
    """2 processes × 2 devices with FSDP; their checkpoint opens on one device."""
    process = pod(2, 2, config, tmp_path / "run")
    wait_for(process, tmp_path / "run", 3)
    os.kill(members(process)[-1], signal.SIGTERM)
    output = finished(process)
    assert process.returncode == EXIT_CODE, output
    assert output.count("the same command goes on") == 1
    last = max(int(path.name) for path in (tmp_path / "run" / "checkpoints").iterdir())
    assert f"stopped at step {last}" in output
    process = launch(config, tmp_path / "run")
    output = finished(process)
    assert process.returncode == 0, output
    assert_same_end(tmp_path / "run", one_process)


@pytest.mark.slow  # bash launch/test.sh -m slow tests/training/test_pod.py
def test_what_one_process_began_four_go_on_with(config, one_process, tmp_path):
    shutil.copytree(one_process, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "20")
    # Two and two of them share their examples.
    process = pod(4, 1, config, tmp_path / "run", mesh="(1,2,2)")
    output = finished(process)
    assert process.returncode == 0, output
    assert_same_end(tmp_path / "run", one_process)
    assert (tmp_path / "run" / "training.png").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "processes, devices, mesh",
    [(1, 2, "(1,1,2)"), (2, 1, "(1,1,2)"), (4, 1, "(1,2,2)"), (4, 1, "(2,1,2)")],
)
def test_however_tensor_lies_over_processes_all_learn_the_same(
    config, one_process, tmp_path, processes, devices, mesh
):
    """`bash launch/test.sh -m slow tests/training/test_pod.py`"""
    process = pod(processes, devices, config, tmp_path / "run", mesh=mesh)
    output = finished(process, seconds=900)
    assert process.returncode == 0, output
    first = [read_metrics(folder)[0]["loss"] for folder in (tmp_path / "run", one_process)]
    np.testing.assert_allclose(first[0], first[1], rtol=1e-5)
    assert_same_end(tmp_path / "run", one_process)


@pytest.mark.slow
def test_two_start_from_another_run_as_one_does_and_are_stopped_while_looking_back(
    config, one_process, tmp_path
):
    start = (f"--config.training.init_from={one_process}", "--config.training.steps=4")
    alone = launch(config, tmp_path / "alone", *start)
    output = finished(alone)
    assert alone.returncode == 0, output
    process = pod(2, 1, config, tmp_path / "pod", *start)
    last = tmp_path / "pod" / "checkpoints" / "4"
    while process.poll() is None and not last.exists():
        time.sleep(0.002)
    for member in members(process):
        os.kill(member, signal.SIGTERM)
    output = finished(process)
    assert process.returncode == EXIT_CODE, output
    assert "the same command goes on" in output
    losses = [[row["loss"] for row in read_metrics(tmp_path / run)] for run in ("alone", "pod")]
    np.testing.assert_allclose(losses[1], losses[0], rtol=2e-4)
    assert losses[0][0] < 0.95 * read_metrics(one_process)[0]["loss"]


@pytest.mark.slow
def test_a_process_that_dies_takes_the_others_with_it_and_no_checkpoint(config, tmp_path):
    # Far from the next save: who waits for another to write is ended by JAX's runtime alone.
    long = ("--config.training.steps=100000", "--config.runtime.checkpoint_every=50")
    process = pod(2, 1, config, tmp_path / "run", *long)
    wait_for(process, tmp_path / "run", 60)
    while process.poll() is None and not (tmp_path / "run" / "checkpoints" / "50").exists():
        time.sleep(0.005)
    os.kill(members(process)[-1], signal.SIGKILL)
    began = time.monotonic()
    output = finished(process)
    assert process.returncode not in (0, 2), output
    assert time.monotonic() - began < 3 * HEARTBEAT_SECONDS
    assert "process 0 of 2: has lost another" in output and "the same command goes on" in output
    assert "unhealthy" in output.split("has lost another")[1], "names the process that is gone"
    assert_goes_on(tmp_path / "run")


@pytest.mark.slow
def test_a_save_that_fails_ends_all_and_leaves_the_last_good_checkpoint(config, tmp_path):
    """A file takes the place of the folder of checkpoints: nothing can be saved any more."""
    run, good = tmp_path / "run", tmp_path / "good"
    long = ("--config.training.steps=100000", "--config.runtime.checkpoint_every=20")
    process = pod(2, 1, config, run, *long)
    wait_for(process, run, 30)
    (run / "checkpoints").rename(good)
    (run / "checkpoints").write_text("in the way")
    began = time.monotonic()
    output = finished(process)
    assert time.monotonic() - began < 4 * HEARTBEAT_SECONDS
    assert process.returncode not in (0, EXIT_CODE), output
    assert f"checkpoint under {run} failed" in output
    (run / "checkpoints").unlink()
    good.rename(run / "checkpoints")
    assert_goes_on(run)


def test_a_pod_that_nothing_describes_is_refused(config, tmp_path):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SLURM")}
    found = subprocess.run(
        [MUBERT, "pretrain", f"--config={config}", f"--workdir={tmp_path / 'run'}", "--pod"],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert found.returncode == 2 and "JAX_COORDINATOR_ADDRESS" in found.stderr
    assert found.stderr.count("\n") == 1 and not (tmp_path / "run").exists()
