"""RAFT and ResNets compute what torchvision's do, with weights by a formula that need no file.

The outputs are those of torchvision 0.29.1.
"""

import pickle

import jax
import numpy as np
import pytest
from public import OUTPUTS, by_formula, pictures
from safetensors.numpy import save_file

from mubert_jax import motion_maps
from mubert_jax.errors import UserError
from mubert_jax.models import raft, torchvision
from mubert_jax.models.resnet import DEPTHS, ResNet
from mubert_jax.motion_maps.raft import FILES


def channels_last(name):
    return OUTPUTS[name].transpose(0, 2, 3, 1)


def pair():
    first = pictures(1, 1, 128, 160)
    return first, np.roll(first, (1, 2), (1, 2)) * np.float32(0.98)


@pytest.mark.parametrize(
    "name, sizes, parameters",
    [
        ("raft_small", raft.SMALL, 990_162),
        pytest.param("raft_large", raft.LARGE, 5_257_536, marks=pytest.mark.slow),
    ],
)
def test_raft_is_torchvisions(name, sizes, parameters):
    variables = torchvision.raft(by_formula(name))
    assert sum(x.size for x in jax.tree.leaves(variables["params"])) == parameters
    model = raft.RAFT(sizes, updates=4, last=False)
    flows = jax.jit(model.apply)(variables, *pair())
    for update in (1, 4):
        expected = channels_last(f"{name}.flow{update}")
        np.testing.assert_allclose(flows[update - 1], expected, atol=1e-3 * np.abs(expected).max())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet50", "resnet101"])
def test_a_resnet_is_torchvisions(name):
    variables = torchvision.resnet(by_formula(name))
    features = jax.jit(ResNet(DEPTHS[name]).apply)(variables, pictures(2, 2, 64, 64))
    expected = OUTPUTS[f"{name}.features"]
    np.testing.assert_allclose(features.mean((1, 2)), expected, atol=1e-4 * np.abs(expected).max())


def test_a_window_outside_of_the_frame_is_empty_and_inside_it_is_sampled():
    level = np.arange(20, dtype=np.float32).reshape(1, 1, 1, 4, 5) + 1
    for at in ((-50.0, 0.0), (0.0, 70.0)):
        far = np.array(at, np.float32).reshape(1, 1, 1, 2)
        np.testing.assert_array_equal(raft.looked_up([level], far, 1), 0)
    near = raft.looked_up([level], np.array([1.25, 2.5], np.float32).reshape(1, 1, 1, 2), 1)
    x, y = np.meshgrid([0.25, 1.25, 2.25], [1.5, 2.5, 3.5], indexing="ij")
    expected = (1 + x + 5 * y) * np.where(y > 3, 0.5, 1)
    expected[y > 3] = 0.5 * (1 + x + 15)[y > 3]  # the last row, half
    np.testing.assert_allclose(near.reshape(3, 3), expected, rtol=1e-5)


def test_a_larger_flow_keeps_its_corners_and_a_convex_one_its_bounds():
    flow = np.random.default_rng(0).normal(size=(1, 3, 4, 2)).astype(np.float32)
    enlarged = raft.bilinear(flow)
    np.testing.assert_allclose(enlarged[:, ::23, ::31], flow[:, ::2, ::3], rtol=1e-5)
    mask = np.zeros((1, 3, 4, 9, 64), np.float32)
    mask[..., 4, :] = 50  # the place itself
    alone = raft.convex(flow, mask.reshape(1, 3, 4, -1))
    np.testing.assert_allclose(alone, flow.repeat(8, 1).repeat(8, 2), rtol=1e-4)


def test_raft_without_weights_or_with_others_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.delenv("MUBERT_RAFT", raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(UserError, match=f"'raft' needs weights .* put torchvision's {FILES[0]}"):
        motion_maps.load("raft")
    assert "raft" in motion_maps.available() and "raft" not in motion_maps.chosen()
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / FILES[0]).write_bytes(b"PK, cut off")
    frame = np.zeros((16, 16, 3), np.uint8)
    with pytest.raises(UserError, match="SHA-256 does not begin with 01064c6d; get it again"):
        motion_maps.load("raft")(frame, frame)
    other = tmp_path / "other.safetensors"
    save_file({"conv.weight": np.zeros((1, 1, 1, 1), np.float32)}, other)
    monkeypatch.setenv("MUBERT_RAFT", str(other))
    with pytest.raises(UserError, match=r"other.safetensors holds no RAFT of torchvision"):
        motion_maps.load("raft")(frame, frame)
    for name in ("missing.pth", "text.pth"):
        (tmp_path / "text.pth").write_text("no weights")
        monkeypatch.setenv("MUBERT_RAFT", str(tmp_path / name))
        with pytest.raises(UserError, match=f"{name} cannot be read") as raised:
            motion_maps.load("raft")(frame, frame)
        assert "\n" not in str(raised.value)


def test_a_pickle_that_would_run_something_is_refused(tmp_path, monkeypatch):
    class Runs:
        def __reduce__(self):
            return open, (str(tmp_path / "was run"), "w")

    with (tmp_path / "hostile.pth").open("wb") as file:
        pickle.dump({"conv.weight": Runs()}, file)
    monkeypatch.setenv("MUBERT_RAFT", str(tmp_path / "hostile.pth"))
    frame = np.zeros((16, 16, 3), np.uint8)
    with pytest.raises(UserError, match="hostile.pth cannot be read"):
        motion_maps.load("raft")(frame, frame)
    assert not (tmp_path / "was run").exists()


@pytest.mark.slow
def test_raft_is_a_motion_map(tmp_path, monkeypatch):
    """Weights by a formula know nothing of movement, but the flow is of the frames' size."""
    path = tmp_path / "small.safetensors"
    save_file(by_formula("raft_small"), path)
    monkeypatch.setenv("MUBERT_RAFT", str(path))
    frames = np.random.default_rng(0).integers(0, 255, (2, 20, 24, 3)).astype(np.uint8)
    flow = motion_maps.load("raft")(*frames)
    assert flow.shape == (20, 24, 2) and np.isfinite(flow).all() and np.abs(flow).max() > 0
