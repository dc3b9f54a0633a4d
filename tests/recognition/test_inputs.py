"""What is read of pairs says what is known to have happened in them; it is computed once."""

import dataclasses
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import tiny_config

from mubert_jax import motion_maps
from mubert_jax.config import RecognitionConfig
from mubert_jax.data.records import encode_image
from mubert_jax.errors import UserError
from mubert_jax.flow_maps import stacked
from mubert_jax.models.images import normalise
from mubert_jax.models.micron_bert import build_model, init_params
from mubert_jax.recognition import inputs
from mubert_jax.recognition.backbone import Backbone
from mubert_jax.recognition.inputs import CELLS, Inputs, pooled
from mubert_jax.recognition.paired_augmentation import augmented

SIZE = 64


@pytest.fixture(scope="module")
def model():
    return build_model(tiny_config(model__image_size=SIZE, model__patch_size=8))


def read(name, model, onset, apex, copies=0, folder=None, params=None, **augmentation):
    pairs = SimpleNamespace(onset=onset, apex=apex, label=np.zeros(len(onset), int))
    config = RecognitionConfig(**augmentation)
    return Inputs(pairs, Backbone(model, params or {}), config, folder).read(name, copies)


def texture():
    """Smooth noise (SIZE + 8, SIZE + 8, 3), float32."""
    random = np.random.default_rng(0)
    grid = np.linspace(0, 2 * np.pi, SIZE + 8)
    waves = [
        a * np.sin(random.integers(4, 12) * grid[:, None] + random.integers(4, 12) * grid + b)
        for a, b in random.uniform(10, 25, (8, 2))
    ]
    return np.repeat((128 + sum(waves).clip(-120, 120))[..., None], 3, -1)


def test_difference_is_the_change_of_grey_where_it_happens(model):
    onset = np.full((1, SIZE, SIZE, 3), 100, np.uint8)
    apex = onset.copy()
    apex[:, : SIZE // 2, SIZE // 2 :] = 130
    (features,) = read("difference/cells", model, onset, apex)
    cells = features.reshape(CELLS, CELLS)
    half = CELLS // 2
    np.testing.assert_allclose(cells[: half - 1, half + 1 :], 30, atol=0.5)
    np.testing.assert_allclose(cells[half + 1 :], 0, atol=0.5)
    np.testing.assert_allclose(cells[:, : half - 1], 0, atol=0.5)


def test_flow_is_the_shift_of_the_patches_that_move(model):
    whole = texture()
    onset = whole[4:-4, 4:-4]
    apex = onset.copy()
    apex[16:40, 16:40] = whole[20:44, 18:42]  # two pixels to the right
    pair = [frames[None].astype(np.uint8) for frames in (onset, apex)]
    (features,) = read("flow/cells", model, *pair)
    dx, dy = np.moveaxis(features.reshape(8, 8, 2), -1, 0)
    assert 1 < dx[3, 3] < 3 and abs(dy[3, 3]) < 0.7
    assert np.abs(dx[6:]).max() < 0.2 and np.abs(dx[:, 6:]).max() < 0.2
    whole_flow = read("flow", model, *pair)
    assert whole_flow.shape == (1, 1, SIZE, SIZE, 2) and whole_flow.dtype == np.float32
    strain = read("strain", model, *pair)[0, 0]
    assert strain.shape == (SIZE, SIZE)
    assert strain[26:30, 26:30].max() < strain[12:20, 22:34].max() / 2, "at the edge of what moves"


def test_flow_maps_are_of_the_flow_that_is_asked_for(model, tmp_path):
    whole = texture()
    pair = [whole[i : SIZE + i, 4:-4][None].astype(np.uint8) for i in (4, 3)]  # a pixel downwards
    maps = {name: read(name, model, *pair)[0, 0] for name in ("flow_maps", "flow_maps/pixels")}
    flow = read("flow", model, *pair)[0, 0]
    np.testing.assert_array_equal(maps["flow_maps/pixels"], stacked(flow, normalise="pixels"))
    np.testing.assert_array_equal(maps["flow_maps"], stacked(flow))
    assert 0.8 < maps["flow_maps/pixels"][5:-5, 5:-5, 1].mean() < 1.2
    dis = read("flow_maps/dis/pixels", model, *pair, folder=tmp_path)[0, 0]
    expected = stacked(motion_maps.load("dis")(*(frame[0] for frame in pair)), normalise="pixels")
    np.testing.assert_array_equal(dis, expected)
    assert len(list(tmp_path.glob("flow_maps-dis-pixels-*.npy"))) == 1


def test_maps_at_places_of_the_face(model, monkeypatch):
    """What the frame has beside the face is beyond the grid, for maps and for flow."""
    scores = np.zeros((8, 8), np.float32)
    scores[2:5, 3:6] = 1 / 9
    of_batch = np.repeat(scores.reshape(1, -1), inputs.BATCH, axis=0)
    monkeypatch.setattr(inputs, "_poi_scores", lambda *_: jnp.asarray(of_batch))
    onset = np.full((1, SIZE, SIZE, 3), 100, np.uint8)
    apex = onset.copy()
    apex[:, :, : SIZE // 8] = 130
    assert read("difference/cells", model, onset, apex)[0].max() > 25
    assert read("difference/face", model, onset, apex)[0].max() < 1
    apex[:, SIZE // 4 : 5 * SIZE // 8, 3 * SIZE // 8 : 3 * SIZE // 4] = 130
    in_face = read("difference/face", model, onset, apex)[0].reshape(CELLS, CELLS)
    assert in_face[8:20, 8:20].min() > 25
    assert read("flow/face", model, onset, apex).shape == (1, 1, 2 * 8 * 8)


@pytest.mark.parametrize("how", ["mean", "largest"])
def test_a_clip_is_pooled_over_its_frames_whatever_its_apex(model, tmp_path, how):
    onset = np.full((2, SIZE, SIZE, 3), 100, np.uint8)
    levels = np.array([[104, 90, 106], [100, 103, 101]], np.uint8)
    clips = [
        tuple(encode_image(np.full((SIZE, SIZE, 3), level, np.uint8), "png") for level in row)
        for row in levels
    ]

    def seen(apex, clips=clips, clip_pooling=how):
        pairs = SimpleNamespace(
            onset=onset, apex=np.full_like(onset, apex), label=np.zeros(2, int), clip_frames=clips
        )
        config = RecognitionConfig(clip_pooling=clip_pooling)
        read = Inputs(pairs, Backbone(model, {}), config, tmp_path).read("difference/cells")
        return read[0].mean(1)

    expected = levels.astype(float).mean(1) - 100 if how == "mean" else np.array([-10, 3])
    for apex in (100, 120):
        np.testing.assert_allclose(seen(apex), expected, atol=1e-4)
    np.testing.assert_allclose(seen(120, clip_pooling="none"), 20, atol=1e-4)
    # Of other clips nothing that is stored is read.
    np.testing.assert_allclose(seen(100, clips[::-1]), expected[::-1], atol=1e-4)


def test_the_largest_number_keeps_its_sign():
    numbers = np.array([[[1.0, -2.0]], [[-3.0, 1.0]], [[2.0, 0.0]]])
    np.testing.assert_array_equal(pooled(numbers, "largest"), [[-3, -2]])
    np.testing.assert_allclose(pooled(numbers, "mean"), [[0, -1 / 3]])


def test_copies_are_augmented_and_the_first_is_not(model):
    onset, apex = (texture()[None, i : SIZE + i, i : SIZE + i].astype(np.uint8) for i in (0, 1))
    first, *copies = read("difference/cells", model, onset, apex, copies=2)
    alone = read("difference/cells", model, onset, apex)
    np.testing.assert_array_equal(first, alone[0])
    assert all(np.abs(copy - first).max() > 1 for copy in copies)


def test_onset_and_apex_are_changed_alike():
    image = np.random.default_rng(0).integers(60, 200, (24, 24, 3)).astype(np.uint8)
    keys = jax.random.split(jax.random.key(0), 8)
    for key in keys:
        onset, apex = augmented(key, image, image, RecognitionConfig())
        np.testing.assert_array_equal(onset, apex)
    first, second = (
        np.asarray(augmented(key, image, image, RecognitionConfig())[0]) for key in keys[:2]
    )
    assert np.abs(first - second).max() > 1


@pytest.fixture(scope="module")
def tiny():
    """A backbone, its recognizer reading the map, and two pairs of noise."""
    config = tiny_config(
        loss__agreement="none",
        model__depth=1,
        model__recognizer__classes=2,
        model__recognizer__reads="movement",
    )
    model = build_model(config)
    params = jax.jit(lambda: init_params(model, jax.random.key(config.training.seed)))()
    return model, params, np.random.default_rng(0).integers(0, 255, (2, 2, 32, 32, 3), np.uint8)


def test_features_are_those_of_the_backbone_and_their_copies_differ(tiny):
    model, params, (onset, apex) = tiny
    plain, first, second = read("features", model, onset, apex, 2, params=params)
    expected = model.apply(
        {"params": params}, normalise(onset), normalise(apex), method="forward_features"
    )
    np.testing.assert_allclose(plain, expected, rtol=1e-4, atol=1e-5)
    assert np.abs(first - second).max() > 1e-3


def test_frames_are_as_they_are_and_nothing_is_written(model, tmp_path):
    onset, apex = np.zeros((3, SIZE, SIZE, 3), np.uint8), np.ones((3, SIZE, SIZE, 3), np.uint8)
    frames = read("frames", model, onset, apex, folder=tmp_path / "inputs")
    assert frames.shape == (1, 3, 2, SIZE, SIZE, 3) and frames.dtype == np.uint8
    assert not frames[:, :, 0].any() and frames[:, :, 1].all()
    assert not (tmp_path / "inputs").exists()


def test_what_was_computed_is_read_again_unless_it_would_be_another(tiny, tmp_path, monkeypatch):
    model, params, (onset, apex) = tiny
    computed, compute = [], Inputs._computed

    def watched(self, name, *rest):
        computed.append(name)
        return compute(self, name, *rest)

    monkeypatch.setattr(Inputs, "_computed", watched)

    def again(name, onset=onset, params=params, copies=1, **augmentation):
        before = len(computed)
        found = read(name, model, onset, apex, copies, tmp_path, params, **augmentation)
        return found, len(computed) > before

    first, new = again("features")
    assert new
    second, new = again("features")
    assert not new
    np.testing.assert_array_equal(first, second)
    assert again("features", params=jax.tree.map(lambda x: x + 1, params))[1], "other weights"
    assert again("features", onset=apex)[1] and again("features", gain=0.3)[1]
    assert again("features", copies=0)[1] and not again("features", copies=0, gain=0.3)[1]
    assert again("difference")[1] and again("difference/cells")[1]
    assert not again("difference", params=jax.tree.map(lambda x: x + 1, params))[1]
    for path in tmp_path.glob("difference-*.npy"):
        path.write_bytes(path.read_bytes()[:200])
    assert again("difference")[1], "a damaged file is computed again"
    assert not again("difference")[1]


def test_an_input_that_does_not_exist(model):
    onset = np.zeros((1, SIZE, SIZE, 3), np.uint8)
    for name in ("flo", "flo/cells", "flo/face"):
        with pytest.raises(UserError, match=f"input of a network '{name}'; did you mean 'flow'"):
            read(name, model, onset, onset)


def test_other_weights_of_a_motion_map_are_computed_again(tmp_path, model, monkeypatch):
    """A map by a network: the same frames, another version of it."""
    frames = np.zeros((1, SIZE, SIZE, 3), np.uint8)
    known = inputs.motion_map("difference")
    for version in ("small", "large", "large"):
        newer = dataclasses.replace(known, version=lambda version=version: version)
        monkeypatch.setattr(inputs, "motion_map", lambda name, newer=newer: newer)
        read("difference/cells", model, frames, frames, folder=tmp_path)
    assert len(list(tmp_path.glob("*.npy"))) == 2
