import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import tiny_config

from mubert_jax import config as config_lib
from mubert_jax.models.attention import attend
from mubert_jax.models.micron_bert import MicronBert, build_model
from mubert_jax.models.poi import interest, poi_scores
from mubert_jax.models.vit import SelfAttention, patchify


def build(**overrides):
    config = tiny_config(**overrides)
    model = build_model(config)
    frames = jax.random.normal(jax.random.key(1), (2, 3, 32, 32, 3))
    params = model.init(jax.random.key(0), frames[0], method=MicronBert.initialise)
    return config, model, params, frames


def test_shapes_and_names_of_the_intermediates():
    _, model, params, (current, reference) = build()
    patches, inside = model.apply(params, current, reference, [reference])
    assert patches.shape == (3, 16, 192)
    assert inside.swapped.tokens.shape == inside.dma_features.shape == (3, 16, 32)
    assert inside.reference.contextual_token.shape == (3, 32)
    assert inside.dma.diagonal.shape == inside.patch_weights.shape == (3, 16)
    assert len(inside.crops) == 1


def test_the_papers_model_has_27_million_parameters():
    model = MicronBert(config_lib.build(config_lib.paper_config()).model)
    images = jnp.zeros((1, 224, 224, 3))
    shapes = jax.eval_shape(
        lambda: model.init(jax.random.key(0), images, method=MicronBert.initialise)
    )
    count = sum(x.size for x in jax.tree.leaves(shapes))
    assert 26.5e6 < count < 27.5e6


def test_poi_scores_sum_to_one_and_are_the_full_attentions_row():
    module = SelfAttention(heads=4, attention="explicit", dtype=jnp.float32)
    x = jax.random.normal(jax.random.key(0), (2, 10, 16))
    params = module.init(jax.random.key(1), x)
    _, row = module.apply(params, x, contextual_row=True)
    kernel, bias = params["params"]["qkv"]["kernel"], params["params"]["qkv"]["bias"]
    q, k, _ = jnp.split(x @ kernel + bias, 3, axis=-1)
    q, k = (a.reshape(2, 10, 4, 4) for a in (q, k))
    full = jax.nn.softmax(jnp.einsum("bqhd,bkhd->bhqk", q, k) / 2)
    np.testing.assert_allclose(row, full[:, :, 0], rtol=1e-5)
    scores = poi_scores(row)
    patches = full[:, :, 0].mean(1)[:, 1:]
    np.testing.assert_allclose(scores, patches / patches.sum(-1, keepdims=True), rtol=1e-5)
    np.testing.assert_allclose(scores.sum(-1), 1, rtol=1e-6)


def test_patch_weights_are_the_diagonal_times_the_references_scores():
    config, model, params, (current, reference) = build()
    _, inside = model.apply(params, current, reference)
    expected = inside.dma.diagonal * interest(inside.reference.poi_scores, config.model.poi)
    np.testing.assert_allclose(inside.patch_weights, expected, rtol=1e-6)
    np.testing.assert_allclose(interest(inside.poi_scores, config.model.poi).mean(), 1, rtol=1e-5)


def test_literal_scale_is_n_times_smaller():
    _, model, params, frames = build()
    _, literal, _, _ = build(model__poi__scale="literal")
    mean_one, small = (m.apply(params, *frames)[1].patch_weights for m in (model, literal))
    np.testing.assert_allclose(small * 16, mean_one, rtol=1e-5)


def test_residual_adds_the_swapped_frame():
    _, model, params, frames = build()
    _, residual, _, _ = build(model__decoder__predict="residual")
    image, with_copy = (m.apply(params, *frames)[0] for m in (model, residual))
    np.testing.assert_allclose(with_copy, image + patchify(frames[0], 8), atol=1e-6)


def test_without_dma_the_decoder_reads_the_tokens():
    _, model, params, frames = build(
        model__dma__kind="none", model__poi__enabled=False, loss__agreement="none"
    )
    _, inside = model.apply(params, *frames)
    assert inside.dma is None and "dma" not in params["params"]
    np.testing.assert_array_equal(inside.dma_features, inside.swapped.tokens)


def test_one_encoder_call_gives_what_separate_calls_give():
    _, model, params, (current, reference) = build()
    _, inside = model.apply(params, current, reference, [current])
    alone = model.apply(params, reference, method="encode")
    np.testing.assert_allclose(inside.reference.tokens, alone.tokens, atol=1e-5)
    np.testing.assert_allclose(inside.crops[0].tokens, inside.swapped.tokens, atol=1e-5)


@pytest.mark.parametrize("implementation", ["mapped", "xla"])
def test_attentions_agree_with_the_explicit_one(implementation):
    q, k, v = jax.random.normal(jax.random.key(0), (3, 2, 9, 2, 8))

    def loss(name):
        return lambda *qkv: jnp.sum(jnp.sin(attend(*qkv, name)))

    expected, ours = (
        jax.value_and_grad(loss(name), argnums=(0, 1, 2))(q, k, v)
        for name in ("explicit", implementation)
    )
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_bfloat16_compute_keeps_float32_parameters_and_outputs():
    _, model, params, frames = build(model__dtype="bfloat16")
    assert {x.dtype for x in jax.tree.leaves(params)} == {jnp.dtype("float32")}
    patches, inside = model.apply(params, *frames)
    assert inside.swapped.tokens.dtype == jnp.bfloat16
    assert patches.dtype == inside.poi_scores.dtype == inside.dma.diagonal.dtype == jnp.float32
    _, exact, _, _ = build()
    np.testing.assert_allclose(patches, exact.apply(params, *frames)[0], atol=0.1)


def test_images_of_another_size_have_positions_of_their_own():
    _, model, params, _ = build()
    encoded = model.apply(params, jnp.zeros((1, 16, 16, 3)), method="encode")
    assert encoded.tokens.shape == (1, 4, 32)
