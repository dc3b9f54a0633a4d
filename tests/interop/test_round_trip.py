"""export -> official names -> import: the same bits, for every config."""

import dataclasses
import json

import pytest
import torch
from conftest import tiny_config, write_config_file
from examples import assert_identical, random_weights
from safetensors import safe_open

from mubert_jax.cli import main
from mubert_jax.training.checkpoints import load_weights, save_imported

MB1 = {"model__dma__kind": "none", "model__poi__enabled": False, "loss__agreement": "none"}
MB2 = {"model__poi__enabled": False, "loss__agreement": "none"}
MB3 = {"loss__agreement": "dino"}
CONFIGS = {
    "mb1": MB1,
    "mb2": MB2,
    "mb3": MB3,
    "mse": {"loss__agreement": "mse"},
    "shared": {"model__dma__projection": "shared", "loss__agreement": "mse"},
    "no output projection": {"model__dma__output_projection": False, "loss__agreement": "none"},
    "residual": {"model__decoder__predict": "residual", "model__decoder__dim": 48},
}


def there_and_back(checkpoint, tmp_path, format="torch", *flags):
    file = tmp_path / "model.safetensors" if format == "safetensors" else tmp_path / "model.pth"
    source = f"--checkpoint={checkpoint}"
    assert main(["export", source, f"--format={format}", f"--output={file}", *flags]) == 0
    assert main(["import", f"--input={file}", f"--workdir={tmp_path / 'back'}"]) == 0
    return file, tmp_path / "back"


def assert_same_model(ours, theirs):
    (config, weights), (config_back, back) = load_weights(ours), load_weights(theirs)
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, path=""))
    assert config_back == config
    assert_identical((back.params, back.extra), (weights.params, weights.extra))


@pytest.mark.parametrize("format", ["torch", "safetensors"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", CONFIGS)
def test_bit_identical(tmp_path, name, dtype, format):
    config = tiny_config(model__dtype=dtype, **CONFIGS[name])
    save_imported(tmp_path / "run", config, random_weights(config), "random")
    there_and_back(tmp_path / "run", tmp_path, format)
    assert_same_model(tmp_path / "run", tmp_path / "back")


@pytest.mark.slow
def test_a_run_trained_in_bfloat16(tmp_path, frames_set):
    config = tiny_config(
        model__dtype="bfloat16",
        training__steps=2,
        runtime__checkpoint_every=2,
        loss__agreement="dino",
    )
    file = write_config_file(tmp_path / "config.py", config)
    run = tmp_path / "run"
    data = f"--config.data.path={frames_set}"
    assert main(["pretrain", f"--config={file}", f"--workdir={run}", data]) == 0
    there_and_back(run, tmp_path)
    assert_same_model(run, tmp_path / "back")


def test_a_finished_run_keeps_the_scale_of_its_maps(trained_run, tmp_path):
    file, back = there_and_back(trained_run, tmp_path, "safetensors")
    assert_same_model(trained_run, back)
    scales = [json.loads((run / "perception.json").read_text()) for run in (trained_run, back)]
    assert scales[0] == scales[1]
    with safe_open(file, "numpy") as opened:
        described = json.loads(opened.metadata()["mubert_jax"])
    assert described["config"]["model"]["dim"] == 32
    assert described["scale"] == scales[0]["calibrated"]


def test_the_recognizer_travels_when_asked(tmp_path, capsys):
    config = tiny_config(model__recognizer__classes=3)
    weights = random_weights(config)
    save_imported(tmp_path / "run", config, weights, "random")
    there_and_back(tmp_path / "run", tmp_path)
    assert "left out: recognizer.*" in capsys.readouterr().out
    without = load_weights(tmp_path / "back")
    assert without[0].model.recognizer.classes == 0
    assert_identical(
        without[1].params, {n: x for n, x in weights.params.items() if n != "recognizer"}
    )
    (tmp_path / "with").mkdir()
    there_and_back(tmp_path / "run", tmp_path / "with", "torch", "--recognizer")
    assert_same_model(tmp_path / "run", tmp_path / "with" / "back")


def test_a_torch_file_is_a_plain_state_dict_that_shares_what_the_model_shares(tmp_path):
    config = tiny_config()
    save_imported(tmp_path / "run", config, random_weights(config), "random")
    file, _ = there_and_back(tmp_path / "run", tmp_path)
    state = torch.load(file, weights_only=True)
    assert all(isinstance(value, torch.Tensor) for value in state.values())
    ours, students = (state[f"{prefix}backbone.cls_token"] for prefix in ("", "student."))
    assert ours.data_ptr() == students.data_ptr()


def test_weights_without_a_teacher_are_not_given_one(tmp_path):
    config = tiny_config(loss__agreement="none")
    save_imported(tmp_path / "run", config, random_weights(config), "random")
    _, weights = load_weights(tmp_path / "run")
    assert weights.extra == {}
