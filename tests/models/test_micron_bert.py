import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import tiny_config

from mubert_jax import config as config_lib
from mubert_jax.config import DMAConfig, ModelConfig
from mubert_jax.models import vit
from mubert_jax.models.attention import attend
from mubert_jax.models.dma import calibrated_difference
from mubert_jax.models.micron_bert import (
    Encoded,
    MicronBert,
    MicronDecoder,
    MicronEncoder,
    build_model,
    side_by_side,
)
from mubert_jax.models.poi import interest, poi_scores
from mubert_jax.models.vit import SelfAttention, patchify


@functools.cache
def build(**overrides):
    config = tiny_config(**overrides)
    model = build_model(config)
    frames = jax.random.normal(jax.random.key(1), (2, 3, 32, 32, 3))
    init = functools.partial(model.init, method=MicronBert.initialise)
    return config, model, jax.jit(init)(jax.random.key(0), frames[0]), frames


def applied(model, *arguments, method=None):
    """`model.apply`, compiled: quicker than one operation after the other."""
    return jax.jit(functools.partial(model.apply, method=method))(*arguments)


def test_shapes_and_names_of_the_intermediates():
    _, model, params, (current, reference) = build()
    patches, inside = applied(model, params, current, reference, [reference])
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
    _, inside = applied(model, params, current, reference)
    expected = inside.dma.diagonal * interest(inside.reference.poi_scores, config.model.poi)
    np.testing.assert_allclose(inside.patch_weights, expected, rtol=1e-6)
    np.testing.assert_allclose(interest(inside.poi_scores, config.model.poi).mean(), 1, rtol=1e-5)


def test_literal_scale_is_n_times_smaller():
    _, model, params, frames = build()
    _, literal, _, _ = build(model__poi__scale="literal")
    mean_one, small = (applied(m, params, *frames)[1].patch_weights for m in (model, literal))
    np.testing.assert_allclose(small * 16, mean_one, rtol=1e-5)


def test_residual_adds_the_swapped_frame():
    _, model, params, frames = build()
    _, residual, _, _ = build(model__decoder__predict="residual")
    image, with_copy = (applied(m, params, *frames)[0] for m in (model, residual))
    np.testing.assert_allclose(with_copy, image + patchify(frames[0], 8), atol=1e-6)


def test_without_dma_the_decoder_reads_the_tokens():
    _, model, params, frames = build(
        model__dma__kind="none", model__poi__enabled=False, loss__agreement="none"
    )
    _, inside = applied(model, params, *frames)
    assert inside.dma is None and "dma" not in params["params"]
    np.testing.assert_array_equal(inside.dma_features, inside.swapped.tokens)


def test_one_encoder_call_gives_what_separate_calls_give():
    _, model, params, (current, reference) = build()
    _, inside = applied(model, params, current, reference, [current])
    alone = applied(model, params, reference, method="encode")
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
    patches, inside = applied(model, params, *frames)
    assert inside.swapped.tokens.dtype == jnp.bfloat16
    assert patches.dtype == inside.poi_scores.dtype == inside.dma.diagonal.dtype == jnp.float32
    _, exact, _, _ = build()
    np.testing.assert_allclose(patches, applied(exact, params, *frames)[0], atol=0.1)


def test_images_of_another_size_have_positions_of_their_own():
    _, model, params, _ = build()
    encoded = applied(model, params, jnp.zeros((1, 16, 16, 3)), method="encode")
    assert encoded.tokens.shape == (1, 4, 32)


SMALL = ModelConfig(
    image_size=6,
    patch_size=2,
    dim=12,
    depth=2,
    heads=3,
    mlp_ratio=2.0,
    attention="explicit",
    dma=DMAConfig(reads="tokens"),
    decoder=config_lib.DecoderConfig(dim=8, depth=2, heads=2),
)


def drawn(module, x, **method):
    """Parameters of a module, every one of them random."""
    random = np.random.default_rng(0)
    draw = lambda x: 0.3 * random.normal(size=x.shape).astype(np.float32)  # noqa: E731
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), x, **method))
    return jax.tree.map(draw, shapes)["params"]


def blocks_and_norm(params, x, heads):
    for i in range(2):
        block = vit.Block(heads, 2.0, "explicit", jnp.float32)
        x, row = block.apply({"params": params[f"blocks_{i}"]}, x, True)
    return vit.layer_norm(jnp.float32, None).apply({"params": params["norm"]}, x), row


@pytest.mark.parametrize("reads", ["tokens", "pixels"])
def test_the_encoder_piece_by_piece(reads):
    images = np.random.default_rng(1).normal(size=(2, 6, 6, 3)).astype(np.float32)
    config = dataclasses.replace(SMALL, dma=DMAConfig(reads=reads))
    module = MicronEncoder(config, jnp.float32)
    params = drawn(module, images)
    embed = params["patch_embed"]
    x = patchify(images, 2) @ embed["kernel"] + embed["bias"] + vit.sincos_positions(3, 12)
    token = np.broadcast_to(params["contextual_token"], (2, 1, 12))
    x, row = blocks_and_norm(params, jnp.concatenate([token, x], axis=1), 3)
    found = module.apply({"params": params}, images)
    np.testing.assert_allclose(found.contextual_token, x[:, 0], atol=1e-4)
    np.testing.assert_allclose(found.tokens, x[:, 1:], atol=1e-4)
    np.testing.assert_allclose(found.poi_scores, poi_scores(row), atol=1e-5)
    np.testing.assert_array_equal(found.compared, found.tokens if reads == "tokens" else images)


def test_the_contextual_token_starts_small():
    _, _, params, _ = build()
    assert 0.005 < np.std(params["params"]["encoder"]["contextual_token"]) < 0.05


def test_the_decoder_piece_by_piece():
    features = np.random.default_rng(1).normal(size=(2, 9, 12)).astype(np.float32)
    module = MicronDecoder(SMALL, jnp.float32)
    params = drawn(module, features)
    x = features @ params["embed"]["kernel"] + params["embed"]["bias"]
    x, _ = blocks_and_norm(params, x + vit.sincos_positions(3, 8), 2)
    expected = x @ params["pred"]["kernel"] + params["pred"]["bias"]
    assert expected.shape == (2, 9, 12)
    np.testing.assert_allclose(module.apply({"params": params}, features), expected, atol=1e-4)


def test_views_side_by_side_come_apart_again():
    views = [np.full((2, 4, 4, 3), 10.0 * i) + np.arange(2)[:, None, None, None] for i in range(3)]
    images = side_by_side(*views)
    np.testing.assert_array_equal(images[3:6], [view[1] for view in views])
    together = Encoded(images.reshape(6, 4, -1), images[:, 0, 0], images[:, :, 0, 0], images)
    for part, view in zip(together.split(3), views, strict=True):
        np.testing.assert_array_equal(part.compared, view)
        np.testing.assert_array_equal(part.tokens, view.reshape(2, 4, -1))
        np.testing.assert_array_equal(part.contextual_token, view[:, 0, 0])


def test_without_poi_the_weights_are_the_diagonal_and_cross_attention_has_none():
    _, _, params, frames = build()
    plain, cross = (
        build_model(tiny_config(model__poi__enabled=False, model__dma__kind=kind))
        for kind in ("diagonal", "cross")
    )
    _, inside = applied(plain, params, *frames)
    np.testing.assert_array_equal(inside.patch_weights, inside.dma.diagonal)
    _, inside = applied(cross, params, *frames)
    assert inside.patch_weights is None and inside.dma.diagonal is None


def test_the_map_is_the_calibrated_difference_of_the_first_to_the_second():
    _, model, params, (current, reference) = build()

    def by_hand(model, *frames):
        seen = [model.encode(frame).compared for frame in frames]
        q, k = ([part(x) for x in seen] for part in (model.dma.queries, model.dma.keys))
        return calibrated_difference(q[0], k[0], q[1], k[1])

    expected = applied(model, params, current, reference, method=by_hand)
    found = applied(model, params, current, reference, method="motion_map")
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("reads", ["dma", "movement", "displacement"])
def test_a_recognizer_reads_what_it_is_told_of_onset_and_apex(reads):
    config = tiny_config(
        model__recognizer__classes=3,
        model__recognizer__reads=reads,
        model__recognizer__pool="poi",
        model__dma__reads="pixels",
        loss__agreement="none",
    )
    model = build_model(config)
    onset, apex = build()[-1][:, :2]
    params = {"params": drawn(model, onset, method=MicronBert.initialise)}
    assert "projector" not in params["params"] and "recognizer" in params["params"]

    def by_hand(model, onset, apex):
        onset, apex = model.encode(onset), model.encode(apex)
        read = {
            "dma": lambda: model.compare(onset, apex)[2],
            "movement": lambda: model.difference(onset, apex),
            "displacement": lambda: model.displacement(onset, apex),
        }[reads]()
        described = model.recognizer.forward_features(read, apex.poi_scores)
        return described, model.recognizer.head(described)

    described, logits = applied(model, params, onset, apex, method=by_hand)
    found = [
        applied(model, params, onset, apex, method=name) for name in ("forward_features", "logits")
    ]
    np.testing.assert_allclose(found[0], described, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(found[1], logits, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("agreement", ["none", "mse", "dino", "contrastive"])
def test_only_dino_needs_a_projector(agreement):
    model = build_model(tiny_config(loss__agreement=agreement))
    assert (model.projector_config is not None) == (agreement == "dino")
