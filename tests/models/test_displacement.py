"""Which way a patch moved, against shifts that are known."""

import jax
import numpy as np
import pytest
from conftest import tiny_config

from mubert_jax.models.displacement import displacement
from mubert_jax.models.micron_bert import build_model, init_params


@pytest.fixture(scope="module")
def displaced():
    """(onset, apex) images -> u (B, N, 2) of a fresh model that reads pixels."""
    config = tiny_config(model__dma__reads="pixels", model__dma__window=12)
    model = build_model(config)
    params = jax.jit(lambda: init_params(model, jax.random.key(config.training.seed)))()

    def see(model, onset, apex):
        return model.displacement(model.encode(onset), model.encode(apex))

    return jax.jit(lambda onset, apex: model.apply({"params": params}, onset, apex, method=see))


def waves(right, down):
    """(2, 32, 32, 3): smooth pictures of which everything lies so many pixels further."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[:32, :32][:, None, ..., None]
    image = np.zeros((2, 32, 32, 3))
    for _ in range(12):
        along_x, along_y = random.uniform(-0.4, 0.4, (2, 2, 1, 1, 3))
        phase = random.uniform(0, 7, (2, 1, 1, 3))
        image += np.sin(along_x * (x - right) + along_y * (y - down) + phase)
    return image.astype(np.float32)


@pytest.mark.parametrize(("right", "down"), [(0.3, 0.0), (0.0, 0.5), (-0.4, 0.2)])
def test_a_shift_is_found_in_every_patch(displaced, right, down):
    found = displaced(waves(0, 0), waves(right, down))
    np.testing.assert_allclose(found, np.broadcast_to((right, down), found.shape), atol=0.08)


def test_what_moves_to_and_fro_has_opposite_signs(displaced):
    there = displaced(waves(0, 0), waves(0.4, -0.2))
    back = displaced(waves(0.4, -0.2), waves(0, 0))
    np.testing.assert_allclose(there, -back, atol=1e-3)


def test_equal_frames_and_flat_frames_stay_put(displaced):
    image = waves(0, 0)
    assert not np.asarray(displaced(image, image)).any()
    flat = np.zeros_like(image)
    np.testing.assert_allclose(displaced(flat, flat + 0.5), 0, atol=1e-6)


def test_a_step_of_lucas_and_kanade_by_hand():
    random = np.random.default_rng(0)
    current, reference = random.random((2, 2, 4, 5, 1)).astype(np.float32)
    weights = random.normal(size=(3, 20, 6)).astype(np.float32)

    def queries(images):
        return np.einsum("npd,bp->bnd", weights, np.asarray(images).reshape(2, 20)) + 0.7

    mean = np.pad((current + reference) / 2, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    slopes = mean[:, 1:-1, 2:] - mean[:, 1:-1, :-2], mean[:, 2:, 1:-1] - mean[:, :-2, 1:-1]
    along = np.stack([queries(slope / 2) - 0.7 for slope in slopes], -1)
    change = queries(reference) - queries(current)
    squares = np.einsum("bndi,bndj->bnij", along, along) / np.sqrt(6) + 0.03 * np.eye(2)
    pull = -np.einsum("bndi,bnd->bni", along, change) / np.sqrt(6)
    expected = np.linalg.solve(squares, pull[..., None])[..., 0]
    np.testing.assert_allclose(displacement(queries, current, reference), expected, rtol=1e-3)
