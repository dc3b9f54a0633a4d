"""Checkpoints of MoCo v3's official training, and torchvision's ResNets."""

import argparse
import functools

import jax
import numpy as np
import pytest
import torch
from examples import as_torch, assert_close
from public import OUTPUTS, by_formula, listed, pictures
from safetensors.numpy import save_file
from test_import import refused, run_import
from test_vit_weights import small
from torch_vit import VisionTransformer

from mubert_jax.cli import main
from mubert_jax.errors import UserError
from mubert_jax.interop import encoder_weights, resnet_weights
from mubert_jax.interop.files import TensorFile
from mubert_jax.objectives import make_objective
from mubert_jax.training.checkpoints import load_weights


def of_moco(encoder, head, width=8):
    """A checkpoint as MoCo v3's main_moco.py writes it, around an encoder with that last layer."""
    norm = {"weight": torch.ones(width), "bias": torch.zeros(width)}
    norm |= {"running_mean": torch.zeros(width), "running_var": torch.ones(width)}
    norm |= {"num_batches_tracked": torch.tensor(5)}
    layers = {f"{head}.0.weight": torch.ones(width, 4)}
    layers |= {f"{head}.1.{name}": x for name, x in norm.items()}
    base = as_torch(encoder) | layers
    state = {f"module.base_encoder.{name}": x for name, x in base.items()}
    state |= {f"module.momentum_encoder.{name}": x + 1 for name, x in base.items()}
    state |= {"module.predictor.0.weight": torch.ones(width, width)}
    moments = {0: {"step": 3, "exp_avg": torch.zeros(2)}}
    optimizer = {"state": moments, "param_groups": [{"lr": 1e-3, "params": [0]}]}
    around = {"optimizer": optimizer, "scaler": {"scale": 65536.0, "_growth_tracker": 0}}
    return {"epoch": 300, "arch": "vit_small", "state_dict": state, **around}


@pytest.fixture(scope="module")
def vit():
    tensors = small(dim=384, depth=1, side=16, grid=2)
    return {name: x for name, x in tensors.items() if not name.startswith("head")}


def test_moco_v3s_vit_s_has_twelve_heads_and_its_own_positions(vit, tmp_path, capsys):
    torch.save(of_moco(vit, "head"), tmp_path / "vit-s-300ep.pth.tar")
    assert run_import(tmp_path, tmp_path / "vit-s-300ep.pth.tar") == 0
    said = capsys.readouterr().out
    assert "d 384, 1 blocks, 12 heads, patch 16, for images of 32 pixels" in said
    assert "left out: momentum_encoder, predictor" in said and "standardised" in said
    config, weights = load_weights(tmp_path / "run")
    model = VisionTransformer(
        32, 16, 384, 1, 12, 4.0, 0, functools.partial(torch.nn.LayerNorm, eps=1e-6)
    )
    model.load_state_dict(as_torch(vit), strict=True)
    images = pictures(0, 1, 32, 32)
    with torch.no_grad():
        expected = model.forward_features(torch.tensor(images.transpose(0, 3, 1, 2))).numpy()
    tokens = jax.jit(make_objective(config).encode)(weights.params, {}, images)
    assert_close(tokens, expected[:, 1:])


@pytest.fixture(scope="module")
def resnet50():
    """The tensors' names and shapes; no memory is behind them."""
    return {name: np.broadcast_to(np.float32(0.5), x) for _, name, x, _ in listed("resnet50")}


def found_in(tensors, path):
    return encoder_weights.find(TensorFile(dict(tensors), None, {}, []), path)


def test_a_resnet_50_of_moco_v3_is_the_backbone_of_its_objective(resnet50, tmp_path):
    named = {f"base_encoder.{name}": x for name, x in resnet50.items() if "tracked" not in name}
    found = found_in(named | {"predictor.0.weight": np.zeros((2, 2))}, tmp_path / "r-50.pth.tar")
    assert found.config.objective.options["backbone"] == "resnet50"
    assert found.weights.params.keys() == {"encoder"}
    assert found.weights.extra.keys() == {"statistics"}
    shapes = jax.tree.map(np.shape, found.weights.params["encoder"])
    assert shapes["layer4_0"]["downsample_conv"]["kernel"] == (1, 1, 1024, 2048)


@pytest.mark.slow
def test_a_checkpoint_of_moco_v3_with_resnet_50_computes_what_torchvision_does(tmp_path, capsys):
    tensors = {n: x for n, x in by_formula("resnet50").items() if not n.startswith("fc.")}
    torch.save(of_moco(tensors, "fc"), tmp_path / "r-50-300ep.pth.tar")
    size = "--config.model.image_size=64"
    assert run_import(tmp_path, tmp_path / "r-50-300ep.pth.tar", size) == 0
    assert "resnet50, for images of 64 pixels" in capsys.readouterr().out
    config, weights = load_weights(tmp_path / "run")
    encode = jax.jit(make_objective(config).encode)
    tokens = encode(weights.params, weights.extra, pictures(2, 2, 64, 64))
    expected = OUTPUTS["resnet50.features"]
    np.testing.assert_allclose(tokens.mean(1), expected, atol=1e-4 * np.abs(expected).max())


def test_networks_that_are_not_known_are_refused(vit, resnet50, tmp_path, capsys):
    path = tmp_path / "x.pth.tar"
    few = {n: x for n, x in resnet50.items() if not n.startswith(("layer3.4", "layer3.5"))}
    with pytest.raises(UserError, match="x.pth.tar holds a ResNet with 3, 4, 4, 3 blocks"):
        found_in(few, path)
    without = {name: x for name, x in resnet50.items() if name != "layer2.1.bn3.weight"}
    with pytest.raises(UserError, match="holds no whole resnet50: 'layer2.1.bn3.weight'"):
        found_in(without, path)
    basic = {name: x for name, x in resnet50.items() if "conv3" not in name}
    with pytest.raises(UserError, match="holds a ResNet with 3, 4, 6, 3 blocks"):
        resnet_weights.as_run(basic, str(path))
    with pytest.raises(UserError, match="192 wide; .* are 384, 768, 1024, 1280 wide"):
        found_in({f"base_encoder.{name}": x for name, x in small().items()}, path)
    torch.save(of_moco({"stem.weight": np.zeros((2, 2), np.float32)}, "head"), path)
    assert "with another network than a Vision Transformer" in refused(capsys, tmp_path, path)
    content = of_moco(vit, "head")
    content["state_dict"]["module.base_encoder.norm.bias"] = argparse.Namespace()
    torch.save(content, path)
    assert "norm.bias' is a Namespace, no tensor" in refused(capsys, tmp_path, path)
    torch.save(of_moco(vit, "head"), path)
    path.write_bytes(path.read_bytes()[:100_000])
    assert "truncated or damaged" in refused(capsys, tmp_path, path)


def test_a_vit_of_timm_still_has_timms_heads(vit, tmp_path, capsys):
    save_file(vit, tmp_path / "vit_small_patch16_224.augreg.safetensors")
    assert run_import(tmp_path, tmp_path / "vit_small_patch16_224.augreg.safetensors") == 0
    said = capsys.readouterr().out
    assert "6 heads" in said and "-1 to 1" in said
    odd = ["import", f"--input={tmp_path / 'vit_small_patch16_224.augreg.safetensors'}"]
    odd += [f"--workdir={tmp_path / 'odd'}", "--config.objective.options.heads=5"]
    assert main(odd) == 2 and "dim 384 is no multiple of heads, 5" in capsys.readouterr().err
