"""MagNet as a motion map: whose weights it reads, and what it sees between equal frames."""

import pickle

import numpy as np
import pytest
import torch
from magnet_files import made_up, port_tensors
from safetensors.numpy import save_file

from mubert_jax import motion_maps
from mubert_jax.data.video import grey
from mubert_jax.errors import UserError
from mubert_jax.models import magnet_weights
from mubert_jax.models.magnet import PAPER, PORT
from mubert_jax.motion_maps.magnet import magnifier

FRAMES = np.random.default_rng(0).integers(0, 255, (2, 20, 24, 3)).astype(np.uint8)


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """Names a file of this suffix with these tensors as MagNet's weights."""

    def put(suffix, tensors):
        path = tmp_path / f"magnet{suffix}"
        if suffix == ".safetensors":
            save_file(tensors, path)
        else:
            torch.save(tensors, path)
        monkeypatch.setenv("MUBERT_MAGNET", str(path))
        return path

    return put


@pytest.mark.parametrize("layout, suffix", [(PAPER, ".safetensors"), (PORT, ".pth")])
def test_it_is_the_magnified_change_of_grey(weights, layout, suffix):
    params = made_up(layout)
    if layout == PAPER:
        weights(suffix, magnet_weights.to_tensors(params))
    else:
        state = {f"module.{name}": torch.from_numpy(x) for name, x in port_tensors().items()}
        weights(suffix, {"state_dict": state, "epoch": 12})
    onset, apex = FRAMES
    method = motion_maps.load("magnet")
    seen = method(onset, apex)
    magnify = magnifier(layout, params)
    expected = grey(magnify(onset, apex, 10.0)) - grey(magnify(onset, onset, 10.0))
    assert seen.shape == (20, 24) and np.abs(seen).max() > 1 and seen.min() < 0
    np.testing.assert_allclose(seen, expected, atol=1e-3)
    assert not method(onset, onset).any()


def test_its_version_is_that_of_the_weights(weights):
    weights(".safetensors", {"a": np.zeros(1, np.float32)})
    before = motion_maps.load("magnet").version()
    weights(".safetensors", {"a": np.ones(1, np.float32)})
    assert before and before != motion_maps.load("magnet").version()


def test_without_weights_it_says_what_to_do(monkeypatch):
    monkeypatch.delenv("MUBERT_MAGNET", raising=False)
    with pytest.raises(UserError, match="'magnet' needs weights .* mubert export makes"):
        motion_maps.load("magnet")
    assert "magnet" in motion_maps.available() and "magnet" not in motion_maps.chosen()


def test_other_weights_are_refused_in_one_line(weights, tmp_path, monkeypatch):
    weights(".safetensors", {"encoder.conv_1.weight": np.zeros((1, 1, 1, 1), np.float32)})
    with pytest.raises(UserError, match="magnet.safetensors holds no MagNet: "):
        motion_maps.load("magnet")(*FRAMES)
    monkeypatch.setenv("MUBERT_MAGNET", str(tmp_path / "missing.pth"))
    with pytest.raises(UserError, match="missing.pth cannot be read") as raised:
        motion_maps.load("magnet")(*FRAMES)
    assert "\n" not in str(raised.value)


def test_a_pickle_that_would_run_something_is_refused(tmp_path, monkeypatch):
    class Runs:
        def __reduce__(self):
            return open, (str(tmp_path / "was run"), "w")

    with (tmp_path / "hostile.pth").open("wb") as file:
        pickle.dump({"encoder.cba_1.conv2d.weight": Runs()}, file)
    monkeypatch.setenv("MUBERT_MAGNET", str(tmp_path / "hostile.pth"))
    with pytest.raises(UserError, match="hostile.pth cannot be read"):
        motion_maps.load("magnet")(*FRAMES)
    assert not (tmp_path / "was run").exists()


def test_frames_that_are_too_small(weights):
    weights(".safetensors", magnet_weights.to_tensors(made_up(PAPER)))
    with pytest.raises(UserError, match="frames of 24x7 pixels are too small for MagNet"):
        motion_maps.load("magnet")(*FRAMES[:, :7])
