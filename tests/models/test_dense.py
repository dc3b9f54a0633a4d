"""The linear layer, whatever the axes, on every kind of device."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mubert_jax.models.dense import Dense
from mubert_jax.models.vit import gelu


def numbers(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def drawn(module, x):
    """Parameters of a module, every one of them random."""
    random = np.random.default_rng(1)
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), x))
    return jax.tree.map(lambda x: random.normal(size=x.shape).astype(np.float32), shapes)


def test_dense_is_a_matrix_over_all_tokens_that_starts_xavier_uniform():
    x = numbers(2, 3, 40)
    module = Dense(60)
    np.testing.assert_allclose(
        module.apply(params := drawn(module, x), x),
        x @ params["params"]["kernel"] + params["params"]["bias"],
        atol=1e-4,
    )
    start = module.init(jax.random.key(0), x)["params"]
    widest = np.abs(start["kernel"]).max()
    assert 0.99 * np.sqrt(6 / 100) < widest <= np.sqrt(6 / 100) and not start["bias"].any()


def test_the_kernel_is_a_matrix_whatever_the_axes():
    x = numbers(2, 5, 3, 4)
    module = Dense((2, 6), axes=2)
    parameters = drawn(module, x)["params"]
    assert parameters["kernel"].shape == (12, 12)
    whole = x.reshape(2, 5, 12) @ parameters["kernel"] + parameters["bias"]
    found = module.apply({"params": parameters}, x)
    np.testing.assert_allclose(found, whole.reshape(2, 5, 2, 6), atol=1e-5)


def test_layers_that_are_stored_as_one_give_their_parts():
    x = numbers(2, 5, 4)
    module = Dense((2, 3))
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), x, 3, method="parts"))
    parameters = jax.tree.map(lambda x: numbers(*x.shape), shapes)["params"]
    whole = x @ parameters["kernel"] + parameters["bias"]
    parts = module.apply({"params": parameters}, x, 3, method="parts")
    for i, part in enumerate(parts):
        np.testing.assert_allclose(
            part, whole[..., 6 * i : 6 * i + 6].reshape(2, 5, 2, 3), atol=1e-5
        )


def test_the_input_of_an_activation_is_kept_and_what_it_gives_is_not():
    x = numbers(2, 5, 4)
    module = Dense(3, activation=gelu)
    variables = drawn(module, x)
    expected = Dense(3).apply(variables, gelu(x))
    np.testing.assert_allclose(module.apply(variables, x), expected, atol=1e-6)

    def kept(module, read):
        """The arrays of x's size that the backward pass needs."""
        _, backward = jax.vjp(lambda x: module.apply(variables, read(x)), jnp.asarray(x))
        return [np.asarray(a) for a in jax.tree.leaves(backward) if a.shape == x.shape]

    (only,) = kept(module, lambda x: x)
    np.testing.assert_array_equal(only, x)
    assert len(kept(Dense(3), gelu)) > 1


@pytest.mark.parametrize("platform, products", [("cpu", 1), ("tpu", 3), ("cuda", 3)])
def test_a_cpu_multiplies_one_matrix_and_others_what_is_there(platform, products):
    x, module = numbers(2, 5, 4), Dense((2, 3))
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), x, 3, method="parts"))
    look = jax.jit(lambda variables, x: module.apply(variables, x, 3, method="parts"))
    text = look.trace(shapes, x).lower(lowering_platforms=(platform,)).as_text()
    assert text.count("stablehlo.dot_general") == products
    assert ("tensor<10x4xf32>" in text) == (platform == "cpu")
