"""`mubert_jax.data` imports no JAX, Flax, PyTorch or TensorFlow, so input workers stay light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import mubert_jax.data

FOLDER = Path(mubert_jax.data.__file__).parent
FILES = sorted(FOLDER.rglob("*.py"))
FORBIDDEN = {"jax", "jaxlib", "flax", "torch", "tensorflow"}

IMPORT_ALL = """
import importlib, pkgutil, sys
import mubert_jax.data
for module in pkgutil.walk_packages(mubert_jax.data.__path__, "mubert_jax.data."):
    importlib.import_module(module.name)
import mubert_jax.data.pipeline
from mubert_jax.data.records import FrameRecord, decode_frame, encode_frame
record = FrameRecord(b"image", "video", 1, "subject")
assert decode_frame(encode_frame(record)) == record
loaded = {"torch", "tensorflow", "flax"} & set(sys.modules)
assert not loaded, loaded
if "jax" in sys.modules:
    from jax._src import xla_bridge
    assert not xla_bridge._backends, xla_bridge._backends
"""


def imported(source: str) -> set[str]:
    """The top-level packages a file imports anywhere, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


def test_the_check_sees_imports_inside_functions():
    source = "def f():\n    from jax import numpy\n    import flax.linen as nn\n"
    assert imported(source) == {"jax", "flax"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(FOLDER)))
def test_no_file_imports_a_framework(path):
    assert not imported(path.read_text()) & FORBIDDEN


def parts_of_ours(source: str) -> set[str]:
    """What a file imports of `mubert_jax`, by the name below it."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "relative"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.split(".")[1] for name in found if name.startswith("mubert_jax.")}


def test_the_check_sees_parts_however_they_are_imported():
    source = "from mubert_jax import cli, config\nimport mubert_jax.losses as l\n"
    source += "def f():\n    from mubert_jax.training.views import normalise\n"
    assert parts_of_ours(source) == {"cli", "config", "losses", "training"}


def test_data_imports_nothing_above_it():
    above = {"bench", "cli", "recognition", "interop", "training", "perception", "models", "losses"}
    for path in FILES:
        assert not parts_of_ours(path.read_text()) & above, path


def test_importing_everything_loads_no_framework_and_starts_no_backend():
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
