"""The folds that STSTNet's PyTorch version leaves, tested on published flow."""

import json

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from flow_tree import DOWN, RIGHT, write_flow
from torch import nn

from mubert_jax.cli import main
from mubert_jax.recognition.ststnet_folds import logits

WIDTHS = {"1": 3, "2": 5, "3": 8}


def made_up(seed):
    """Random weights under the names of the PyTorch version."""
    drawn = torch.Generator().manual_seed(seed)
    state = {}
    for i, width in WIDTHS.items():
        layers = {f"conv{i}": nn.Conv2d(3, width, 3), f"bn{i}": nn.BatchNorm2d(width)}
        state |= {
            f"{name}.{key}": x for name, of in layers.items() for key, x in of.state_dict().items()
        }
    state |= {f"fc.{key}": x for key, x in nn.Linear(400, 3).state_dict().items()}
    for name, tensor in state.items():
        if tensor.is_floating_point():
            state[name] = torch.randn(tensor.shape, generator=drawn) / 8
    return state | {name: state[name].abs() + 0.5 for name in state if "running_var" in name}


def in_pytorch(state, images_Bx3x28x28):
    """Three streams of convolution, ReLU, batch norm and pooling, side by side, and a layer."""
    streams = []
    for i, width in WIDTHS.items():
        layers = nn.Conv2d(3, width, 3, padding=2), nn.BatchNorm2d(width).eval()
        for name, layer in zip((f"conv{i}.", f"bn{i}."), layers, strict=True):
            own = {key.removeprefix(name): x for key, x in state.items() if key.startswith(name)}
            layer.load_state_dict(own)
        convolution, norm = layers
        streams.append(nn.MaxPool2d(3, 3, 1)(norm(convolution(images_Bx3x28x28).relu())))
    x = nn.AvgPool2d(2, 2)(torch.cat(streams, 1)).flatten(1)
    return (x @ state["fc.weight"].T + state["fc.bias"]).detach().numpy()


def test_it_says_what_pytorch_says():
    maps = np.random.default_rng(0).integers(0, 256, (4, 28, 28, 3)).astype(np.float32)
    state = made_up(0)
    # OpenCV reads the channels of a file backwards.
    expected = in_pytorch(state, torch.from_numpy(maps[..., ::-1].copy()).permute(0, 3, 1, 2))
    found = logits({name: x.numpy() for name, x in state.items()}, maps)
    assert np.ptp(expected) > 1
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.fixture(scope="module")
def flow(tmp_path_factory):
    """Two people with three clips each, in the published layout and as a flow set."""
    folder = tmp_path_factory.mktemp("flow")
    for number, subject in enumerate(("sub01", "006")):
        for label in range(3):
            path = folder / "published" / subject / "u_test" / str(label) / f"{subject}_{label}.png"
            write_flow(path, np.roll(RIGHT, 3 * label, 0), np.roll(DOWN, 5 * number, 1))
    start = ["prepare", "flow", "--layout=published", f"--input={folder / 'published'}"]
    assert main([*start, f"--output={folder / 'set'}"]) == 0
    return folder


def test_every_subject_is_tested_by_its_own_file(flow, tmp_path, capsys):
    weights, run = tmp_path / "weights", tmp_path / "run"
    weights.mkdir()
    states = {"sub01": made_up(1), "006": made_up(2)}
    for subject, state in states.items():
        torch.save(state, weights / f"{subject}.pth")
    start = ["import", f"--input={weights}", f"--data={flow / 'set'}", f"--workdir={run}"]
    assert main(start) == 0
    assert "2 subjects tested" in capsys.readouterr().out
    table = pd.read_csv(run / "predictions.csv", dtype=str)
    names = ["negative", "positive", "surprise"]
    assert len(table) == 6
    for row in table.itertuples():
        subject = row.subject.rsplit("/", 1)[-1]
        path = (
            flow / "published" / subject / "u_test" / row.clip[-1] / f"{subject}_{row.clip[-1]}.png"
        )
        image = torch.from_numpy(cv2.imread(str(path)).astype(np.float32)).permute(2, 0, 1)[None]
        said = in_pytorch(states[subject], image).argmax()
        assert row.prediction == names[said] and row.truth == names[int(path.parent.name)]
    assert "which others trained" in json.loads((run / "recognition.json").read_text())["stamps"][0]
    assert (run / "results.html").exists()


def test_weights_that_do_not_fit_are_refused(flow, tmp_path, capsys):
    weights = tmp_path / "weights"
    weights.mkdir()
    start = [
        "import",
        f"--input={weights}",
        f"--data={flow / 'set'}",
        f"--workdir={tmp_path / 'r'}",
    ]

    def refused():
        assert main(start) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and not (tmp_path / "r").exists()
        return error

    assert "has no sub01.pth" in refused()
    for name in ("006", "sub01"):
        torch.save(made_up(0), weights / f"{name}.pth")
    torch.save({"conv1.weight": torch.zeros(3, 3, 3, 3)}, weights / "006.pth")
    assert "006.pth holds no STSTNet: it lacks" in refused()
    torch.save(made_up(0) | {"fc.weight": torch.zeros(5, 400)}, weights / "006.pth")
    assert "no STSTNet of 3 classes: fc.weight is (5, 400)" in refused()
    (weights / "006.pth").write_bytes(b"no file of PyTorch")
    assert "006.pth" in refused()
