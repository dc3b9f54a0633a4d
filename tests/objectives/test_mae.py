"""MAE: dropped patches are never read, and they alone are scored."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from conftest import tiny_config

from mubert_jax.bench.timed import noise_pairs
from mubert_jax.config_files import load_config
from mubert_jax.models.vit import patchify, unpatchify
from mubert_jax.objectives import make_objective
from mubert_jax.objectives.mae import Views

CONFIG = tiny_config(objective__name="mae", objective__options={"mask_ratio": 0.75})
BATCH = {name: jnp.asarray(x) for name, x in noise_pairs(4, 32).items()}


@pytest.fixture(scope="module")
def objective():
    return make_objective(CONFIG)


@pytest.fixture(scope="module")
def params(objective):
    return jax.jit(objective.init)(jax.random.key(0))


@pytest.fixture(scope="module")
def views(objective):
    return jax.jit(objective.views)(jax.random.key(1), BATCH)


@pytest.fixture(scope="module")
def loss(objective):
    return jax.jit(lambda params, views: objective.loss(params, {}, views, jnp.float32(0))[0])


def test_a_quarter_is_kept_and_every_pair_has_an_order_of_its_own(objective, views):
    assert objective.kept == 4
    order = np.asarray(views.order)
    np.testing.assert_array_equal(np.sort(order, axis=1), np.tile(np.arange(16), (4, 1)))
    assert len({tuple(row) for row in order}) == 4


def changed(images, order, places):
    """The images with other pixels in the patches at some places of their orders."""
    patches = np.array(patchify(images, 8))
    rows = np.arange(len(order))[:, None]
    patches[rows, np.asarray(order)[:, places]] += np.random.default_rng(0).normal(size=192)
    return unpatchify(jnp.asarray(patches), 8)


def test_what_is_dropped_is_not_read(objective, params, views):
    encode = jax.jit(
        lambda images: (
            objective.encoder.apply(
                {"params": params["encoder"]}, images, views.order[:, :4]
            ).tokens
        )
    )
    seen = encode(views.images)
    assert seen.shape == (4, 4, 32)
    dropped, kept = (changed(views.images, views.order, places) for places in (range(4, 16), [0]))
    np.testing.assert_allclose(encode(dropped), seen, atol=1e-5)
    assert np.abs(encode(kept) - seen).max() > 0.01


def test_the_tokens_that_are_kept_are_those_of_the_whole_image_if_all_are(objective, params, views):
    whole = objective.encode(params, {}, views.images)
    order = jnp.tile(jnp.arange(16)[::-1], (4, 1))
    turned = objective.encoder.apply({"params": params["encoder"]}, views.images, order).tokens
    np.testing.assert_allclose(turned[:, ::-1], whole, atol=1e-5)


def test_the_loss_is_the_error_of_the_dropped_patches_in_their_own_deviations(
    objective, params, views, loss
):
    encoder = objective.encoder.bind({"params": params["encoder"]})
    decoder = objective.decoder.bind({"params": params["decoder"]})
    seen = encoder(views.images, views.order[:, :4])
    told = decoder(seen.contextual_token, seen.tokens, views.order)
    patches = np.asarray(patchify(views.images, 8), np.float64)
    patches -= patches.mean(-1, keepdims=True)
    patches /= np.sqrt(patches.var(-1, keepdims=True) + 1e-6)
    error = np.square(np.asarray(told) - patches).mean(-1)
    rows, dropped = np.arange(4)[:, None], np.asarray(views.order)[:, 4:]
    np.testing.assert_allclose(loss(params, views), error[rows, dropped].mean(), rtol=1e-4)


def test_the_decoder_puts_every_token_in_its_place(objective, params, views):
    """A kept patch that changes changes most what is told of it: by its position, not its rank."""
    decode = jax.jit(
        lambda tokens: objective.decoder.apply(
            {"params": params["decoder"]}, jnp.zeros((4, 32)), tokens, views.order
        )
    )
    tokens = jnp.zeros((4, 4, 32))
    change = np.abs(decode(tokens.at[:, 2].set(3.0)) - decode(tokens)).mean(-1)
    np.testing.assert_array_equal(change.argmax(1), views.order[:, 2])


def test_it_learns_to_tell_a_smooth_image_from_a_quarter_of_it(params, views, loss):
    y, x = np.mgrid[:32, :32] / 32
    waves = [np.sin(6 * x * a + 5 * y * b + c) for a, b, c in ((1, 1, 0), (1, -1, 1), (0, 1, 2))]
    images = jnp.asarray(np.tile(np.stack(waves, -1)[None], (4, 1, 1, 1)), jnp.float32)
    smooth = Views(images, views.order)
    tx = optax.adam(3e-3)

    @jax.jit
    def fit(params, state):
        updates, state = tx.update(jax.grad(loss)(params, smooth), state)
        return optax.apply_updates(params, updates), state

    learnt, state = params, tx.init(params)
    for _ in range(60):
        learnt, state = fit(learnt, state)
    assert loss(learnt, smooth) < 0.3 * loss(params, smooth)


def test_the_encoder_reads_a_quarter_of_one_image(objective):
    whole = make_objective(
        tiny_config(
            loss__agreement="none",
            model__dma__kind="none",
            model__poi__enabled=False,
            loss__warp_weight=0.0,
        )
    )
    assert 0 < objective.flops_per_pair() < 0.5 * whole.flops_per_pair()


def test_the_config_is_of_the_papers_size():
    path = Path(__file__).parents[2] / "configs" / "baselines" / "mae.py"
    config = load_config(str(path), [])
    assert make_objective(config).kept == 196 and config.model.dim == 512
