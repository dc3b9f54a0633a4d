"""The transformer's parts, one by one, against forms in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import erf, softmax

from mubert_jax.models.attention import attend
from mubert_jax.models.vit import (
    MLP,
    Block,
    SelfAttention,
    block,
    gelu,
    layer_norm,
    patchify,
    sincos_positions,
    unpatchify,
)


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def drawn(module, *arguments, seed=0):
    """Parameters of a module, every one of them random."""
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), *arguments))
    random = np.random.default_rng(seed)
    draw = lambda x: 0.5 * random.normal(size=x.shape).astype(np.float32)  # noqa: E731
    return jax.tree.map(draw, shapes)


def test_a_patch_is_read_row_by_row_and_so_are_the_patches():
    images = numbers(2, 4, 6, 3)
    corners = [(i, j) for i in (0, 2) for j in (0, 2, 4)]
    expected = [[im[i : i + 2, j : j + 2].ravel() for i, j in corners] for im in images]
    np.testing.assert_array_equal(patchify(images, 2), expected)


@pytest.mark.parametrize("side, patch", [(6, 2), (6, 3), (4, 4)])
def test_patches_put_together_are_the_image(side, patch):
    images = numbers(2, side, side, 3)
    np.testing.assert_array_equal(unpatchify(patchify(images, patch), patch), images)


def test_positions_are_sines_and_cosines_of_the_column_then_of_the_row():
    expected = []
    for row in range(3):
        for column in range(3):
            parts = []
            for place in (column, row):
                angles = [place * 10000 ** (-i / 3) for i in range(3)]
                parts += [*np.sin(angles), *np.cos(angles)]
            expected.append(parts)
    found = sincos_positions(3, 12)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_gelu_is_by_erf_in_float32():
    x = np.linspace(-4, 4, 17, dtype=np.float32)
    np.testing.assert_allclose(gelu(x), x * (1 + erf(x / np.sqrt(2))) / 2, atol=1e-6)
    half = jnp.asarray(x, jnp.bfloat16)
    assert gelu(half).dtype == jnp.bfloat16
    np.testing.assert_allclose(gelu(half).astype(float), gelu(x), rtol=1e-2, atol=1e-2)


def normed(x, parameters):
    deviation = np.sqrt(x.var(-1, keepdims=True) + 1e-6)
    return (x - x.mean(-1, keepdims=True)) / deviation * parameters["scale"] + parameters["bias"]


def test_a_layer_norm_divides_by_the_deviation_with_epsilon_in_the_root():
    x = 1e-3 * numbers(3, 8)
    module = layer_norm(jnp.float32, "norm")
    params = drawn(module, x)
    np.testing.assert_allclose(module.apply(params, x), normed(x, params["params"]), rtol=1e-3)


def attention_by_hand(x, parameters, heads):
    """Output and attention of SelfAttention, a head and a sequence at a time."""
    size = x.shape[-1] // heads
    qkv = x @ parameters["qkv"]["kernel"] + parameters["qkv"]["bias"]
    q, k, v = np.split(qkv, 3, axis=-1)
    out, weights = np.zeros_like(x), np.zeros((len(x), heads, x.shape[1], x.shape[1]))
    for b in range(len(x)):
        for h in range(heads):
            part = np.s_[b, :, h * size : (h + 1) * size]
            weights[b, h] = softmax(q[part] @ k[part].T / np.sqrt(size), axis=-1)
            out[part] = weights[b, h] @ v[part]
    return out @ parameters["proj"]["kernel"] + parameters["proj"]["bias"], weights


def test_self_attention_by_hand():
    x = numbers(2, 5, 12)
    module = SelfAttention(3, "explicit", jnp.float32)
    params = drawn(module, x)
    expected, weights = attention_by_hand(x, params["params"], 3)
    out, row = module.apply(params, x, True)
    np.testing.assert_allclose(out, expected, atol=1e-4)
    np.testing.assert_allclose(row, weights[:, :, 0], atol=1e-5)
    assert module.apply(params, x)[1] is None


def mlp_by_hand(x, parameters):
    hidden = x @ parameters["fc1"]["kernel"] + parameters["fc1"]["bias"]
    hidden = hidden * (1 + erf(hidden / np.sqrt(2))) / 2
    return hidden @ parameters["fc2"]["kernel"] + parameters["fc2"]["bias"]


def test_an_mlp_by_hand():
    x = numbers(2, 5, 8)
    module = MLP(12, jnp.float32)
    params = drawn(module, x)
    np.testing.assert_allclose(module.apply(params, x), mlp_by_hand(x, params["params"]), atol=1e-4)


@pytest.mark.parametrize("remat", [False, True])
def test_a_block_normalises_first_and_adds_to_what_it_was_given(remat):
    x = numbers(2, 5, 12)
    module = block(remat)(3, 1.5, "explicit", jnp.float32)
    params = drawn(Block(3, 1.5, "explicit", jnp.float32), x)
    parameters = params["params"]
    assert parameters["mlp"]["fc1"]["kernel"].shape == (12, 18)
    attended, weights = attention_by_hand(normed(x, parameters["norm1"]), parameters["attn"], 3)
    expected = x + attended
    expected = expected + mlp_by_hand(normed(expected, parameters["norm2"]), parameters["mlp"])
    out, row = module.apply(params, x, True)
    np.testing.assert_allclose(out, expected, atol=2e-4)
    np.testing.assert_allclose(row, weights[:, :, 0], atol=1e-5)
    assert remat or module.apply(params, x)[1] is None


def test_blocks_are_computed_again_only_if_asked():
    assert block(False) is Block and block(True) is not Block


@pytest.mark.parametrize("implementation", ["explicit", "mapped", "xla"])
def test_attention_by_hand(implementation):
    q, k, v = numbers(3, 2, 5, 3, 4)
    logits = np.einsum("bqhd,bkhd->bhqk", q, k) / 2
    expected = np.einsum("bhqk,bkhd->bqhd", softmax(logits, axis=-1), v)
    np.testing.assert_allclose(attend(q, k, v, implementation), expected, atol=1e-5)


@pytest.mark.parametrize("implementation", ["explicit", "mapped"])
def test_attention_in_bfloat16_has_a_softmax_in_float32(implementation):
    q, k, v = (jnp.asarray(x, jnp.bfloat16) for x in 4 * numbers(3, 1, 6, 1, 8))
    out = attend(q, k, v, implementation)
    assert out.dtype == jnp.bfloat16
    q, k, v = (np.asarray(x, np.float32) for x in (q, k, v))
    weights = softmax(np.einsum("bqhd,bkhd->bhqk", q, k) / np.sqrt(8), axis=-1)
    expected = np.einsum("bhqk,bkhd->bqhd", weights, v)
    np.testing.assert_allclose(np.asarray(out, np.float32), expected, rtol=0.02, atol=0.05)
