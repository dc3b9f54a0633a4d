"""BEiT's bias of the attention by how two patches lie to each other, and LayerScale."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import tiny_config

from mubert_jax.errors import UserError
from mubert_jax.models import vit
from mubert_jax.models.attention import BIASED, attend
from mubert_jax.models.vit import patchify, unpatchify
from mubert_jax.objectives import make_objective

FLOAT = jnp.dtype("float32")


def drawn(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


def drawn_for(module, x):
    shapes = jax.eval_shape(module.init, jax.random.key(0), x)["params"]
    return {**jax.tree.map(lambda leaf: 0.2 * drawn(*leaf.shape), shapes)}


def test_an_entry_stands_for_a_displacement_whatever_the_place():
    index = vit.relative_positions(3)
    assert len(np.unique(index)) == 5 * 5 + 3 == index.max() + 1
    rows, columns = np.divmod(np.arange(9), 3)
    by_entry = {}
    for i in range(9):
        for j in range(9):
            by = (rows[i] - rows[j], columns[i] - columns[j])
            assert by_entry.setdefault(int(index[1 + i, 1 + j]), by) == by
    assert len(by_entry) == 25
    assert len(set(index[0, 1:])) == len(set(index[1:, 0])) == 1
    assert len({index[0, 0], index[0, 1], index[1, 0]} - by_entry.keys()) == 3


@pytest.mark.parametrize("implementation", BIASED)
def test_attention_with_a_bias(implementation):
    q, k, v = (drawn(2, 5, 3, 4, seed=i) for i in range(3))
    bias = drawn(3, 5, 5, seed=3)
    logits = np.einsum("bqhd,bkhd->bhqk", q, k) / 2 + bias
    weights = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    expected = np.einsum("bhqk,bkhd->bqhd", weights, v)
    np.testing.assert_allclose(attend(q, k, v, implementation, None, bias), expected, atol=1e-5)


def test_the_contextual_tokens_row_has_the_bias_too():
    attention = vit.SelfAttention(2, "explicit", FLOAT)
    x, bias = drawn(1, 5, 8), drawn(2, 5, 5, seed=1)
    params = drawn_for(attention, x)
    row_of = jax.jit(lambda bias: attention.apply({"params": params}, x, True, bias)[1])
    expected = np.asarray(row_of(0 * bias)) * np.exp(bias[:, 0])
    np.testing.assert_allclose(row_of(bias), expected / expected.sum(-1, keepdims=True), atol=1e-5)


def test_layer_scale_is_on_both_branches_and_absent_by_default():
    x = drawn(1, 5, 8)
    plain, scaled = (vit.Block(2, 4.0, "explicit", FLOAT, scale) for scale in (0.0, 0.1))
    params = drawn_for(plain, x)
    assert drawn_for(scaled, x).keys() - params.keys() == {"scale1", "scale2"}

    @jax.jit
    def given(first, second):
        scales = {"scale1": jnp.full(8, first), "scale2": jnp.full(8, second)}
        return scaled.apply({"params": params | scales}, x)[0]

    without, _ = jax.jit(plain.apply)({"params": params}, x)
    np.testing.assert_allclose(given(1.0, 1.0), without, atol=1e-6)
    np.testing.assert_array_equal(given(0.0, 0.0), x)
    assert (np.abs(given(0.0, 1.0) - given(0.0, 0.0)) > 1e-3).any()


def beit(**model):
    options = {"min_block": 2, "position": "relative", "layer_scale": 0.1}
    return tiny_config(objective__name="beit", objective__options=options, **model)


def test_beit_tells_places_apart_by_the_bias_alone():
    objective = make_objective(beit(model__depth=1))
    images = drawn(1, 32, 32, 3)
    encoder = drawn_for(objective.encoder, images)
    assert encoder["relative_bias"]["table"].shape == (7 * 7 + 3, 2)
    encoder["relative_bias"] = {"table": jnp.zeros((52, 2))}
    turned = unpatchify(patchify(images, 8)[:, ::-1], 8)
    encode = jax.jit(lambda encoder, x: objective.encode({"encoder": encoder}, {}, x))
    # Without a bias, a patch's token is the same wherever the patch is.
    straight = encode(encoder, images)
    np.testing.assert_allclose(encode(encoder, turned)[:, ::-1], straight, atol=1e-4)
    biased = encoder | {"relative_bias": {"table": 3 * drawn(52, 2)}}
    apart = np.abs(encode(biased, turned)[:, ::-1] - encode(biased, images))
    assert apart.max() > 1e-2


@pytest.mark.parametrize("attention", ["mapped", "cudnn", "splash"])
def test_attention_that_takes_no_bias_is_refused(attention):
    with pytest.raises(UserError, match=f"{attention}' takes none: --config.model.attention=expl"):
        make_objective(beit(model__attention=attention))


def test_such_an_encoder_is_not_exported():
    objective = make_objective(beit())
    with pytest.raises(UserError, match="no plain Vision Transformer, and cannot be exported"):
        objective.to_take_away({}, {})
