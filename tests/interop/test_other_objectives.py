"""Runs of other objectives give what their `to_take_away` says, under the layout that it names."""

import json

import jax
import numpy as np
import pytest
import torch
from conftest import tiny_config
from safetensors import safe_open

from mubert_jax import objectives
from mubert_jax.cli import main
from mubert_jax.objectives import make_objective
from mubert_jax.training.checkpoints import Weights, save_imported
from mubert_jax.training.contamination import Seen

TAKEN = """
import jax.numpy as jnp
from mubert_jax.training.objective import Objective

class Taken(Objective):
    layout = "a friend's"

    def init(self, key):
        return {"kernel": jnp.arange(6.0).reshape(2, 3)}

    def views(self, key, batch):
        return batch

    def loss(self, params, extra, views, progress):
        return jnp.sum(params["kernel"]), ({}, {})

    def to_take_away(self, params, extra):
        return {"linear.weight": params["kernel"].T}
"""


def run_of(folder, config):
    objective = make_objective(config)
    params = jax.jit(objective.init)(jax.random.key(0))
    save_imported(folder, config, Weights(params), "a test", Seen())
    return folder


def refused(capsys, *arguments):
    capsys.readouterr()
    assert main([*map(str, arguments)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "Traceback" not in error
    return error


def test_what_an_objective_takes_away_is_written_with_its_layout(drop, tmp_path, capsys):
    drop(objectives, "taken", TAKEN)
    config = tiny_config(objective__name="taken", data__path="/home/me/faces")
    command = ["export", f"--checkpoint={run_of(tmp_path / 'run', config)}"]
    for suffix, format in ((".pth", "torch"), (".safetensors", "safetensors")):
        path = tmp_path / f"out{suffix}"
        assert main([*command, f"--format={format}", f"--output={path}"]) == 0
        assert "names and shapes: a friend's" in capsys.readouterr().out
        assert b"/home/me" not in path.read_bytes()
    state = torch.load(tmp_path / "out.pth", weights_only=True)
    np.testing.assert_array_equal(state["linear.weight"], np.arange(6.0).reshape(2, 3).T)
    with safe_open(tmp_path / "out.safetensors", "numpy") as file:
        assert json.loads(file.metadata()["mubert_jax"])["layout"] == "a friend's"
        np.testing.assert_array_equal(file.get_tensor("linear.weight"), state["linear.weight"])
    said = refused(
        capsys, *command, "--format=torch", f"--output={tmp_path / 'r.pth'}", "--recognizer"
    )
    assert "--recognizer: a run of config.objective.name='taken' has none" in said
    perceive = ["perceive", f"--checkpoint={path}", "--video=v.avi", f"--output={tmp_path / 'x'}"]
    assert "(names of a friend's); give the run's folder" in refused(capsys, *perceive)


def test_an_objective_that_gives_nothing_says_so_and_nothing_is_written(tmp_path, capsys):
    options = {"codes": 4, "dim": 4, "width": 4, "blocks": 1}
    config = tiny_config(objective__name="vq_tokenizer", objective__options=options)
    folder, output = run_of(tmp_path / "run", config), tmp_path / "x.safetensors"
    command = ["export", f"--checkpoint={folder}", f"--output={output}"]
    said = refused(capsys, *command, "--format=safetensors")
    assert "config.objective.name='vq_tokenizer' cannot be exported" in said
    assert not output.exists()
    output = tmp_path / "x.onnx"
    said = refused(capsys, *command[:2], f"--output={output}", "--format=onnx")
    assert "it has no DMA to look through" in said


@pytest.mark.parametrize("layout", [3, ["timm"]])
def test_a_damaged_layout(drop, tmp_path, capsys, layout):
    drop(objectives, "taken", TAKEN.replace('"a friend\'s"', repr(layout)))
    folder = run_of(tmp_path / "run", tiny_config(objective__name="taken"))
    output = tmp_path / "x.safetensors"
    command = ["export", f"--checkpoint={folder}", "--format=safetensors", f"--output={output}"]
    assert main(command) == 0
    perceive = ["perceive", f"--checkpoint={output}", "--video=v.avi", f"--output={tmp_path / 'x'}"]
    assert "its description (mubert_jax) is damaged" in refused(capsys, *perceive)
