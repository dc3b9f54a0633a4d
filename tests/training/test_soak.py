"""Killed again and again at random moments: no checkpoint is lost, the end is the same bits.

Minutes: `bash launch/test.sh -m slow tests/training/test_soak.py`; SOAK_KILLS says how often.
"""

import os
import random
import signal
import time

import jax
import numpy as np
import pytest
from conftest import tiny_config, write_config_file
from test_resume import launch

from mubert_jax.training.checkpoints import load_weights
from mubert_jax.training.writers import read_metrics

KILLS = int(os.environ.get("SOAK_KILLS", "50"))
STEPS = 600


@pytest.mark.slow
def test_killed_at_random_moments_it_ends_with_the_same_bits(frames_set, tmp_path):
    config = write_config_file(
        tmp_path / "config.py",
        tiny_config(
            data__path=str(frames_set),
            loss__agreement="mse",
            training__steps=STEPS,
            runtime__checkpoint_every=2,
            runtime__log_every=50,
        ),
    )
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    process = launch(config, whole)
    output, _ = process.communicate(timeout=900)
    assert process.returncode == 0, output

    drawn = random.SystemRandom()
    seed = drawn.randrange(2**32)
    print(f"seed of the kills: {seed}")
    moments = random.Random(seed)
    kills, last = 0, 0
    while kills < KILLS:
        process = launch(config, killed)
        step = last
        deadline = time.monotonic() + 120
        if moments.random() < 0.8:  # else before it has come to a step
            while step == last and process.poll() is None and time.monotonic() < deadline:
                step = latest(killed)
                time.sleep(0.01)
        time.sleep(moments.uniform(0, 1.0 if step > last else 6.0))
        process.send_signal(signal.SIGKILL)
        output, _ = process.communicate(timeout=60)
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL, output
        kills += 1
        assert latest(killed) >= last, "a checkpoint is gone"
        last = latest(killed)
        if last:
            load_weights(killed)
    process = launch(config, killed)
    output, _ = process.communicate(timeout=900)
    assert process.returncode == 0, output
    print(f"{kills} kills")
    jax.tree.map(
        np.testing.assert_array_equal, load_weights(killed)[1].params, load_weights(whole)[1].params
    )
    losses = [[(row["step"], row["loss"]) for row in read_metrics(run)] for run in (killed, whole)]
    assert losses[0] == losses[1]
    assert kills == KILLS, f"finished after {kills} kills; more STEPS are needed"


def latest(workdir) -> int:
    """The newest finished checkpoint; 0 if there is none."""
    folder = workdir / "checkpoints"
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return max((int(name) for name in names if name.isdigit()), default=0)
