"""`mubert export`: what it prints holds, and where it will not write."""

import json
import re

import pytest
import torch
from conftest import tiny_config
from examples import random_weights
from test_official_classes import official_shaped

from mubert_jax import cli
from mubert_jax.cli import main
from mubert_jax.config import build, paper_config
from mubert_jax.interop.exporting import FORMATS
from mubert_jax.training.checkpoints import save_imported


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export") / "run"
    config = tiny_config(model__recognizer__classes=3, loss__agreement="dino")
    save_imported(folder, config, random_weights(config), "random")
    (folder / "perception.json").write_text('{"calibrated": 0.5}')
    return folder


def export(checkpoint, output, format="torch", *flags):
    arguments = [f"--checkpoint={checkpoint}", f"--format={format}", f"--output={output}", *flags]
    return main(["export", *arguments])


def refused(capsys, *arguments):
    capsys.readouterr()
    assert export(*arguments) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "Traceback" not in error
    return error


@pytest.mark.parametrize("flags", [[], ["--recognizer"]])
def test_the_printed_lines_load_the_file(checkpoint, tmp_path, capsys, flags):
    """The call is run with a stand-in that has the official parameters' names and shapes."""
    assert export(checkpoint, tmp_path / "m.pth", "torch", *flags) == 0
    said = capsys.readouterr().out
    lines = re.findall(r"^  (model.*)$", said, re.MULTILINE)
    assert len(lines) == 2 and "DINOHead's hidden_dim=16, bottleneck_dim=8" in said

    def constructor(**options):
        assert options.pop("norm_layer") and options.pop("diag_att") is True
        assert options.pop("enable_dino") is True and options.pop("local_crops_number") == 1
        model = {
            "image_size": options["img_size"],
            "patch_size": options["patch_size"],
            "dim": options["embed_dim"],
            "depth": options["depth"],
            "heads": options["num_heads"],
            "mlp_ratio": options["mlp_ratio"],
            "decoder": {
                "dim": options["decoder_embed_dim"],
                "depth": options["decoder_depth"],
                "heads": options["decoder_num_heads"],
            },
        }
        dino = {"hidden_dim": 16, "bottleneck_dim": 8, "output_dim": options["out_dim"]}
        values = {"model": model, "loss": {"dino": dino}, "swapping": {"min_block": 2}}
        return official_shaped(build(values), enable_dino=True)

    names = {"MaskedAutoencoderViT": constructor, "torch": torch, "partial": dict, "nn": torch.nn}
    exec("\n".join(lines).replace("partial(nn.LayerNorm, eps=1e-6)", "True"), names)
    assert not isinstance(names["model"], dict)


@pytest.mark.slow
def test_the_papers_size_is_the_official_class(tmp_path, capsys):
    config = build(paper_config())
    save_imported(tmp_path / "run", config, random_weights(config), "random")
    assert export(tmp_path / "run", tmp_path / "m.safetensors", "safetensors") == 0
    said = capsys.readouterr().out
    call = "mae_vit_small_patch8(img_size=224, diag_att=True, enable_dino=True, out_dim=128, "
    assert call in said and "MaskedAutoencoderViT" not in said and "DINOHead" not in said


def test_the_description_has_the_scale_and_no_path(checkpoint, tmp_path):
    for folder in (checkpoint, checkpoint / "checkpoints", checkpoint / "checkpoints" / "0"):
        assert export(folder, tmp_path / "m.pth") == 0
        state = torch.load(tmp_path / "m.pth", weights_only=True)
        assert json.loads(state._metadata[""]["mubert_jax"])["scale"] == 0.5
    config = tiny_config(data__path="/home/me/faces", training__init_from="/home/me/run")
    save_imported(tmp_path / "run", config, random_weights(config), "random")
    assert export(tmp_path / "run", tmp_path / "m.safetensors", "safetensors") == 0
    assert b"/home/me" not in (tmp_path / "m.safetensors").read_bytes()


def test_paths_with_brackets(checkpoint, tmp_path, capsys):
    output = tmp_path / "a[/b] [v2].pth"
    output.parent.mkdir(exist_ok=True)
    output = tmp_path / "m[v2].pth"
    assert export(checkpoint, output) == 0
    assert str(output) in capsys.readouterr().out.replace("\n", "")


def test_refuses_before_it_computes(checkpoint, tmp_path, capsys):
    assert "is a folder" in refused(capsys, checkpoint, tmp_path)
    line = refused(capsys, checkpoint, tmp_path / "m.safetensors", "torch")
    assert "suffix of --format=safetensors" in line
    line = refused(capsys, checkpoint, tmp_path / "m.onnx", "onnx", "--recognizer")
    assert "--recognizer is for torch and safetensors" in line
    assert "no checkpoint" in refused(capsys, tmp_path, tmp_path / "m.pth")
    (tmp_path / "file").write_text("")
    assert "file" in refused(capsys, checkpoint, tmp_path / "file" / "m.pth")
    assert "too long" in refused(capsys, checkpoint, tmp_path / ("m" * 300))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_damaged_scale(checkpoint, tmp_path, capsys):
    config = tiny_config()
    save_imported(tmp_path / "run", config, random_weights(config), "random")
    (tmp_path / "run" / "perception.json").write_text("{")
    assert "perception.json is damaged" in refused(capsys, tmp_path / "run", tmp_path / "m.pth")


@pytest.mark.slow
def test_onnx_of_weights_that_are_not_finite_is_not_kept(tmp_path, capsys):
    config = tiny_config(model__recognizer__classes=3, loss__agreement="none")
    weights = random_weights(config)
    weights.params["recognizer"]["head"]["bias"][1] = float("nan")
    save_imported(tmp_path / "run", config, weights, "random")
    assert "differ by nan" in refused(capsys, tmp_path / "run", tmp_path / "m.onnx", "onnx")
    assert not (tmp_path / "m.onnx").exists()


def test_the_command_line_knows_the_formats():
    _, verbs = cli._parser()
    (action,) = (a for a in verbs["export"]._actions if a.dest == "format")
    assert set(action.choices) == FORMATS.keys()
