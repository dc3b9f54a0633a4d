"""Files that are nearly right, or wrong in ways that PyTorch lets through: one line each."""

import argparse
import collections
import json
import random
import warnings

import numpy as np
import pytest
import torch
from conftest import tiny_config
from examples import as_torch, random_weights
from safetensors.numpy import save_file
from test_import import SMALL, official_file, refused, run_import  # noqa: F401 (a fixture)
from test_parity import PARITY, WEIGHTS

from mubert_jax.config import to_dict
from mubert_jax.interop.torch_weights import to_official

TENSORS = as_torch(WEIGHTS)
NAME = "decoder_norm.bias"


def refused_pth(capsys, tmp_path, content, *flags):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save(content, tmp_path / "odd.pth")
        line = refused(capsys, tmp_path, tmp_path / "odd.pth", *SMALL, *flags)
    assert "odd.pth" in line
    return line


@pytest.mark.parametrize(
    "tensor, said",
    [
        (torch.ones(48).to_sparse(), "no plain tensor"),
        (torch.quantize_per_tensor(torch.ones(48), 0.1, 0, torch.qint8), "no plain tensor"),
        (torch.ones(48, device="meta"), "no plain tensor"),
        (torch.ones(48).to(torch.float8_e4m3fn), "no plain tensor"),
        (torch.ones(48, dtype=torch.complex64), "is complex64"),
        (torch.ones(48, dtype=torch.int64), "is int64"),
        (torch.tensor(1.0), "tensor(s) differ"),
        (torch.full((48,), 1e300, dtype=torch.float64), "holds NaN or infinity"),
    ],
    ids=["sparse", "quantised", "meta", "float8", "complex", "int", "scalar", "overflow"],
)
def test_tensors_that_are_no_weights(tmp_path, capsys, tensor, said):
    torch.save(TENSORS | {NAME: tensor}, tmp_path / "odd.pth")
    line = refused(capsys, tmp_path, tmp_path / "odd.pth", *SMALL, lines=None)
    assert said in line and NAME in line


def test_dictionaries_that_are_no_state_dicts(tmp_path, capsys):
    assert "3 is no name" in refused_pth(capsys, tmp_path, TENSORS | {3: torch.ones(2)})
    assert "holds no state dict" in refused_pth(capsys, tmp_path, {})
    twice = TENSORS | {f"module.{NAME}": TENSORS[NAME]}
    assert f"holds both {NAME} and module.{NAME}" in refused_pth(capsys, tmp_path, twice)


@pytest.mark.parametrize(
    "args, said",
    [
        (torch.ones(2), "'args' is a Tensor"),
        ("lr=3", "'args' is a str"),
        (argparse.Namespace(diag_att="False"), "diag_att is 'False', no bool"),
        ({"teacher_temp": None}, "teacher_temp is None, no float"),
        ({"local_crops_number": "eight"}, "local_crops_number is 'eight', no int"),
        ({"local_crops_number": -3}, "local_crops is -3; it cannot be negative"),
        ({"teacher_temp": float("nan")}, "teacher_temperature is nan; it must be positive"),
    ],
)
def test_training_arguments_of_other_kinds(tmp_path, capsys, official_file, args, said):  # noqa: F811
    model = torch.load(official_file[0], weights_only=False)["model"]
    torch.save({"model": model, "args": args}, tmp_path / "odd.pth")
    assert said in refused(capsys, tmp_path, tmp_path / "odd.pth")


def test_training_arguments_as_a_dictionary(tmp_path, official_file, capsys):  # noqa: F811
    model = torch.load(official_file[0], weights_only=False)["model"]
    torch.save({"model": model, "args": {"diag_att": False}}, tmp_path / "dict.pth")
    assert run_import(tmp_path, tmp_path / "dict.pth") == 0
    assert "DMA cross" in capsys.readouterr().out


def described(description):
    state = collections.OrderedDict(TENSORS)
    state._metadata = collections.OrderedDict({"": {"mubert_jax": description}})
    return state


@pytest.mark.parametrize(
    "description",
    [
        "{",
        "[1]",
        "7",
        7,
        json.dumps({"config": {}, "version": "0.1"}),
        json.dumps({"config": [], "scale": None, "version": "0.1"}),
        *(json.dumps({"config": {}, "scale": s, "version": "0.1"}) for s in ("a", -1.0, True, [1])),
    ],
)
def test_a_damaged_description(tmp_path, capsys, description):
    line = refused_pth(capsys, tmp_path, described(description))
    assert "description (mubert_jax) is damaged" in line


def test_a_description_of_a_newer_version(tmp_path, capsys):
    config = to_dict(tiny_config())
    config["model"]["gaze"] = 3
    text = json.dumps({"config": config, "scale": None, "version": "9.0"})
    line = refused_pth(capsys, tmp_path, described(text))
    assert "written by mubert_jax 9.0, this is" in line and "gaze" in line


@pytest.mark.parametrize("metadata", [3, {"": 3}, {}])
def test_metadata_of_other_kinds_are_passed_over(tmp_path, metadata):
    state = collections.OrderedDict(TENSORS)
    state._metadata = metadata
    torch.save(state, tmp_path / "odd.pth")
    assert run_import(tmp_path, tmp_path / "odd.pth", *SMALL) == 0


def test_degenerate_shapes(tmp_path, capsys):
    for name, array, said in (
        ("backbone.pos_embed", np.zeros((1, 0, 32)), "not 3 dimensions of 1 and more"),
        ("backbone.pos_embed", np.zeros((1, 13, 32)), "holds 13 positions"),
        ("backbone.patch_embed.proj.weight", np.zeros((0, 3, 8, 8)), "1 and more"),
    ):
        save_file(WEIGHTS | {name: array.astype(np.float32)}, tmp_path / "odd.safetensors")
        assert said in refused(capsys, tmp_path, tmp_path / "odd.safetensors", *SMALL)


@pytest.mark.parametrize("positions", [None, np.zeros(48, np.float32)])
def test_another_image_size_excuses_no_missing_positions(tmp_path, capsys, positions):
    tensors = {name: x for name, x in WEIGHTS.items() if name != "decoder_pos_embed"}
    if positions is not None:
        tensors["decoder_pos_embed"] = positions
    save_file(tensors, tmp_path / "odd.safetensors")
    larger = "--config.model.image_size=48"
    error = refused(capsys, tmp_path, tmp_path / "odd.safetensors", *SMALL, larger, lines=None)
    assert "\ndecoder_pos_embed " in error and "1 tensor(s) differ" in error


def dino_tensors(**changed):
    config = tiny_config(model__heads=4, model__decoder__heads=4, loss__agreement="dino")
    return to_official(config, random_weights(config)) | changed


def test_nothing_is_dropped_with_a_false_reason(tmp_path, capsys):
    extra = {"teacher.backbone.blocks.9.norm1.bias": np.ones(32, np.float32)}
    save_file(dino_tensors(**extra), tmp_path / "odd.safetensors")
    error = refused(capsys, tmp_path, tmp_path / "odd.safetensors", lines=None)
    assert "teacher.backbone.blocks.9.norm1.bias" in error and "unexpected" in error
    moved = dino_tensors()["teacher.backbone.pos_embed"] + 5
    save_file(dino_tensors(**{"teacher.backbone.pos_embed": moved}), tmp_path / "odd.safetensors")
    error = refused(capsys, tmp_path, tmp_path / "odd.safetensors")
    assert "teacher.backbone.pos_embed is not the fixed" in error


def test_what_is_passed_over_is_said(tmp_path, capsys):
    other = {"student.backbone.cls_token": np.ones((1, 1, 32), np.float32)}
    save_file(dino_tensors(**other), tmp_path / "other.safetensors")
    without = ["--config.model.dma.kind=none", "--config.model.poi.enabled=False"]
    assert run_import(tmp_path, tmp_path / "other.safetensors", *without) == 0
    said = capsys.readouterr().out
    assert "1 tensor(s) of student.backbone differ from backbone" in said
    assert "left out: DMA, which was trained" in said


def test_overrides_are_taken_at_their_word(tmp_path, capsys):
    flags = ["--config.model.heads=8", "--config.model.dma.kind=cross"]
    assert run_import(tmp_path, PARITY / "tiny_weights.safetensors", *SMALL, *flags) == 0
    said = capsys.readouterr().out
    assert "8 heads" in said and "DMA cross" in said
    assert "config.model.heads:" not in said and "diagonal assumed" not in said
    assert "config.model.decoder.heads: 4 heads assumed" in said


def test_damaged_pickles_never_end_in_a_traceback(tmp_path, capsys):
    """200 files, each with some bytes changed, in the old format, which is nothing but pickle."""
    whole = tmp_path / "whole.pth"
    torch.save({"w": torch.ones(3)}, whole, _use_new_zipfile_serialization=False)
    data, generator = whole.read_bytes(), random.Random(0)
    for _ in range(200):
        damaged = bytearray(data)
        for _ in range(generator.randint(1, 4)):
            damaged[generator.randrange(len(damaged))] = generator.randrange(256)
        (tmp_path / "damaged.pth").write_bytes(damaged)
        refused(capsys, tmp_path, tmp_path / "damaged.pth")


def test_the_kind_of_a_file_is_read_off_its_content(tmp_path):
    torch.save(TENSORS, tmp_path / "a.safetensors")
    save_file(WEIGHTS, tmp_path / "b.pth")
    for name in ("a.safetensors", "b.pth"):
        folder = tmp_path / name[0]
        folder.mkdir()
        assert run_import(folder, tmp_path / name, *SMALL) == 0


def test_a_failed_write_leaves_nothing_and_can_be_repeated(tmp_path, capsys, monkeypatch):
    from mubert_jax.interop import importing

    file = PARITY / "tiny_weights.safetensors"

    def full(folder, *_):
        (folder / "checkpoints").mkdir()
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(importing, "save_imported", full)
        assert run_import(tmp_path, file, *SMALL) == 73
        assert "no space left" in capsys.readouterr().err and not (tmp_path / "run").exists()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "run").mkdir()
    assert run_import(tmp_path, file, *SMALL) == 0
    (tmp_path / "file").write_text("")
    assert main_import(tmp_path / "file", file) == 2
    assert main_import(tmp_path / "file" / "below", file) == 2
    assert capsys.readouterr().err.count("\n") == 2


def main_import(workdir, file):
    from mubert_jax.cli import main

    return main(["import", f"--input={file}", f"--workdir={workdir}", *SMALL])
