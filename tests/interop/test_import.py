"""`mubert import`: official files, what is refused, and what can be done with an import."""

import argparse
import collections
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import tiny_config, write_config_file
from examples import as_torch, assert_identical, random_weights, run_python
from safetensors.numpy import save_file
from test_parity import PARITY, WEIGHTS

from mubert_jax.cli import main
from mubert_jax.data.records import encode_image
from mubert_jax.interop.torch_weights import to_official
from mubert_jax.training.checkpoints import load_weights, save_imported

SMALL = ["--config.swapping.min_block=4"]


def run_import(tmp_path, file, *flags):
    return main(["import", f"--input={file}", f"--workdir={tmp_path / 'run'}", *flags])


def refused(capsys, tmp_path, file, *flags, lines=1):
    """The import must fail with code 2 and one line, and leave nothing; returns the message."""
    capsys.readouterr()
    assert run_import(tmp_path, file, *flags) == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error and (lines is None or error.count("\n") == lines)
    assert not (tmp_path / "run").exists()
    return error


@pytest.fixture
def official_file(tmp_path):
    """As the released file is built: args, epoch, `module.` names, DINO student and teacher."""
    config = tiny_config(
        model__heads=4,
        model__decoder__heads=4,
        model__dma__kind="cross",
        model__poi__enabled=False,
        loss__agreement="dino",
    )
    weights = random_weights(config)
    tensors = as_torch(to_official(config, weights))
    args = argparse.Namespace(
        model_name="mae_vit_small_patch8",
        img_size=32,
        diag_att=False,
        enable_dino=True,
        out_dim=8,
        local_crops_number=6,
        teacher_temp=0.05,
        warmup_teacher_temp=0.03,
        world_size=4,
        output_dir="/somewhere",
    )
    model = collections.OrderedDict((f"module.{name}", x) for name, x in tensors.items())
    path = tmp_path / "official.pth"
    torch.save({"args": args, "epoch": 199, "model": model}, path)
    return path, weights


def test_an_official_file(official_file, tmp_path, capsys):
    path, weights = official_file
    assert run_import(tmp_path, path) == 0
    said = capsys.readouterr().out
    assert "32x32" in said and "4 heads" in said and "DMA cross" in said
    assert "config.model.poi.enabled: False" in said
    config, found = load_weights(tmp_path / "run")
    assert_identical(
        (found.params, found.extra),
        (weights.params, weights.extra),
    )
    assert config.model.dma.kind == "cross" and not config.model.poi.enabled
    assert (config.model.dim, config.model.depth, config.model.decoder.depth) == (32, 2, 1)
    dino = config.loss.dino
    assert (dino.hidden_dim, dino.bottleneck_dim, dino.output_dim) == (16, 8, 8)
    assert (dino.teacher_temperature, dino.warmup_teacher_temperature) == (0.05, 0.03)
    assert config.loss.crop.local_crops == 6
    written = json.loads((tmp_path / "run" / "config.json").read_text())
    assert written["model"]["dma"]["kind"] == "cross"


def test_a_state_dict_without_arguments(tmp_path, capsys):
    assert run_import(tmp_path, PARITY / "tiny_weights.safetensors", *SMALL) == 0
    said = capsys.readouterr().out
    assert "config.model.dma.kind: diagonal assumed" in said
    assert "config.model.heads: 4 heads assumed" in said
    config, weights = load_weights(tmp_path / "run")
    assert config.loss.agreement == "none" and config.model.decoder.dim == 48
    official = WEIGHTS["att.to_q.weight"].T
    assert_identical(weights.params["dma"]["to_q"]["kernel"], official)


def test_another_image_size_recomputes_positions(official_file, tmp_path, capsys):
    path, weights = official_file
    assert run_import(tmp_path, path, "--config.model.image_size=48") == 0
    assert "positions recomputed for 48x48" in capsys.readouterr().out
    config, found = load_weights(tmp_path / "run")
    assert config.model.image_size == 48
    assert_identical(found.params, weights.params)


def test_heads_can_be_left_out(official_file, tmp_path, capsys):
    path, weights = official_file
    assert run_import(tmp_path, path, "--config.loss.agreement=none") == 0
    assert "left out: the EMA teacher" in capsys.readouterr().out
    _, found = load_weights(tmp_path / "run")
    assert "projector" not in found.params and found.extra == {}


class Malicious:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


class MaliciousCall(Malicious):
    def __reduce__(self):
        return exec, (f"open({str(self.path)!r}, 'w')",)


@pytest.mark.parametrize("attack", [Malicious, MaliciousCall])
@pytest.mark.parametrize("inside_args", [False, True])
def test_a_pickle_that_would_run_code_is_refused(tmp_path, capsys, attack, inside_args):
    target = tmp_path / "owned"
    payload = attack(target)
    args = argparse.Namespace(img_size=32, extra=payload) if inside_args else None
    content = {"model": as_torch(WEIGHTS), "args": args} if inside_args else {"model": payload}
    torch.save(content, tmp_path / "evil.pth")
    line = refused(capsys, tmp_path, tmp_path / "evil.pth")
    assert "evil.pth refused" in line and "nothing but tensors" in line
    assert not target.exists()
    torch.load(tmp_path / "evil.pth", weights_only=False)
    assert target.exists(), "the attack of this test does not work at all"


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_truncated(tmp_path, capsys, suffix, share):
    whole = tmp_path / f"whole.{suffix}"
    if suffix == "pth":
        torch.save(as_torch(WEIGHTS), whole)
    else:
        save_file(WEIGHTS, whole)
    data = whole.read_bytes()
    cut = tmp_path / f"cut.{suffix}"
    cut.write_bytes(data[: int(len(data) * share)])
    line = refused(capsys, tmp_path, cut, *SMALL)
    assert f"cut.{suffix}" in line and "copy it again" in line


def test_not_there_a_folder_a_piece(tmp_path, capsys):
    assert "no such file" in refused(capsys, tmp_path, tmp_path / "absent.pth")
    assert "is a folder" in refused(capsys, tmp_path, tmp_path)
    for name in ("model-00001-of-00002.safetensors", "model.safetensors.index.json"):
        (tmp_path / name).write_bytes(b"{}")
        line = refused(capsys, tmp_path, tmp_path / name)
        assert "sharded" in line and "join the pieces" in line


def test_wrong_architecture(tmp_path, capsys):
    torch.save(torch.nn.Linear(3, 4).state_dict(), tmp_path / "other.pth")
    line = refused(capsys, tmp_path, tmp_path / "other.pth")
    assert "no Micron-BERT" in line and "bias, weight" in line
    flat = WEIGHTS | {"backbone.patch_embed.proj.weight": np.zeros((32, 192), np.float32)}
    save_file(flat, tmp_path / "flat.safetensors")
    line = refused(capsys, tmp_path, tmp_path / "flat.safetensors")
    assert "backbone.patch_embed.proj.weight" in line and "(32, 192)" in line
    torch.save([1, 2], tmp_path / "list.pth")
    assert "holds no state dict" in refused(capsys, tmp_path, tmp_path / "list.pth")
    torch.save({"epoch": 3, "state": {}}, tmp_path / "dict.pth")
    line = refused(capsys, tmp_path, tmp_path / "dict.pth")
    assert "'epoch' is a int" in line and "'model'" in line


def test_missing_unexpected_and_mis_shaped_tensors_come_as_a_table(tmp_path, capsys):
    tensors = {n: x for n, x in WEIGHTS.items() if n != "backbone.blocks.1.mlp.fc1.bias"}
    tensors["backbone.blocks.0.attn.q_norm.weight"] = np.ones(8, np.float32)
    tensors["decoder_norm.bias"] = np.ones(47, np.float32)
    save_file(tensors, tmp_path / "odd.safetensors")
    error = refused(capsys, tmp_path, tmp_path / "odd.safetensors", *SMALL, lines=None)
    first, header, *rows = error.splitlines()
    assert "odd.safetensors" in first and "3 tensor(s) differ" in first
    assert header.split() == ["tensor", "in", "the", "file", "in", "the", "model"]
    assert [row.split("  ")[0] for row in rows] == [
        "backbone.blocks.0.attn.q_norm.weight",
        "backbone.blocks.1.mlp.fc1.bias",
        "decoder_norm.bias",
    ]
    assert "(8,)" in rows[0] and "unexpected" in rows[0]
    assert "missing" in rows[1] and "(128,)" in rows[1]
    assert "(47,)" in rows[2] and "(48,)" in rows[2]


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_other_precisions_are_said(tmp_path, capsys, kind, suffix):
    from safetensors.torch import save_file as save_torch

    tensors = {name: x.to(kind) for name, x in as_torch(WEIGHTS).items()}
    save = torch.save if suffix == "pth" else save_torch
    save(tensors, tmp_path / f"half.{suffix}")
    assert run_import(tmp_path, tmp_path / f"half.{suffix}", *SMALL) == 0
    said = capsys.readouterr().out
    assert f"{len(WEIGHTS)} of {len(WEIGHTS)} tensors are {str(kind).split('.')[1]}" in said
    _, weights = load_weights(tmp_path / "run")
    expected = tensors["backbone.norm.weight"].float().numpy()
    assert_identical(weights.params["encoder"]["norm"]["scale"], expected)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_is_named(tmp_path, capsys, value):
    tensors = {name: array.copy() for name, array in WEIGHTS.items()}
    tensors["decoder_norm.bias"][3] = value
    save_file(tensors, tmp_path / "nan.safetensors")
    line = refused(capsys, tmp_path, tmp_path / "nan.safetensors", *SMALL)
    assert "decoder_norm.bias holds NaN or infinity" in line


def test_what_ours_cannot_express_is_refused(official_file, tmp_path, capsys):
    learned = WEIGHTS | {"backbone.pos_embed": WEIGHTS["backbone.pos_embed"] + 0.1}
    save_file(learned, tmp_path / "learned.safetensors")
    line = refused(capsys, tmp_path, tmp_path / "learned.safetensors", *SMALL)
    assert "learned positions" in line
    content = torch.load(official_file[0], weights_only=False)
    content["model"]["module.teacher.head.last_layer.weight_g"] *= 2
    torch.save(content, tmp_path / "gain.pth")
    line = refused(capsys, tmp_path, tmp_path / "gain.pth")
    assert "teacher.head.last_layer.weight_g is not 1" in line
    assert run_import(tmp_path, tmp_path / "gain.pth", "--config.loss.agreement=none") == 0
    shutil.rmtree(tmp_path / "run")
    line = refused(
        capsys,
        tmp_path,
        PARITY / "tiny_weights.safetensors",
        *SMALL,
        "--config.model.dma.projection=shared",
    )
    assert "att.to_k.weight" in line and "no room" in line


def test_bad_overrides_and_a_taken_workdir(tmp_path, capsys):
    file = PARITY / "tiny_weights.safetensors"
    line = refused(capsys, tmp_path, file, "--config.model.headz=2")
    assert "did you mean 'model.heads'" in line
    assert "model.heads" in refused(capsys, tmp_path, file, *SMALL, "--config.model.heads=5")
    assert run_import(tmp_path, file, *SMALL) == 0
    capsys.readouterr()
    assert run_import(tmp_path, file, *SMALL) == 2
    assert "is there already and not empty" in capsys.readouterr().err


def test_perceiving_with_an_import(official_file, tmp_path, capsys):
    run_import(tmp_path, official_file[0])
    onset = np.full((40, 40, 3), 90, np.uint8)
    apex = onset.copy()
    apex[:12, :12] += 40
    for name, image in (("onset", onset), ("apex", apex)):
        (tmp_path / f"{name}.png").write_bytes(encode_image(image, "png"))
    arguments = ["--crop=none", f"--output={tmp_path / 'maps.png'}"]
    frames = [f"--onset={tmp_path / 'onset.png'}", f"--apex={tmp_path / 'apex.png'}"]
    capsys.readouterr()
    assert main(["perceive", f"--checkpoint={tmp_path / 'run'}", *frames, *arguments]) == 0
    assert "No scale was measured" in capsys.readouterr().out
    assert np.load(tmp_path / "maps.npz")["dma"].max() > 0


def pretrain(tmp_path, frames_set, config, workdir):
    file = write_config_file(tmp_path / "config.py", config)
    data = f"--config.data.path={frames_set}"
    return main(["pretrain", f"--config={file}", f"--workdir={workdir}", data])


@pytest.mark.slow
def test_training_starts_from_an_import(tmp_path, frames_set, capsys):
    given = tiny_config(loss__agreement="none")
    weights = random_weights(given)
    save_imported(tmp_path / "given", given, weights, "random")
    config = tiny_config(
        loss__agreement="dino",
        loss__crop__local_crops=0,
        training__init_from=str(tmp_path / "given"),
        training__steps=1,
        optimizer__learning_rate=1e-12,
    )
    assert pretrain(tmp_path, frames_set, config, tmp_path / "run") == 0
    said = capsys.readouterr().out
    assert "decoder, dma, encoder\n  fresh: projector\n" in said
    assert "left behind" not in said
    _, trained = load_weights(tmp_path / "run")
    for name in ("encoder", "dma", "decoder"):
        for ours, theirs in zip(
            tree_leaves(trained.params[name]), tree_leaves(weights.params[name]), strict=True
        ):
            np.testing.assert_allclose(ours, theirs, atol=1e-7)
    np.testing.assert_allclose(
        trained.extra["teacher"]["encoder"]["contextual_token"],
        weights.params["encoder"]["contextual_token"],
        atol=1e-7,
    )


def test_training_in_or_from_the_wrong_folder(tmp_path, frames_set, capsys):
    given = tiny_config(loss__agreement="none")
    save_imported(tmp_path / "given", given, random_weights(given), "random")
    assert pretrain(tmp_path, frames_set, given, tmp_path / "given") == 2
    assert "config.training.init_from=" in capsys.readouterr().err
    other = tiny_config(
        loss__agreement="none", model__dim=64, training__init_from=str(tmp_path / "given")
    )
    assert pretrain(tmp_path, frames_set, other, tmp_path / "run") == 2
    error = capsys.readouterr().err
    assert "given: decoder/" in error and "has the shape (32" in error and "needs (64" in error
    assert error.count("\n") == 1
    heads = tiny_config(
        loss__agreement="none", model__heads=4, training__init_from=str(tmp_path / "given")
    )
    assert pretrain(tmp_path, frames_set, heads, tmp_path / "run") == 2
    assert "model.heads is 4 here and 2 there" in capsys.readouterr().err


def tree_leaves(tree):
    import jax

    return jax.tree.leaves(tree)


def test_what_is_left_behind_and_what_computes_otherwise_is_said(tmp_path, frames_set, capsys):
    given = tiny_config(model__recognizer__classes=3, model__decoder__predict="residual")
    save_imported(tmp_path / "given", given, random_weights(given), "random")
    config = tiny_config(
        loss__agreement="none",
        model__dma__kind="none",
        model__poi__enabled=False,
        training__init_from=str(tmp_path / "given"),
        training__steps=1,
    )
    assert pretrain(tmp_path, frames_set, config, tmp_path / "run") == 0
    said = capsys.readouterr().out
    assert re.search("left behind: dma, projector, recognizer, (center, )?teacher", said)
    assert "config.model.decoder.predict: 'image' here, 'residual' there" in said
    assert "config.model.dma.kind: 'none' here, 'diagonal' there" in said
    assert "model.dma.chunk" not in said and "model.dim" not in said


@pytest.mark.parametrize("missing", ["torch", "onnx", "onnxscript", "onnxruntime"])
def test_without_the_extras(tmp_path, missing):
    """One line on what to install; safetensors and StableHLO need none."""
    config = tiny_config(loss__agreement="none")
    save_imported(tmp_path / "run", config, random_weights(config), "random")
    code = (
        f"import sys; sys.modules |= dict.fromkeys([{missing!r}, 'tensorflow'])\n"
        "from mubert_jax.cli import main\n"
        "def export(format):\n"
        "    return main(['export', '--checkpoint=run', f'--format={format}', '--output=m'])\n"
        "assert export('onnx') == 2\n"
        f"if {missing!r} == 'torch':\n"
        "    assert export('torch') == 2\n"
        "    assert export('safetensors') == 0\n"
        "    assert main(['import', '--input=m', '--workdir=back']) == 0\n"
        "    open('m.pth', 'w').close()\n"
        "    assert main(['import', '--input=m.pth', '--workdir=other']) == 2\n"
    )
    lines = run_python(code, tmp_path).strip().splitlines()
    assert len(lines) == (3 if missing == "torch" else 1)
    assert all("pip install" in line and missing in line for line in lines)
