import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from conftest import fresh_state, step_of, tiny_config, views_of

from mubert_jax.config import SHARDED
from mubert_jax.models.images import normalise
from mubert_jax.models.micron_bert import build_model
from mubert_jax.models.vit import patchify
from mubert_jax.training import sharding
from mubert_jax.training.objective import Objective
from mubert_jax.training.schedules import learning_rate, teacher_momentum
from mubert_jax.training.state import create_state, optimizer
from mubert_jax.training.step import make_step, mean_over_micro_batches
from mubert_jax.training.views import pair_keys, random_crops

STEPS = 20


def parts(**overrides):
    config = tiny_config(**overrides)
    return config, fresh_state(config), step_of(config, STEPS)


@pytest.mark.parametrize(
    "agreement",
    ["none", *(pytest.param(name, marks=pytest.mark.slow) for name in ("mse", "dino"))],
)
def test_the_loss_falls_on_one_batch(agreement, noise_batch):
    _, state, step = parts(loss__agreement=agreement, optimizer__learning_rate=3e-3)
    step = jax.jit(step)
    losses = []
    for _ in range(STEPS):
        state, metrics = step(state, noise_batch)
        losses.append(float(metrics["reconstruction"]))
    assert losses[-1] < 0.9 * losses[0]
    assert int(state.step) == STEPS
    assert {"contextual_std", "diagonal_kept", "diagonal_swapped"} <= set(metrics)


def test_views_of_a_pair_depend_on_its_index_not_on_its_place(noise_batch):
    config = tiny_config()
    order = np.array([2, 0, 3, 1])
    see = jax.jit(lambda batch: views_of(config, batch))
    views = see(noise_batch)
    shuffled = see({k: v[order] for k, v in noise_batch.items()})
    np.testing.assert_array_equal(shuffled.swap_mask, views.swap_mask[order])
    np.testing.assert_allclose(shuffled.global_crops[0], views.global_crops[0][order], atol=1e-5)
    assert (views.swap_mask[0] != views.swap_mask[1]).any()
    assert len(views.local_crops) == 1 and views.local_crops[0].shape == (4, 16, 16, 3)


def test_a_teachers_momentum_rises_to_one():
    config = tiny_config().loss.dino
    assert float(teacher_momentum(config.teacher_momentum, 0.0)) == pytest.approx(
        config.teacher_momentum
    )
    assert float(teacher_momentum(config.teacher_momentum, 1.0)) == pytest.approx(1.0)


def test_schedule_warms_up_and_ends_at_zero():
    schedule = learning_rate(tiny_config(optimizer__warmup_steps=5).optimizer, STEPS)
    rates = [float(schedule(step)) for step in range(STEPS + 1)]
    assert rates[0] == 0 and rates[5] == pytest.approx(1e-3) and rates[-1] == pytest.approx(0)
    assert rates[5:] == sorted(rates[5:], reverse=True)


def test_weight_decay_spares_vectors():
    config = tiny_config(optimizer__weight_decay=0.5)
    tx = optimizer(config.optimizer, STEPS)
    params = {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}
    updates, _ = tx.update(jax.tree.map(jnp.zeros_like, params), tx.init(params), params)
    decayed = optax.apply_updates(params, updates)
    assert (decayed["kernel"] < 1).all() and (decayed["bias"] == 1).all()


def test_normalise_is_imagenets():
    white = normalise(np.full((1, 1, 1, 3), 255, np.uint8))
    np.testing.assert_allclose(white[0, 0, 0], [2.2489, 2.4286, 2.64], atol=1e-3)


def test_a_crop_is_a_piece_of_the_frame():
    """A frame whose pixels hold their own coordinates: a crop is linear in them, inside them."""
    rows, columns = np.mgrid[:32, :32].astype(np.float32)
    image = np.stack([rows, columns, np.ones_like(rows)], -1)[None]
    config = tiny_config().loss.crop
    for seed in range(10):
        key = pair_keys(jax.random.key(seed), jnp.zeros(1, jnp.uint32))
        (crop,) = random_crops(key, jnp.asarray(image), 1, 32, (0.3, 0.5), config)
        inner = np.asarray(crop[0, 2:-2, 2:-2])
        np.testing.assert_allclose(inner[..., 2], 1, atol=1e-4)
        down, across = np.diff(inner[..., 0], axis=0), np.diff(inner[..., 1], axis=1)
        np.testing.assert_allclose(down, down.mean(), atol=1e-3)
        np.testing.assert_allclose(across, across.mean(), atol=1e-3)
        assert 0.29 < down.mean() * across.mean() < 0.51
        assert inner[..., :2].min() > -0.6 and inner[..., :2].max() < 31.6


def sharded_losses(devices, noise_batch, mesh, rules=((".*", ()),)):
    config, state, step = parts(
        loss__agreement="mse", model__depth=1, runtime__mesh=mesh, runtime__sharding=rules
    )
    mesh = sharding.make_mesh(config, jax.devices()[:devices])
    placed = sharding.state_shardings(mesh, config.runtime.sharding, state)
    state = jax.device_put(state, placed)
    step = jax.jit(step, out_shardings=(placed, None))
    losses = []
    for _ in range(3):
        batch = sharding.put_batch(noise_batch, sharding.batch_sharding(mesh), 4, np.arange(4))
        state, metrics = step(state, batch)
        losses.append(float(metrics["loss"]))
    return losses, state


def test_split_over_devices_it_learns_the_same(noise_batch):
    one, _ = sharded_losses(1, noise_batch, (1, 1, 1))
    four, _ = sharded_losses(4, noise_batch, (-1, 1, 1))
    np.testing.assert_allclose(four, one, rtol=1e-4)
    check_fsdp(one, noise_batch)
    check_tensor(one, noise_batch)


def check_fsdp(one, noise_batch):
    rules = (("qkv/kernel", ("fsdp", "")), (".*", ()))
    fsdp, state = sharded_losses(4, noise_batch, (2, 2, 1), rules)
    np.testing.assert_allclose(fsdp, one, rtol=1e-4)
    kernel = state.params["encoder"]["blocks_0"]["attn"]["qkv"]["kernel"]
    moments = state.opt_state[0].mu["encoder"]["blocks_0"]["attn"]["qkv"]["kernel"]
    assert kernel.sharding.spec == moments.sharding.spec
    assert kernel.addressable_shards[0].data.shape[0] * 2 == kernel.shape[0]


@pytest.mark.slow
def test_parts_of_a_batch_learn_what_the_whole_learns(noise_batch):
    # All but batch statistics: mse, known movements and expectation are means over pairs.
    keys = {
        "loss__agreement": "mse",
        "model__depth": 1,
        "loss__warp_weight": 1.0,
        "loss__expectation_weight": 1.0,
        "optimizer__learning_rate": 1e-2,
    }
    ends = []
    for count in (1, 4):
        _, state, step = parts(training__micro_batches=count, **keys)
        state, metrics = jax.jit(step)(state, noise_batch)
        assert int(state.step) == 1
        ends.append((metrics["loss"], metrics["gradient_norm"]))
    np.testing.assert_allclose(ends[1], ends[0], rtol=1e-4)


@pytest.mark.parametrize("parts", [1, 2, 4])
def test_parts_of_a_batch_take_every_nth_example_and_are_averaged(parts):
    x = np.random.default_rng(0).random((8, 3)).astype(np.float32)

    def of_part(batch):
        return {"peak": jnp.max(batch["x"], axis=0), "first": batch["x"][0] * batch["x"][-1]}

    found = mean_over_micro_batches(of_part, {"x": jnp.asarray(x)}, parts)
    split = [x[i::parts] for i in range(parts)]
    np.testing.assert_allclose(found["peak"], np.mean([p.max(0) for p in split], 0), rtol=1e-6)
    np.testing.assert_allclose(found["first"], np.mean([p[0] * p[-1] for p in split], 0), rtol=1e-6)


@pytest.mark.slow
def test_parts_of_a_batch_need_less_memory(noise_batch):
    def planned(**keys):
        _, state, step = parts(loss__agreement="none", model__attention="explicit", **keys)
        compiled = jax.jit(step).lower(state, noise_batch).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    assert planned(training__micro_batches=4) < 0.7 * planned()


@pytest.mark.slow
def test_computing_blocks_again_changes_nothing(noise_batch):
    ends = []
    for remat in (False, True):
        _, state, step = parts(loss__agreement="none", model__remat=remat)
        after, metrics = jax.jit(step)(state, noise_batch)
        ends.append((metrics["loss"], metrics["gradient_norm"]))
        assert jax.tree.structure(after) == jax.tree.structure(state)
    np.testing.assert_allclose(ends[1], ends[0], rtol=1e-5)


def kept_for_the_backward_pass(**keys):
    """Bytes; what XLA makes of it is its own affair, and on a CPU it undoes rematerialisation."""
    config = tiny_config(loss__agreement="none", **keys)
    model = build_model(config)
    images = jnp.zeros((2, 32, 32, 3))

    def kept(images):
        variables = model.init(jax.random.key(0), images, method="initialise")
        return jax.vjp(lambda v: model.apply(v, images, images)[0], variables)[1]

    return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(jax.eval_shape(kept, images)))


def test_computing_blocks_again_keeps_less():
    assert kept_for_the_backward_pass(model__remat=True) < 0.5 * kept_for_the_backward_pass()


def check_tensor(one, noise_batch):
    split, state = sharded_losses(4, noise_batch, (1, 2, 2), SHARDED)
    np.testing.assert_allclose(split, one, rtol=1e-4)
    kernel = state.params["encoder"]["blocks_0"]["attn"]["qkv"]["kernel"]
    assert kernel.addressable_shards[0].data.size * 4 == kernel.size


def test_masking_blanks_what_swapping_takes_from_the_reference(noise_batch):
    swapped, masked = (
        views_of(tiny_config(swapping__kind=kind), noise_batch) for kind in ("swap", "mask")
    )
    np.testing.assert_array_equal(swapped.swap_mask, masked.swap_mask)
    mask = np.asarray(masked.swap_mask)
    patches = {name: patchify(getattr(masked, name), 8) for name in ("swapped", "current")}
    assert not np.asarray(patches["swapped"])[mask].any()
    np.testing.assert_array_equal(patches["swapped"][~mask], patches["current"][~mask])


def test_replaced_patch_detection_enters_the_loss_and_teaches_the_diagonal(noise_batch):
    _, state, step = parts(
        loss__agreement="none", loss__replaced_patch_weight=1.0, optimizer__learning_rate=3e-3
    )
    step = jax.jit(step)
    history = []
    for _ in range(STEPS):
        state, metrics = step(state, noise_batch)
        total = metrics["reconstruction"] + metrics["replaced_patch"]
        np.testing.assert_allclose(metrics["loss"], total, rtol=1e-5)
        history.append(float(metrics["diagonal_kept"] - metrics["diagonal_swapped"]))
    assert history[-1] > history[0] + 0.05


PIXELS = {"model__dma__reads": "pixels", "model__dma__projection": "shared"}


@pytest.mark.slow
@pytest.mark.parametrize("reads", ["pixels", "tokens"])
def test_warps_teach_dma_where_frames_have_texture(reads, noise_batch):
    _, state, step = parts(
        loss__agreement="none",
        loss__reconstruction_weight=0.0,
        loss__warp_weight=1.0,
        loss__warp__amplitude=(8.0, 9.0),
        model__dma__projection="shared",
        model__dma__reads=reads,
        optimizer__learning_rate=1e-2,
    )
    step = jax.jit(step)
    before = jax.tree.map(np.copy, state.params["dma"]["to_q"])
    losses = []
    for _ in range(STEPS):
        state, metrics = step(state, noise_batch)
        losses.append(float(metrics["warp"]))
    assert np.abs(state.params["dma"]["to_q"]["kernel"] - before["kernel"]).max() > 0
    assert losses[-1] < 0.9 * losses[0]


def test_expectation_teaches_the_encoder_and_leaves_dma_alone(noise_batch):
    _, state, step = parts(
        loss__agreement="none",
        loss__reconstruction_weight=0.0,
        loss__expectation_weight=1.0,
        optimizer__weight_decay=0.0,
        **PIXELS,
    )
    after, _ = jax.jit(step)(state, noise_batch)
    moved = jax.tree.map(lambda a, b: float(jnp.abs(a - b).max()), state.params, after.params)
    assert max(jax.tree.leaves(moved["encoder"])) > 0
    assert max(jax.tree.leaves(moved["dma"])) == 0


class Squares(Objective):
    """The sum of squares of two parameters, of which one is frozen."""

    frozen = ("inner/held",)

    def init(self, key):
        return {"inner": {"held": jnp.ones((2, 2)), "free": jnp.ones((2, 2))}}

    def views(self, key, batch):
        return batch

    def loss(self, params, extra, views, progress):
        return sum(jnp.sum(x**2) for x in jax.tree.leaves(params)), ({}, {})


@pytest.mark.parametrize("name", ["adamw", "lars"])
def test_frozen_parameters_keep_their_values(name):
    """Neither gradient nor weight decay reaches them, and the gradient's norm is of the others."""
    config = tiny_config(optimizer__name=name, optimizer__weight_decay=0.5)
    objective = Squares(config)
    tx = optimizer(config.optimizer, STEPS, objective.frozen)
    state = create_state(objective, tx, jax.random.key(0))
    step = make_step(objective, tx, STEPS, jax.random.key(0))
    state, metrics = step(state, {"index": jnp.zeros(2)})
    np.testing.assert_array_equal(state.params["inner"]["held"], 1)
    assert (state.params["inner"]["free"] < 1).all()
    np.testing.assert_allclose(metrics["gradient_norm"], 4.0)
