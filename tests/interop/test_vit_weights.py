"""Vision Transformers of ImageNet: every layout gives what timm computes, at any size of frames."""

import json

import jax
import numpy as np
import pytest
from examples import assert_identical
from public import OUTPUTS, by_formula, pictures
from safetensors.numpy import save_file

from mubert_jax.cli import main
from mubert_jax.errors import UserError
from mubert_jax.interop import vit_weights
from mubert_jax.models import timm
from mubert_jax.models.images import IMAGENET_MEAN, IMAGENET_STD
from mubert_jax.objectives import make_objective
from mubert_jax.objectives.vit_imagenet import resampled
from mubert_jax.training.checkpoints import load_weights


def small(dim=192, depth=2, side=8, grid=3) -> dict[str, np.ndarray]:
    """A model of the family with random tensors, under timm's names."""
    random = np.random.default_rng(0)
    shapes = {
        "cls_token": (1, 1, dim),
        "pos_embed": (1, 1 + grid**2, dim),
        "patch_embed.proj.weight": (dim, 3, side, side),
        "patch_embed.proj.bias": (dim,),
        "norm.weight": (dim,),
        "norm.bias": (dim,),
        "head.weight": (10, dim),
    }
    for i in range(depth):
        layers = {"norm1": (dim,), "norm2": (dim,), "attn.qkv": (3 * dim, dim)}
        layers |= {"attn.proj": (dim, dim), "mlp.fc1": (4 * dim, dim), "mlp.fc2": (dim, 4 * dim)}
        for name, shape in layers.items():
            shapes[f"blocks.{i}.{name}.weight"] = shape
            shapes[f"blocks.{i}.{name}.bias"] = shape[:1]
    return {name: random.normal(0, 0.1, x).astype(np.float32) for name, x in shapes.items()}


def as_npz(tensors):
    """The same in the layout of the original Flax code."""
    dim = tensors["norm.weight"].size
    arrays = {
        "cls": tensors["cls_token"],
        vit_weights.NPZ: tensors["pos_embed"],
        "embedding/kernel": tensors["patch_embed.proj.weight"].transpose(2, 3, 1, 0),
        "embedding/bias": tensors["patch_embed.proj.bias"],
        "Transformer/encoder_norm/scale": tensors["norm.weight"],
        "Transformer/encoder_norm/bias": tensors["norm.bias"],
    }
    for i in range(2):
        ours, theirs = f"blocks.{i}", f"Transformer/encoderblock_{i}"
        parts = zip(
            ("query", "key", "value"),
            np.split(tensors[f"{ours}.attn.qkv.weight"].T, 3, axis=1),
            np.split(tensors[f"{ours}.attn.qkv.bias"], 3),
            strict=True,
        )
        attention = f"{theirs}/MultiHeadDotProductAttention_1"
        for name, kernel, bias in parts:
            arrays[f"{attention}/{name}/kernel"] = kernel.reshape(dim, 3, 64)
            arrays[f"{attention}/{name}/bias"] = bias.reshape(3, 64)
        arrays[f"{attention}/out/kernel"] = tensors[f"{ours}.attn.proj.weight"].T.reshape(
            3, 64, dim
        )
        arrays[f"{attention}/out/bias"] = tensors[f"{ours}.attn.proj.bias"]
        for layer, name in (("LayerNorm_0", "norm1"), ("LayerNorm_2", "norm2")):
            arrays[f"{theirs}/{layer}/scale"] = tensors[f"{ours}.{name}.weight"]
            arrays[f"{theirs}/{layer}/bias"] = tensors[f"{ours}.{name}.bias"]
        for layer, name in (("Dense_0", "fc1"), ("Dense_1", "fc2")):
            arrays[f"{theirs}/MlpBlock_3/{layer}/kernel"] = tensors[f"{ours}.mlp.{name}.weight"].T
            arrays[f"{theirs}/MlpBlock_3/{layer}/bias"] = tensors[f"{ours}.mlp.{name}.bias"]
    return arrays


@pytest.mark.slow
def test_vit_s_is_timms():
    config, params = vit_weights.as_run(by_formula("vit_small"), "a test", centred=False)
    objective = make_objective(config)
    assert objective.options.depth == 12 and config.model.image_size == 224
    encode = jax.jit(objective.encoder.apply)
    features = encode({"params": params["encoder"]}, pictures(3, 1, 224, 224))
    expected = OUTPUTS["vit_small.features"]
    found = features[:, [0, 1, 50, 196]]
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def test_the_original_layout_is_the_same_model_on_pixels_from_minus_one_to_one(tmp_path):
    tensors = small()
    np.savez(tmp_path / "S_16.npz", **as_npz(tensors))
    read = vit_weights.read_npz(tmp_path / "S_16.npz")
    for name, tensor in read.items():
        np.testing.assert_array_equal(tensor, tensors[name], err_msg=name)
    assert read.keys() == tensors.keys() - {"head.weight"}
    frames = pictures(0, 1, 24, 24)
    seen = []
    for centred in (False, True):
        config, params = vit_weights.as_run(tensors, "a test", centred)
        half = (frames * 0.5 + 0.5 - IMAGENET_MEAN) / IMAGENET_STD
        encode = jax.jit(make_objective(config).encode)
        seen.append(encode(params, {}, half if centred else frames))
    np.testing.assert_allclose(*seen, atol=1e-4)


def test_a_run_gives_back_the_tensors_that_it_was_imported_from():
    tensors = {name: x for name, x in small().items() if name != "head.weight"}
    assert_identical(timm.state_dict(timm.encoder(tensors)), tensors)


def test_an_import_is_a_run_at_the_size_that_is_asked_for(tmp_path, capsys):
    save_file(small(), tmp_path / "vit.safetensors")
    command = ["import", f"--input={tmp_path / 'vit.safetensors'}"]
    assert main([*command, f"--workdir={tmp_path / 'run'}", "--config.model.image_size=32"]) == 0
    said = "standardised, as DeiT's (--config.objective.options.centred=...)"
    assert said in capsys.readouterr().out
    config, weights = load_weights(tmp_path / "run")
    assert config.model.image_size == 32 and config.objective.name == "vit_imagenet"
    assert json.loads((tmp_path / "run" / "config.json").read_text())["model"]["image_size"] == 32
    tokens = jax.jit(make_objective(config).encode)(weights.params, {}, pictures(0, 1, 32, 32))
    assert tokens.shape == (1, 16, 192)
    with pytest.raises(UserError, match="is not pretrained here; mubert import takes its"):
        make_objective(config).views(jax.random.key(0), {})


def test_positions_of_another_grid_keep_the_corners_apart():
    corners = np.zeros((9, 4), np.float32)
    corners[[0, 2, 6, 8], range(4)] = 1
    found = np.asarray(resampled(corners, 3, 6)).reshape(6, 6, 4)
    for corner, (row, column) in enumerate([(0, 0), (0, 5), (5, 0), (5, 5)]):
        assert found[row, column].argmax() == corner and found[row, column, corner] > 0.8
    np.testing.assert_array_equal(resampled(corners, 3, 3), corners)


@pytest.mark.parametrize(
    "spoilt, said",
    [
        ({"norm.bias": None}, "holds no whole Vision Transformer: 'norm.bias'"),
        ({"blocks.0.ls1.gamma": np.ones(192, np.float32)}, "it holds blocks.0.ls1.gamma"),
        ({"blocks.1.mlp.fc2.bias": None}, "no whole Vision Transformer: 'blocks.1.mlp.fc2.bias'"),
        ({"pos_embed": np.zeros((1, 8, 192), np.float32)}, "its tensors have other shapes"),
    ],
)
def test_a_file_that_is_not_whole_is_refused_and_leaves_nothing(tmp_path, capsys, spoilt, said):
    tensors = {name: x for name, x in (small() | spoilt).items() if x is not None}
    save_file(tensors, tmp_path / "vit.safetensors")
    command = ["import", f"--input={tmp_path / 'vit.safetensors'}", f"--workdir={tmp_path / 'run'}"]
    assert main(command) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_an_npz_of_something_else_is_refused(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.zeros(3))
    with pytest.raises(UserError, match="x.npz holds no Vision Transformer: it lacks Transformer"):
        vit_weights.read_npz(tmp_path / "x.npz")
    whole = as_npz(small())
    np.savez(tmp_path / "part.npz", **{k: x for k, x in whole.items() if k != "cls"})
    with pytest.raises(UserError, match="part.npz holds no whole Vision Transformer: 'cls'"):
        vit_weights.read_npz(tmp_path / "part.npz")
    np.savez(tmp_path / "cut.npz", **whole)
    (tmp_path / "cut.npz").write_bytes((tmp_path / "cut.npz").read_bytes()[:9000])
    with pytest.raises(UserError, match="cut.npz cannot be read"):
        vit_weights.read_npz(tmp_path / "cut.npz")
    (tmp_path / "y.npz").write_text("none")
    with pytest.raises(UserError, match="y.npz cannot be read"):
        vit_weights.read_npz(tmp_path / "y.npz")
