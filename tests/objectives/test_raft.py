"""RAFT on known movements: what is called the flow is the flow, and it is learnt."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from conftest import tiny_config
from public import by_formula

from mubert_jax.errors import UserError
from mubert_jax.models import torchvision
from mubert_jax.objectives import make_objective
from mubert_jax.training.sampling import sample

# Nothing but movement.
STILL_LIGHT = {"gain": 0.0, "gradient": 0.0, "noise": (1e-6, 1e-6), "compressed": 0.0}
OPTIONS = {"updates": 2, "crop": 32, "enlarged": 4}
Y, X = np.mgrid[:64, :64].astype(np.float32)
WAVES = [128 + 60 * np.sin(X * a + Y * b + c) for a, b, c in ((0.5, 0.3, 0), (0.4, -0.5, 1))]
IMAGE = np.stack([*WAVES, WAVES[0]], axis=-1).round().astype(np.uint8)
BATCH = {
    "current": jnp.asarray(np.stack([IMAGE, IMAGE[::-1]])),
    "reference": jnp.zeros((2, 64, 64, 3), jnp.uint8),
    "index": jnp.arange(2, dtype=jnp.uint32),
}


def raft(**warp):
    options = OPTIONS | {"warp": {"amplitude": (4.0, 8.0), "drift": 4.0} | STILL_LIGHT | warp}
    return make_objective(
        tiny_config(model__image_size=64, objective__name="raft", objective__options=options)
    )


@pytest.fixture(scope="module")
def objective():
    return raft()


@pytest.fixture(scope="module")
def params():
    """Those of a formula: drawing them takes longer."""
    return torchvision.raft(by_formula("raft_small"))["params"]


@pytest.fixture(scope="module")
def views(objective):
    return jax.jit(objective.views)(jax.random.key(1), BATCH)


def test_the_first_moments_pixels_are_where_the_flow_says_in_the_second(views):
    assert views.first.shape == (2, 128, 128, 3) and views.flow.shape == (2, 128, 128, 2)
    rows, columns = np.mgrid[:128, :128].astype(np.float32)
    inside = np.s_[24:-24, 24:-24]
    for first, second, flow in zip(views.first, views.second, views.flow, strict=True):
        found = sample(second, rows + flow[..., 1], columns + flow[..., 0], 24)
        error = np.abs(found - first)[inside].mean()
        assert error < 0.25 * np.abs(second - first)[inside].mean()
    # Up to 8 and 4 pixels of a 224-pixel frame are 2.3 and 1.7 of 64, four times enlarged.
    assert 1.0 < np.linalg.norm(views.flow, axis=-1).max() < 16.5
    assert np.abs(views.flow[0] - views.flow[1]).max() > 0.5


def test_the_loss_weighs_later_updates_more(objective, params, views):
    @jax.jit
    def told_and_loss(params):
        told = objective.network.apply({"params": params}, views.first, views.second)
        return told, objective.loss(params, {"statistics": {}}, views, jnp.float32(0))

    told, (loss, (metrics, _)) = told_and_loss(params)
    error = np.abs(np.asarray(told) - np.asarray(views.flow)).mean((1, 2, 3, 4))
    np.testing.assert_allclose(loss, 0.8 * error[0] + error[1], rtol=1e-4)
    length = np.linalg.norm(views.flow, axis=-1).mean()
    endpoint = np.linalg.norm(told[-1] - views.flow, axis=-1).mean()
    np.testing.assert_allclose(metrics["endpoint_error"], endpoint / 4, rtol=1e-4)
    np.testing.assert_allclose(metrics["relative_error"], endpoint / length, rtol=1e-4)


@pytest.mark.slow
def test_it_learns(objective, views):
    params = jax.jit(objective.init)(jax.random.key(0))
    tx = optax.adam(1e-3)

    def loss_of(params):
        return objective.loss(params, {"statistics": {}}, views, jnp.float32(0))[0]

    @jax.jit
    def fit(params, state):
        loss, gradient = jax.value_and_grad(loss_of)(params)
        updates, state = tx.update(gradient, state)
        return optax.apply_updates(params, updates), state, loss

    learnt, state, losses = params, tx.init(params), []
    for _ in range(60):
        learnt, state, loss = fit(learnt, state)
        losses.append(float(loss))
    assert losses[-1] < 0.4 * losses[0]


def test_what_is_taken_away_is_read_back_under_torchvisions_names(objective, params):
    tensors = objective.to_take_away(params, {"statistics": {}})
    assert tensors["update_block.flow_head.conv2.weight"].shape == (2, 128, 3, 3)
    back = torchvision.raft(tensors)["params"]
    jax.tree.map(np.testing.assert_array_equal, back, params)


@pytest.mark.parametrize(
    "options, said",
    [
        ({"crop": 80}, "crop of 80 pixels, enlarged 4 times, has 320; it must fit into the frame"),
        ({"crop": 30}, "has 120; it must"),
        ({"crop": 33}, "has 132; it must"),
        ({"updates": 0}, "updates must be 1 or more"),
        ({"size": "medium"}, "it takes one of: small, large"),
    ],
)
def test_sizes_that_cannot_be_are_refused(options, said):
    with pytest.raises(UserError, match=said):
        make_objective(
            tiny_config(
                model__image_size=64, objective__name="raft", objective__options=OPTIONS | options
            )
        )
