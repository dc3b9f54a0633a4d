"""Imports go one way; data/ and synthetic/ hold no JAX; torch is where it is asked for alone."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import mubert_jax

PACKAGE = Path(mubert_jax.__file__).parent
# A floor imports lower ones only. What is not named here is on the ground floor and imports none.
FLOORS = {
    floor: height
    for height, floors in enumerate(
        [
            "paths renamed outputs",
            "config_checks config_values",
            "discovery",
            "data synthetic",
            "config",
            "config_parts",
            "config_files models",
            "motion_maps",
            "losses registration",
            "training",
            "objectives",
            "perception",
            "interop",
            "recognition spotting",
            "evaluators api",
            "pretraining",
            "bench",
            "cli",
        ],
        start=1,
    )
    for floor in floors.split()
}
FILES = sorted(PACKAGE.rglob("*.py"))


def at_run_time(node):
    """A module's nodes but for what it imports for annotations alone."""
    for child in ast.iter_child_nodes(node):
        for_annotations = isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"
        if not for_annotations:
            yield child
            yield from at_run_time(child)


def imported(path):
    for node in at_run_time(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def floor_of(module):
    return module.split(".")[1] if "." in module else ""


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down(path):
    own = floor_of(".".join(("mubert_jax", *path.relative_to(PACKAGE).with_suffix("").parts)))
    for module in imported(path):
        if module.startswith("mubert_jax.") and floor_of(module) != own:
            below = FLOORS.get(floor_of(module), 0) < FLOORS.get(own, 0)
            beside = {own, floor_of(module)} == {"data", "synthetic"}
            front_door = own == "__init__"
            assert below or beside or front_door, f"{path} imports {module}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_heavy_libraries_stay_in_their_rooms(path):
    room = path.relative_to(PACKAGE).parts[0]
    roots = {module.split(".")[0] for module in imported(path)}
    assert "tensorflow" not in roots
    if room not in ("interop", "motion_maps") and path.name != "torch_step.py":
        assert "torch" not in roots
    if room in ("data", "synthetic"):
        assert not roots & {"jax", "flax", "optax", "orbax"}


def test_synthetic_people_need_little_of_data():
    """Only what finds, reads and greys a picture; `data/sets/synthetic.py` is what draws them."""
    for path in sorted((PACKAGE / "synthetic").glob("*.py")):
        read = {module for module in imported(path) if module.startswith("mubert_jax.data")}
        parts = {module.split(".")[2] for module in read}
        assert parts <= {"faces", "images", "video"}, path


def test_the_command_line_starts_without_torch_or_tensorflow():
    code = (
        "import sys, mubert_jax.training.step, mubert_jax.perception.perceive, mubert_jax.cli;"
        "print(sorted({'torch', 'tensorflow'} & set(sys.modules)))"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert output.stdout.strip() == "[]"
