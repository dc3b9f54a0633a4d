"""Killed and started again: the same parameters, bit for bit, and every metric once."""

import os
import random
import resource
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
from conftest import tiny_config, write_config_file

from mubert_jax.cli import main
from mubert_jax.training.checkpoints import load_weights
from mubert_jax.training.preemption import EXIT_CODE
from mubert_jax.training.writers import read_metrics


@pytest.fixture(scope="module")
def command(tmp_path_factory, frames_set):
    folder = tmp_path_factory.mktemp("resume")
    config = write_config_file(folder / "config.py", tiny_config(data__path=str(frames_set)))
    return lambda workdir, *flags: launch(config, workdir, *flags)


def launch(config, workdir, *flags):
    """`mubert pretrain` in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", "import sys; from mubert_jax.cli import main; sys.exit(main())"]
        + ["pretrain", f"--config={config}", f"--workdir={workdir}", *flags],
        env=os.environ | {"XLA_FLAGS": "", "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture(scope="module")
def uninterrupted(command, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("whole") / "run"
    process = command(workdir)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    return workdir


def comes_to(process, workdir, step) -> bool:
    """Waits until the run has logged `step`; False if it ends before, or takes too long."""
    deadline = time.monotonic() + 300
    while process.poll() is None and time.monotonic() < deadline:
        rows = read_metrics(workdir)
        if rows and rows[-1]["step"] >= step:
            return True
        time.sleep(0.005)
    return False


def stop_at(process, workdir, step, signum):
    """Sends the signal once the run has logged `step`; returns its output."""
    if comes_to(process, workdir, step):
        process.send_signal(signum)
    return process.communicate(timeout=300)[0]


def assert_same_end(workdir, expected):
    ours, theirs = (load_weights(folder)[1].params for folder in (workdir, expected))
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)
    assert [row["step"] for row in read_metrics(workdir)] == list(range(1, 21))
    losses = [[row["loss"] for row in read_metrics(folder)] for folder in (workdir, expected)]
    assert losses[0] == losses[1]
    csv_steps = [line.split(",")[0] for line in (workdir / "metrics.csv").read_text().split()[1:]]
    assert csv_steps == [str(step) for step in range(1, 21)]


def test_sigkill_at_a_random_step(command, uninterrupted, tmp_path):
    step = random.SystemRandom().randint(8, 17)
    process = command(tmp_path / "run")
    stop_at(process, tmp_path / "run", step, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL, f"was to be killed after step {step}"
    process = command(tmp_path / "run")
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    assert_same_end(tmp_path / "run", uninterrupted)


@pytest.mark.slow
def test_sigterm_while_compiling_saving_and_looking_back(
    command, uninterrupted, tmp_path, monkeypatch
):
    run = tmp_path / "run"
    moments = {
        "compiling": lambda: (run / "config.json").exists(),
        "saving": lambda: any("tmp" in path.name for path in (run / "checkpoints").iterdir()),
        "looking back": lambda: (run / "checkpoints" / "20").exists(),
    }
    stopped_at = []
    for name, reached in moments.items():
        with monkeypatch.context() as patch:
            if name == "compiling":
                patch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "cold"))
            process = command(run)
        while process.poll() is None and not reached():
            time.sleep(0.002)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=300)
        assert process.returncode == EXIT_CODE, f"{name}: {output}"
        assert "the same command goes on" in output
        stopped_at.append(max(int(path.name) for path in (run / "checkpoints").iterdir()))
    assert stopped_at[0] < stopped_at[1] < stopped_at[2] == 20
    assert not read_metrics(run)[0]["step"] > 1
    process = command(run)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    assert_same_end(run, uninterrupted)


def test_a_finished_run_started_again_does_nothing(trained_run, frames_set):
    before = (trained_run / "metrics.jsonl").read_text()
    config = trained_run.with_name("config.py")
    data = f"--config.data.path={frames_set}"
    assert main(["pretrain", f"--config={config}", f"--workdir={trained_run}", data]) == 0
    assert (trained_run / "metrics.jsonl").read_text() == before


@pytest.mark.slow
def test_stopped_and_unable_to_save_it_does_not_say_saved(command, tmp_path):
    """The files of the save, which are written in the background, may not grow."""
    rare = ("--config.runtime.checkpoint_every=100000", "--config.runtime.log_every=100000")
    process = command(tmp_path / "run", "--config.training.steps=100000", *rare)
    assert comes_to(process, tmp_path / "run", 1)
    hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)[1]
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (2000, hard))
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 2, output
    assert f"checkpoint under {tmp_path / 'run'} failed" in output
    assert "stopped at step" not in output
