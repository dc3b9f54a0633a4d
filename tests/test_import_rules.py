"""Imports go one way; data/ holds no JAX; torch is in interop/ and a benchmark's peer alone."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import mubert_jax

PACKAGE = Path(mubert_jax.__file__).parent
LAYERS = {
    "errors": 0,
    "config_checks": 1,
    "config_values": 1,
    "config": 1,
    "config_files": 1,
    "config_parts": 1,
    "models": 2,
    "losses": 2,
    "data": 2,
    "training": 3,
    "perception": 3,
    "interop": 3,
    "recognition": 4,
    "bench": 4,
    "flag_types": 1,
    "outputs": 1,
    "arguments": 4,
    "cli_prepare": 4,
    "cli": 5,
}
FILES = sorted(PACKAGE.rglob("*.py"))


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def layer(module):
    parts = module.split(".")
    return LAYERS.get(parts[1], 0) if len(parts) > 1 else 0


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path):
    own = ".".join(("mubert_jax", *path.relative_to(PACKAGE).with_suffix("").parts))
    for module in imported(path):
        if module.startswith("mubert_jax"):
            assert layer(module) <= layer(own), f"{own} imports {module}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_heavy_libraries_stay_in_their_rooms(path):
    room = path.relative_to(PACKAGE).parts[0]
    roots = {module.split(".")[0] for module in imported(path)}
    assert "tensorflow" not in roots
    if room != "interop" and path.name != "torch_step.py":
        assert "torch" not in roots
    if room == "data":
        assert not roots & {"jax", "flax", "optax", "orbax"}


def test_the_command_line_starts_without_torch_or_tensorflow():
    code = (
        "import sys, mubert_jax.training.step, mubert_jax.perception.perceive, mubert_jax.cli;"
        "print(sorted({'torch', 'tensorflow'} & set(sys.modules)))"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert output.stdout.strip() == "[]"
