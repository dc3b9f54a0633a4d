"""MoCo v3: the contrast is over the batch of all devices, keys come from the moving average."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from conftest import tiny_config
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from mubert_jax.bench.timed import noise_pairs
from mubert_jax.errors import UserError
from mubert_jax.models import resnet
from mubert_jax.objectives import make_objective
from mubert_jax.objectives.moco_v3 import info_nce
from mubert_jax.training.state import begin_with, create_state, optimizer

OPTIONS = {"hidden": 16, "output": 8, "momentum": 0.9}
CONFIG = tiny_config(
    objective__name="moco_v3",
    objective__options=OPTIONS,
    model__depth=1,
    model__image_size=16,
    training__batch_size=8,
)
BATCH = {name: jnp.asarray(x) for name, x in noise_pairs(8, 16).items()}


def start(config):
    objective = make_objective(config)
    tx = optimizer(config.optimizer, 1000, objective.frozen)
    return jax.jit(lambda: create_state(objective, tx, jax.random.key(0)))()


@pytest.fixture(scope="module")
def first():
    return start(CONFIG)


def test_queries_look_for_their_own_key_among_all():
    random = np.random.default_rng(0)
    queries, keys = random.normal(size=(2, 6, 5))
    cosine = np.einsum("qd,kd->qk", queries, keys)
    cosine /= np.linalg.norm(queries, axis=1)[:, None] * np.linalg.norm(keys, axis=1)
    odds = np.exp(cosine / 0.2)
    expected = -2 * 0.2 * np.mean(np.log(np.diag(odds) / odds.sum(1)))
    loss, found = info_nce(jnp.asarray(queries), jnp.asarray(keys), 0.2)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    assert float(found) == np.mean(cosine.argmax(1) == np.arange(6))
    assert float(info_nce(jnp.asarray(keys), jnp.asarray(keys), 0.2)[1]) == 1


def test_the_average_follows_by_its_momentum(first):
    objective = make_objective(CONFIG)
    params = jax.tree.map(lambda x: x + 1, first.params)
    extra = objective.after_update(params, first.extra, {"statistics": {}}, jnp.float32(0))
    for name in ("encoder", "projector"):
        moved = jax.tree.map(jnp.subtract, extra["momentum"][name], first.params[name])
        np.testing.assert_allclose([np.mean(x) for x in jax.tree.leaves(moved)], 0.1, atol=1e-4)
    late = objective.after_update(params, first.extra, {"statistics": {}}, jnp.float32(1))
    jax.tree.map(np.testing.assert_array_equal, late, first.extra)


def test_the_projection_of_patches_is_frozen():
    objective = make_objective(CONFIG)
    params = jax.eval_shape(objective.init, jax.random.key(0))
    frozen = begin_with(objective.frozen, params)
    assert frozen["encoder"]["patch_embed"] == {"kernel": True, "bias": True}
    assert sum(jax.tree.leaves(frozen)) == 2


@pytest.fixture(scope="module")
def views():
    return jax.jit(make_objective(CONFIG).views)(jax.random.key(1), BATCH)


def loss_and_gradients(first, views, devices):
    """A function of the state, and what it gives at first, with the batch split over devices.

    Loss, metrics and the gradients of parameters and of what is kept beside them.
    """
    objective = make_objective(CONFIG)
    mesh = jax.make_mesh(
        (devices,), ("data",), axis_types=(AxisType.Auto,), devices=jax.devices()[:devices]
    )
    split, whole = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in (("data",), ()))
    views = jax.device_put(views, split)
    loss = jax.jit(jax.value_and_grad(objective.loss, (0, 1), has_aux=True))
    of = lambda params, extra: loss(params, extra, views, jnp.float32(0))  # noqa: E731
    return of, of(*jax.device_put((first.params, first.extra), whole))


@pytest.fixture(scope="module")
def on_one(first, views):
    return loss_and_gradients(first, views, 1)


@pytest.mark.parametrize("devices", [pytest.param(2, marks=pytest.mark.slow), 4])
def test_loss_and_gradients_do_not_depend_on_the_number_of_devices(first, views, on_one, devices):
    """The batch norms' means and the negatives are those of the batch as a whole."""
    _, ((loss, _), gradients) = loss_and_gradients(first, views, devices)
    _, ((expected, _), of_one) = on_one
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    for a, b in zip(jax.tree.leaves(gradients), jax.tree.leaves(of_one), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4 * max(1, np.abs(b).max()))


def test_keys_are_of_the_moving_average_and_have_no_gradient(on_one):
    _, (_, (of_params, of_extra)) = on_one
    assert not any(np.any(x) for x in jax.tree.leaves(of_extra))
    assert all(np.any(x) for x in jax.tree.leaves(of_params["encoder"]["blocks_0"]["attn"]))


def test_keys_are_of_what_is_kept_and_not_of_the_parameters(first, on_one):
    of, ((loss, _), _) = on_one
    wave = lambda x: x + 0.1 * jnp.sin(jnp.arange(x.size)).reshape(x.shape)  # noqa: E731
    other = jax.tree.map(wave, first.extra)
    assert abs(of(first.params, other)[0][0] - loss) > 1e-3


def test_it_learns_to_tell_frames_apart(first, on_one):
    of, _ = on_one
    objective, params, extra, rows = make_objective(CONFIG), first.params, first.extra, []
    tx = optax.adam(3e-3)
    update, state = jax.jit(tx.update), tx.init(params)
    for _ in range(25):
        (_, (metrics, statistics)), (gradients, _) = of(params, extra)
        updates, state = update(gradients, state)
        params = optax.apply_updates(params, updates)
        extra = objective.after_update(params, extra, statistics, 0.0)
        rows.append(metrics)
    assert rows[-1]["contrast"] < 0.6 * rows[0]["contrast"]
    assert rows[-1]["accuracy"] > 0.8 > 0.3 > rows[0]["accuracy"]
    assert rows[-1]["contextual_std"] > 0.1


def test_views_of_a_pair_are_its_own(views):
    turned = {name: x[::-1] for name, x in BATCH.items()}
    again = jax.jit(make_objective(CONFIG).views)(jax.random.key(1), turned)
    np.testing.assert_allclose(again.first[::-1], views.first, atol=1e-5)
    assert np.abs(views.first - views.second).mean() > 0.1


@pytest.fixture
def small_resnet(monkeypatch):
    monkeypatch.setitem(resnet.DEPTHS, "resnet50", (1, 1, 0, 0))
    monkeypatch.setattr(resnet, "WIDTHS", (8, 8, 16, 16))
    return tiny_config(
        objective__name="moco_v3",
        objective__options=OPTIONS | {"backbone": "resnet50", "temperature": 1.0},
        model__image_size=16,
        training__batch_size=8,
    )


def test_a_resnet_keeps_running_statistics_and_is_probed_by_them(small_resnet, views):
    objective, state = make_objective(small_resnet), start(small_resnet)
    assert objective.frozen == ()
    loss = jax.jit(objective.loss)
    _, (metrics, statistics) = loss(state.params, state.extra, views, jnp.float32(0))
    extra = objective.after_update(state.params, state.extra, statistics, jnp.float32(0))
    before, after = (x["statistics"]["bn1"] for x in (state.extra, extra))
    np.testing.assert_array_equal(before["var"], 1)
    assert np.abs(after["mean"] - before["mean"]).min() > 0 and np.isfinite(metrics["contrast"])
    images = jnp.ones((2, 16, 16, 3)) * jnp.array([0.5, -0.5])[:, None, None, None]
    encode = jax.jit(objective.encode)
    tokens = [encode(state.params, x, images) for x in (state.extra, extra)]
    assert tokens[0].shape == (2, 4, 32)
    assert np.abs(tokens[0] - tokens[1]).max() > 1e-4


def test_an_unknown_backbone_is_refused():
    options = {"backbone": "resnet18"}
    with pytest.raises(UserError, match="backbone is 'resnet18'; it takes micron, resnet50"):
        make_objective(tiny_config(objective__name="moco_v3", objective__options=options))
