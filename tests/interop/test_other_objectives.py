"""Runs of other objectives give what their `to_take_away` says, under the layout that it names."""

import functools
import json
import re
import types

import jax
import numpy as np
import pytest
import torch
from conftest import tiny_config
from examples import assert_close, assert_identical
from public import listed, pictures
from safetensors import safe_open
from torch_vit import VisionTransformer

from mubert_jax import objectives
from mubert_jax.cli import main
from mubert_jax.interop.files import Description
from mubert_jax.interop.layouts import how_to_load
from mubert_jax.models import torchvision
from mubert_jax.objectives import make_objective
from mubert_jax.training.checkpoints import Weights, load_weights, save_imported
from mubert_jax.training.contamination import Seen

TAKEN = """
import jax.numpy as jnp
from mubert_jax.training.objective import Objective

class Taken(Objective):
    layout = "a friend's"

    def init(self, key):
        return {"kernel": jnp.zeros((2, 3))}

    def views(self, key, batch):
        return batch

    def loss(self, params, extra, views, progress):
        return jnp.sum(params["kernel"]), ({}, {})

    def to_take_away(self, params, extra):
        return {"linear.weight": params["kernel"].T}
"""


VIT = {"dim": 24, "depth": 2, "heads": 3, "patch_size": 8, "grid": 4, "centred": False}
ON_ENCODERS = {
    "mae": {},
    "simmim": {"side": 2},
    "moco_v3": {"hidden": 4, "output": 4},
    "vit_imagenet": VIT,
}


def run_of(folder, config):
    """A run whose weights are all drawn, so that no zero hides a mistake."""
    objective = make_objective(config)
    shapes = jax.eval_shape(objective.init, jax.random.key(0))
    random = np.random.default_rng(0)
    params = jax.tree.map(lambda x: random.normal(0, 0.2, x.shape).astype(np.float32), shapes)
    extra = {"statistics": {}} if config.objective.name == "moco_v3" else {}
    save_imported(folder, config, Weights(params, extra), "a test", Seen())
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
    assert state["linear.weight"].shape == (3, 2) and state["linear.weight"].any()
    with safe_open(tmp_path / "out.safetensors", "numpy") as file:
        assert json.loads(file.metadata()["mubert_jax"])["layout"] == "a friend's"
        np.testing.assert_array_equal(file.get_tensor("linear.weight"), state["linear.weight"])
    said = refused(
        capsys, *command, "--format=torch", f"--output={tmp_path / 'r.pth'}", "--recognizer"
    )
    assert "--recognizer: a run of config.objective.name='taken' has none" in said
    perceive = ["perceive", f"--checkpoint={path}", "--video=v.avi", f"--output={tmp_path / 'x'}"]
    assert "config.objective.name='taken', no Micron-BERT's" in refused(capsys, *perceive)


def test_an_objective_that_gives_nothing_says_so_and_nothing_is_written(tmp_path, capsys):
    options = {"codes": 4, "dim": 4, "width": 4, "blocks": 1}
    config = tiny_config(objective__name="vq_tokenizer", objective__options=options)
    folder, output = run_of(tmp_path / "run", config), tmp_path / "x.safetensors"
    command = ["export", f"--checkpoint={folder}", f"--output={output}"]
    said = refused(capsys, *command, "--format=safetensors")
    assert "config.objective.name='vq_tokenizer': VQTokenizer has no tensors to take away" in said
    assert not output.exists()
    output = tmp_path / "x.onnx"
    said = refused(capsys, *command[:2], f"--output={output}", "--format=onnx")
    assert "--format=onnx is for Micron-BERT, not config.objective.name='vq_tokenizer'" in said


def test_a_damaged_layout(drop, tmp_path, capsys):
    drop(objectives, "taken", TAKEN.replace('"a friend\'s"', "3"))
    folder = run_of(tmp_path / "run", tiny_config(objective__name="taken"))
    output = tmp_path / "x.safetensors"
    command = ["export", f"--checkpoint={folder}", "--format=safetensors", f"--output={output}"]
    assert main(command) == 0
    perceive = ["perceive", f"--checkpoint={output}", "--video=v.avi", f"--output={tmp_path / 'x'}"]
    assert "its description (mubert_jax) is damaged" in refused(capsys, *perceive)


@pytest.mark.parametrize(
    "name",
    [
        "simmim",
        pytest.param("moco_v3", marks=pytest.mark.slow),
        pytest.param("mae", marks=pytest.mark.slow),
        pytest.param("vit_imagenet", marks=pytest.mark.slow),
    ],
)
def test_the_printed_lines_load_an_encoder_that_computes_the_same(name, tmp_path, capsys):
    config = tiny_config(objective__name=name, objective__options=ON_ENCODERS[name])
    folder, output = run_of(tmp_path / "run", config), tmp_path / "m.pth"
    command = ["export", f"--checkpoint={folder}", f"--output={output}", "--format=torch"]
    assert main(command) == 0
    said = capsys.readouterr().out
    lines = [line.strip() for line in said.splitlines() if line.startswith("  model")]
    assert len(lines) == 2 and "strict=True" in lines[1] and "With timm:" in said
    timm = types.SimpleNamespace(models=types.SimpleNamespace(VisionTransformer=VisionTransformer))
    names = {"timm": timm, "torch": torch, "partial": functools.partial}
    exec("\n".join(lines), names)
    images = pictures(0, 2, 32, 32)
    with torch.no_grad():
        seen = names["model"].forward_features(torch.tensor(images.transpose(0, 3, 1, 2))).numpy()
    weights = load_weights(folder)[1]
    encode = jax.jit(make_objective(config).encode)
    assert_close(encode(weights.params, weights.extra, images), seen[:, 1:])
    beside = re.search("left out: (.*)", said)
    expected = {"simmim": "encoder/mask_token, decoder", "mae": "decoder"}.get(name)
    assert not expected or beside[1] == expected
    assert name != "vit_imagenet" or not beside
    description = torch.load(output, weights_only=True)._metadata[""]["mubert_jax"]
    assert Description.from_json(description, output).layout == "timm"


def test_a_resnet_has_torchvisions_names_and_values():
    tensors = {
        name: np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
        for _, name, shape, _ in listed("resnet50")
    }
    variables = torchvision.resnet(tensors)
    found = torchvision.state_dict_of_resnet(variables["params"], variables["batch_stats"])
    left_out = {name for name in tensors if name.startswith("fc.") or name.endswith("_tracked")}
    assert found.keys() == tensors.keys() - left_out
    assert_identical(found, {name: tensors[name] for name in found})
    options = {"backbone": "resnet50", "hidden": 4, "output": 4}
    config = tiny_config(objective__name="moco_v3", objective__options=options)
    objective = make_objective(config)
    assert objective.layout == "torchvision"
    params = {"encoder": variables["params"], "projector": {}}
    taken = objective.to_take_away(params, {"statistics": variables["batch_stats"]})
    assert_identical(taken, found)
    said = how_to_load("torchvision", config, taken, params, "x")
    assert "left out: projector\n" in said and "torchvision.models.resnet50()" in said
