"""ONNX and StableHLO files compute what the model computes, at any batch size."""

import jax
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from conftest import tiny_config
from examples import assert_close, random_weights
from test_jax_and_torch import nchw, torch_model

from mubert_jax.cli import main
from mubert_jax.interop import onnx_file
from mubert_jax.models.images import normalise
from mubert_jax.models.micron_bert import build_model
from mubert_jax.training.checkpoints import save_imported

CONFIGS = {
    "dma and poi": {"model__recognizer__classes": 3},
    "motion": {
        "model__depth": 1,
        "model__dma__reads": "motion",
        "model__recognizer__classes": 3,
        "model__recognizer__pool": "displacement",
        "model__recognizer__places": "face",
    },
    "pixels": {"model__dma__reads": "pixels", "model__dma__projection": "shared"},
    "cross": {"model__dma__kind": "cross", "model__poi__enabled": False},
    "no dma": {
        "model__dma__kind": "none",
        "model__poi__enabled": False,
        "model__decoder__predict": "residual",
    },
}


def exported(tmp_path, format, **overrides):
    config = tiny_config(**overrides)
    weights = random_weights(config)
    save_imported(tmp_path / "run", config, weights, "random")
    file = tmp_path / f"model.{format}"
    source = f"--checkpoint={tmp_path / 'run'}"
    assert main(["export", source, f"--format={format}", f"--output={file}"]) == 0
    return config, weights, file


def two_images(batch):
    return np.random.default_rng(batch).integers(0, 256, (2, batch, 32, 32, 3), np.uint8)


# What the package's own weights are like; the others take the same code in part.
BY_NAME = [
    name if name == "motion" else pytest.param(name, marks=pytest.mark.slow) for name in CONFIGS
]


@pytest.mark.parametrize("name", BY_NAME)
def test_onnx_agrees_with_torch(tmp_path, name, capsys):
    config, weights, file = exported(tmp_path, "onnx", **CONFIGS[name])
    assert "opset 18" in capsys.readouterr().out
    onnx.checker.check_model(str(file), full_check=True)
    assert onnx.load(file).opset_import[0].version == 18
    module = torch_model(config, weights)
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    for batch in (1, 5):
        onset, apex = (nchw(normalise(images)) for images in two_images(batch))
        values = session.run(None, {"onset": onset.numpy(), "apex": apex.numpy()})
        found = dict(zip(names, values, strict=True))
        with torch.no_grad():
            patches, seen = module(onset, apex)
            wanted = {
                "poi_scores": seen["poi_scores"],
                "dma_features": seen["dma_features"],
                "patches": patches,
            }
            if config.model.dma.has_diagonal:
                wanted["diagonal"] = seen["dma.diagonal"]
            if config.model.dma.kind != "none":
                wanted["movement"] = module.difference(onset, apex)
            if config.model.recognizer.classes:
                wanted["logits"] = module.logits(onset, apex)
        assert found.keys() == wanted.keys()
        for output, value in wanted.items():
            assert_close(found[output], value, 1e-4)


@pytest.mark.slow
def test_an_onnx_file_that_computes_otherwise_is_not_kept(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(onnx_file, "_difference", lambda *_: 0.5)
    config = tiny_config()
    save_imported(tmp_path / "run", config, random_weights(config), "random")
    arguments = ["--format=onnx", f"--output={tmp_path / 'model.onnx'}"]
    assert main(["export", f"--checkpoint={tmp_path / 'run'}", *arguments]) == 2
    assert "differ by 5.0e-01" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
def test_stablehlo_agrees_with_the_model(tmp_path, name):
    config, weights, file = exported(tmp_path, "stablehlo", **CONFIGS[name])
    function = jax.export.deserialize(bytearray(file.read_bytes()))
    assert set(function.platforms) == {"cpu", "cuda", "tpu"}
    model, (onset, apex) = build_model(config), two_images(5)

    @jax.jit
    def compute(params, onset, apex):
        return model.apply({"params": params}, onset, apex, method=everything)

    def everything(model, onset, apex):
        patches, inside = model(onset, apex)
        found = {"patches": patches, "poi_scores": inside.poi_scores}
        found["dma_features"] = inside.dma_features
        if config.model.dma.has_diagonal:
            found["diagonal"] = inside.dma.diagonal
        if config.model.recognizer.classes:
            found["logits"] = model.logits(onset, apex)
        if config.model.dma.kind != "none":
            found["movement"] = model.difference(inside.swapped, inside.reference)
        return found

    expected = compute(weights.params, normalise(onset), normalise(apex))
    for batch in (1, 5):
        seen = function.call(onset[:batch], apex[:batch])
        assert seen.keys() == expected.keys()
        for name, values in expected.items():
            assert_close(seen[name], values[:batch])
