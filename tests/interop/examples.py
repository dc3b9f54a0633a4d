"""Random weights for any config, and the comparison that every parity test uses."""

import math
import subprocess
import sys

import jax
import numpy as np
import torch

from mubert_jax.interop.torch_weights import abstract_weights
from mubert_jax.training.checkpoints import Weights


def random_weights(config, seed=0) -> Weights:
    """Every tensor filled: matrices at a width that keeps activations near 1, norms around 1."""
    random = np.random.default_rng(seed)

    def draw(path, leaf):
        values = random.standard_normal(leaf.shape).astype(np.float32)
        if path[-1].key == "scale":
            return 1 + 0.1 * values
        return values * (math.prod(leaf.shape[:-1]) ** -0.5 if len(leaf.shape) > 1 else 0.1)

    shapes = abstract_weights(config)
    return Weights(
        jax.tree_util.tree_map_with_path(draw, shapes.params),
        jax.tree_util.tree_map_with_path(draw, shapes.extra),
    )


def as_torch(tensors):
    return {name: torch.tensor(np.array(array)) for name, array in tensors.items()}


def run_python(code: str, folder) -> str:
    """Runs `code` in a fresh interpreter in `folder`, which must not fail; returns its stderr."""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def relative_error(ours, theirs) -> float:
    """Largest difference over the largest value; 1.0 for arrays of other shapes or with NaN."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    if ours.shape != theirs.shape or not np.isfinite(ours).all():
        return 1.0
    return float(np.abs(ours - theirs).max() / max(np.abs(theirs).max(), 1e-30))


def assert_close(ours, theirs, tolerance=1e-5):
    error = relative_error(ours, theirs)
    assert error < tolerance, f"relative error {error:.1e}"


def assert_identical(ours, theirs):
    """Two trees of arrays: same structure, same bits."""
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        a, b = np.asarray(a), np.asarray(b)
        assert a.dtype == b.dtype and a.tobytes() == b.tobytes()
