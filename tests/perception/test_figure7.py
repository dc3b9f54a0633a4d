"""Figure 7: a row per pair, every method on the same frames, what is missing is said."""

import cv2
import numpy as np
import pytest

from mubert_jax.cli import main
from mubert_jax.perception import figure7
from mubert_jax.perception.maps import Maps


def test_colours_of_a_flow():
    flow = np.array([[[0, 0], [2, 0], [0.5, 0]], [[-2, 0], [0, 2], [0, -2]]], float)
    colours = figure7.flow_colours(flow, 1.0)
    np.testing.assert_allclose(colours[0, 0], 1)
    np.testing.assert_allclose(colours[0, 1], [1, 0, 0])
    np.testing.assert_allclose(colours[0, 2], [1, 0.5, 0.5])
    np.testing.assert_allclose(colours[1, 0], [0, 1, 1])
    np.testing.assert_allclose(colours[1, 1], [0.5, 1, 0], atol=1e-6)
    np.testing.assert_allclose(colours[1, 2], [0.5, 0, 1], atol=1e-6)


def test_without_weights_other_methods_take_their_place_and_it_says_so(tmp_path, monkeypatch):
    for variable in ("MUBERT_RAFT", "MUBERT_MAGNET"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    found, notes = figure7.methods(None)
    assert list(found) == ["farneback", "eulerian"]
    of_raft, of_magnet = notes
    assert of_raft.startswith("Farnebäck flow in its place: the motion map 'raft' needs weights")
    assert "Eulerian magnification in its place: the motion map 'magnet' needs" in of_magnet
    monkeypatch.setenv("MUBERT_MAGNET", str(tmp_path / "magnet.safetensors"))
    found, notes = figure7.methods(None)
    assert list(found) == ["farneback", "magnet"] and notes == [of_raft]
    assert list(figure7.methods(["difference"])[0]) == ["difference"]


def test_the_picture_has_a_row_per_pair_and_every_method_the_registered_apex(tmp_path):
    random = np.random.default_rng(0)
    onset, apex = random.integers(0, 255, (2, 3, 24, 24, 3)).astype(np.uint8)
    grids = np.ones((3, 3, 3))
    change = np.abs(onset.astype(float) - apex).mean(-1)
    maps = Maps(onset, apex, change, grids, grids, grids, np.zeros((3, 3, 3, 2)))
    seen = []

    def see(onset, apex):
        seen.append((onset, apex))
        return np.zeros((24, 24, 2))

    flow = figure7.MotionMap("a flow", "flow", see, limit=1.0)
    figure7.draw(maps, ["a", "b", "c"], {"flow": flow}, None, tmp_path / "f.png")
    for (one, other), first, second in zip(seen, onset, apex, strict=True):
        assert one is not other and (one == first).all() and (other == second).all()
    picture = cv2.imread(str(tmp_path / "f.png"))
    assert picture.shape[1] > 1.8 * picture.shape[0]


@pytest.mark.parametrize(
    "flags, said",
    [
        ([], "give either --pairs=DIR or --onset=A ... and --apex=B ..."),
        (["--pairs=P", "--onset", "a.png", "--apex", "b.png"], "give either --pairs=DIR or"),
        (["--onset", "a.png", "b.png", "--apex", "c.png"], "2 images for --onset, 1 for --apex"),
        (["--pairs=P", "--methods", "farnback"], "did you mean 'farneback'"),
    ],
)
def test_what_cannot_be_drawn(tmp_path, capsys, flags, said):
    assert main(["figure7", *flags, f"--output={tmp_path / 'f.png'}"]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_of_a_data_set_people_take_turns(monkeypatch, tmp_path):
    class Pairs:
        subject = ["d/a", "d/a", "d/b", "d/c", "d/c"]
        classes, label = ["x", "y"], [0, 1, 1, 0, 1]
        onset = apex = np.arange(5)[:, None, None, None]

    monkeypatch.setattr(figure7, "LabelledPairs", lambda *_: Pairs)
    shown = figure7.of_set(tmp_path, 32, 4)
    assert shown.onset.ravel().tolist() == [0, 2, 3, 1]
    assert shown.titles == ("d/a\nx", "d/b\ny", "d/c\nx", "d/a\ny")
