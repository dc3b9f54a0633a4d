import subprocess
import sys

import pytest

from mubert_jax.training import heap

# Takes and frees 200 MB twice; prints how many pages the kernel handed over the second time.
SECOND_TIME = """
import resource, sys
import numpy as np
from mubert_jax.training.heap import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
np.ones(25_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
np.ones(25_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc alone is told")
def test_freed_memory_is_kept(monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    faults = {
        how: int(subprocess.check_output([sys.executable, "-c", SECOND_TIME, how]))
        for how in ("keep", "default")
    }
    assert 2 * faults["keep"] < faults["default"]


@pytest.mark.parametrize("platforms, alone", [("cpu", True), ("cuda,cpu", False), ("tpu", False)])
def test_only_where_the_cpu_computes(monkeypatch, platforms, alone):
    monkeypatch.setenv("JAX_PLATFORMS", platforms)
    assert heap._cpu_only() is alone
