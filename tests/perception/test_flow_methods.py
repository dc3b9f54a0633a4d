"""How `mubert prepare flow` finds flow, and the picture of what it found."""

from types import SimpleNamespace

import cv2
import jax
import numpy as np
import pytest
from conftest import tiny_config

from mubert_jax.data.labelled_clips import LabelledClips
from mubert_jax.errors import UserError
from mubert_jax.models.micron_bert import build_model, init_params
from mubert_jax.perception import flow_methods
from mubert_jax.perception.flow_methods import DISPLACEMENT, flow_method
from mubert_jax.perception.flow_picture import as_shares, draw
from mubert_jax.perception.trained import Trained
from mubert_jax.training.contamination import Seen


def trained(reads, weights=True):
    config = tiny_config(loss__agreement="none", model__depth=1, model__dma__reads=reads)
    model = build_model(config)
    params = jax.jit(lambda: init_params(model, jax.random.key(0)))() if weights else {}
    return Trained(config, model, params, None, Seen())


def frames(side, right=0):
    rows, columns = np.mgrid[:side, :side]
    disc = np.exp(-((rows - side / 2) ** 2 + (columns - side / 2 - right) ** 2) / side)
    return np.repeat((40 + 180 * disc)[..., None], 3, axis=-1).astype(np.uint8)


@pytest.mark.parametrize("name", ["farneback", "dis"])
def test_a_motion_map_that_gives_flow(name):
    method = flow_method(name)
    flow = method.see(frames(48), frames(48, 2))
    assert method.name == name and flow.shape == (48, 48, 2)
    assert flow[20:28, 20:28, 0].mean() > 0.4 and abs(flow[20:28, 20:28, 1].mean()) < 0.3


@pytest.mark.parametrize(
    "name, said",
    [
        ("farnebak", "unknown --method 'farnebak'; did you mean 'farneback'?"),
        ("ssim", "--method 'ssim' gives a map of how much moves, without its direction"),
    ],
)
def test_others_are_refused(name, said):
    with pytest.raises(UserError, match=said):
        flow_method(name)


def test_tokens_tell_no_direction():
    with pytest.raises(UserError, match="reads tokens .*cannot tell which way"):
        flow_method(DISPLACEMENT, trained("tokens", weights=False))


def test_displacement_is_in_pixels_of_frames_of_any_size(monkeypatch):
    """A checkpoint of 32 pixels looks at frames of 96 × 64."""
    asked = []

    class Fake:
        def __init__(self, model, params, reading, batch):
            assert reading.align == "none", "the pairs are as they were prepared"

        def __call__(self, onset, apex):
            asked.append((onset, apex))
            return SimpleNamespace(displacement=np.full((1, 4, 4, 2), (0.5, -1), np.float32))

    monkeypatch.setattr(flow_methods, "Perceiver", Fake)
    method = flow_method(DISPLACEMENT, trained("motion", weights=False))
    assert method.seen == Seen().to_json() and flow_method("dis").seen is None
    flow = method.see(*2 * (np.zeros((96, 64, 3), np.uint8),))
    np.testing.assert_allclose(flow, np.full((96, 64, 2), (1, -3)), rtol=1e-6)
    assert [frame.shape for frame in asked[0]] == 2 * [(1, 32, 32, 3)]


@pytest.mark.slow
def test_displacement_of_weights():
    method = flow_method(DISPLACEMENT, trained("motion"))
    small = frames(32), frames(32, 1)
    flow = method.see(*small)
    assert flow.shape == (32, 32, 2) and np.abs(flow).max() > 0
    np.testing.assert_array_equal(method.see(small[0], small[0]), 0)
    larger = [frame.repeat(2, 0).repeat(2, 1) for frame in small]
    expected = 2 * cv2.resize(flow, (64, 64), interpolation=cv2.INTER_CUBIC)
    twice = method.see(*larger)
    assert np.corrcoef(twice.ravel(), expected.ravel())[0, 1] > 0.99
    np.testing.assert_allclose(np.abs(twice).mean(), np.abs(expected).mean(), rtol=0.05)


@pytest.mark.parametrize("with_onset", [True, False])
def test_the_picture_has_a_row_per_class_that_has_clips(tmp_path, with_onset):
    flow = np.random.default_rng(0).uniform(0, 255, (6, 28, 28, 3)).astype(np.float32)
    flow[2] = 0
    label, columns = [0, 0, 2, 2, 2, 0], (["lab"] * 6, ["lab/1"] * 6, list("abcdef"))
    clips = LabelledClips(tmp_path, ["joy", "nobody's", "fear"], label, *columns)
    asked = []
    onset = (lambda number: asked.append(number) or frames(32)) if with_onset else None
    draw(flow, clips, onset, tmp_path / "flow.png")
    height, width = cv2.imread(str(tmp_path / "flow.png")).shape[:2]
    assert height > 300 and width > (1300 if with_onset else 1100)
    if with_onset:
        assert len(asked) == 2 and asked[0] in (0, 1, 5) and asked[1] in (3, 4), "not the still one"


def test_shares_are_0_where_the_border_is():
    maps = np.full((28, 28, 3), 100.0)
    maps[10, 10] = 255, 0, 120
    shares = as_shares(maps)
    assert shares[0, 0].tolist() == [0, 0, 0] and shares[10, 10].tolist() == [1, -1, 1]
