"""The features that need no learning say what is known to have happened in a pair."""

import numpy as np
import pytest
from conftest import tiny_config

from mubert_jax.config import RecognitionConfig
from mubert_jax.models.micron_bert import build_model
from mubert_jax.recognition.inputs import CELLS, describe

SIZE = 64


@pytest.fixture(scope="module")
def model():
    return build_model(tiny_config(model__image_size=SIZE, model__patch_size=8))


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
    config = RecognitionConfig(features="difference", copies=0)
    (features,) = describe(model, {}, onset, apex, config, 0)
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
    config = RecognitionConfig(features="flow", copies=0)
    pair = (frames[None].astype(np.uint8) for frames in (onset, apex))
    (features,) = describe(model, {}, *pair, config, 0)
    dx, dy = np.moveaxis(features.reshape(8, 8, 2), -1, 0)
    assert 1 < dx[3, 3] < 3 and abs(dy[3, 3]) < 0.7
    assert np.abs(dx[6:]).max() < 0.2 and np.abs(dx[:, 6:]).max() < 0.2


def test_copies_are_augmented_and_the_first_is_not(model):
    onset, apex = (texture()[None, i : SIZE + i, i : SIZE + i].astype(np.uint8) for i in (0, 1))
    config = RecognitionConfig(features="difference", copies=2)
    first, *copies = describe(model, {}, onset, apex, config, 0)
    alone = describe(model, {}, onset, apex, RecognitionConfig(features="difference", copies=0), 0)
    np.testing.assert_array_equal(first, alone[0])
    assert all(np.abs(copy - first).max() > 1 for copy in copies)
