"""Flow and optical strain as images of 28 × 28."""

import numpy as np
import pytest

from mubert_jax.flow_maps import per_channel, stacked, strain


def of_gradient(u_x=0.0, u_y=0.0, v_x=0.0, v_y=0.0, side=56):
    """A flow with the same gradient everywhere."""
    y, x = np.mgrid[:side, :side].astype(np.float32)
    return np.stack([u_x * x + u_y * y, v_x * x + v_y * y], axis=-1)


@pytest.mark.parametrize(
    "gradient, expected",
    [
        ({"u_x": 0.3}, 0.3),
        ({"v_y": -0.3}, 0.3),
        ({"u_x": 0.3, "v_y": 0.4}, 0.5),
        ({"u_y": 0.2, "v_x": 0.2}, 0.4 / np.sqrt(2)),
        ({"u_y": 0.2, "v_x": -0.2}, 0.0),  # a turn strains nothing
    ],
)
def test_strain_is_the_norm_of_the_symmetric_gradient(gradient, expected):
    flow = of_gradient(**gradient)
    np.testing.assert_allclose(strain(flow), expected, atol=1e-5)
    np.testing.assert_allclose(stacked(flow, normalise="pixels")[..., 2], expected, atol=1e-5)


def test_pixels_keep_the_flow_of_the_frame():
    flow = np.zeros((56, 112, 2), np.float32)
    flow[:28, :56] = 2.0, -1.0  # a quarter, above on the left
    maps = stacked(flow, normalise="pixels")
    assert maps.shape == (28, 28, 3) and maps.dtype == np.float32
    np.testing.assert_allclose(maps[3, 3], [2.0, -1.0, 0.0], atol=1e-6)
    np.testing.assert_allclose(maps[20, 20], 0.0, atol=1e-6)
    np.testing.assert_allclose(maps[..., :2].mean((0, 1)), flow.mean((0, 1)), rtol=1e-5)
    assert stacked(flow, side=7).shape == (7, 7, 3)


def test_per_channel_takes_0_to_255_in_each_channel_and_the_sign_with_it():
    maps = stacked(of_gradient(u_x=0.1, v_y=-0.2))
    assert (maps.min((0, 1))[:2] == 0).all() and (maps.max((0, 1))[:2] == 255).all()
    assert (np.diff(maps[5, :, 0]) > 0).all(), "u grows to the right"
    assert (np.diff(maps[:, 5, 1]) < 0).all(), "v grows upwards"
    np.testing.assert_allclose(stacked(np.zeros((56, 56, 2)))[..., 2], 0.0)
    assert np.isfinite(stacked(np.ones((56, 56, 2)))).all()
    two = np.stack([maps, 3 * maps + 7])
    np.testing.assert_allclose(per_channel(two), np.stack([per_channel(maps)] * 2), atol=1e-3)


def test_another_normalisation_is_refused():
    with pytest.raises(ValueError, match="'per-channel' or 'pixels'"):
        stacked(np.zeros((4, 4, 2)), normalise="per-pixel")
