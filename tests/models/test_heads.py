"""What reads the encoder's features: POI, the recognizer, DINO's projector; against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import erf

from mubert_jax.config import DinoConfig, POIConfig, RecognizerConfig
from mubert_jax.models.poi import interest, poi_scores
from mubert_jax.models.projector import Projector, unit
from mubert_jax.models.recognizer import Recognizer


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_scores_are_the_mean_over_heads_without_the_token_itself():
    row = np.random.default_rng(0).dirichlet(np.ones(5), (2, 3)).astype(np.float32)
    patches = (row[:, 0] + row[:, 1] + row[:, 2])[:, 1:]
    np.testing.assert_allclose(poi_scores(row), patches / patches.sum(1)[:, None], rtol=1e-5)


def test_interest_is_the_scores_with_mean_one_or_as_they_are():
    scores = np.random.default_rng(0).dirichlet(np.ones(5), 2)
    np.testing.assert_allclose(interest(scores, POIConfig()), scores * 5)
    np.testing.assert_array_equal(interest(scores, POIConfig(scale="literal")), scores)


def layer_normed(x):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)


@pytest.mark.parametrize("pool", ["mean", "poi"])
def test_a_recognizer_pools_dmas_features(pool):
    features, scores = numbers(2, 5, 6), np.random.default_rng(0).dirichlet(np.ones(5), 2)
    module = Recognizer(RecognizerConfig(classes=3, pool=pool))
    params = module.init(jax.random.key(0), features, scores)
    weights = scores if pool == "poi" else np.full((2, 5), 1 / 5)
    pooled = layer_normed(np.einsum("bn,bnd->bd", weights, features))
    described = module.apply(params, features, scores, method="forward_features")
    np.testing.assert_allclose(described, pooled, atol=1e-4)
    head = params["params"]["head"]
    np.testing.assert_allclose(
        module.apply(params, features, scores), pooled @ head["kernel"] + head["bias"], atol=1e-4
    )
    assert head["kernel"].shape == (6, 3)


def test_a_flattened_recognizer_reads_every_patch_in_its_place():
    features, scores = numbers(2, 5, 6), np.full((2, 5), 1 / 5)
    module = Recognizer(RecognizerConfig(classes=3, pool="flatten"))
    params = module.init(jax.random.key(0), features, scores)
    described = module.apply(params, features, scores, method="forward_features")
    np.testing.assert_array_equal(described, features.reshape(2, 30))


def test_a_recognizer_reads_the_logarithm_of_the_map_or_every_way():
    reads = {
        "movement": (np.array([[0.0, 1.0, -2.0, 0.97]]), np.log([[0.03, 1.03, 0.03, 1.0]])),
        "displacement": (np.arange(8.0).reshape(1, 4, 2), np.arange(8.0)[None]),
    }
    for name, (read, expected) in reads.items():
        read = jnp.asarray(read)
        module = Recognizer(RecognizerConfig(classes=3, reads=name))
        params = module.init(jax.random.key(0), read, None)
        assert set(params["params"]) == {"head"}
        described = module.apply(params, read, None, method="forward_features")
        np.testing.assert_allclose(described, expected, atol=1e-5)


def test_unit_has_length_one_along_an_axis_and_nothing_stays_nothing():
    x = numbers(3, 4)
    np.testing.assert_allclose(unit(x), x / np.linalg.norm(x, axis=1, keepdims=True), rtol=1e-5)
    np.testing.assert_allclose(
        unit(x, axis=0), x / np.linalg.norm(x, axis=0, keepdims=True), rtol=1e-5
    )
    nothing = jnp.zeros(4)
    np.testing.assert_array_equal(unit(nothing), 0)
    gradient = jax.grad(lambda x: jnp.sum(unit(x) * jnp.arange(4.0)))(nothing)
    assert np.isfinite(gradient).all()
    for small, expected in ((1e-6, [0.6, 0.8]), (1e-13, [0.3, 0.4])):
        found = unit(small * jnp.array([3.0, 4.0]))
        np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_the_projector_is_an_mlp_and_cosines_with_prototypes():
    x = numbers(2, 3, 6)
    module = Projector(DinoConfig(hidden_dim=5, bottleneck_dim=4, output_dim=7))
    params = module.init(jax.random.key(0), x)["params"]
    hidden = x
    for i in range(3):
        if i:
            hidden = hidden * (1 + erf(hidden / np.sqrt(2))) / 2
        hidden = hidden @ params[f"mlp_{i}"]["kernel"] + params[f"mlp_{i}"]["bias"]
    prototypes = np.asarray(params["prototypes"])
    lengths = np.linalg.norm(hidden, axis=-1)[..., None] * np.linalg.norm(prototypes, axis=0)
    expected = hidden @ prototypes / lengths
    np.testing.assert_allclose(module.apply({"params": params}, x), expected, atol=1e-4)
    assert [params[f"mlp_{i}"]["kernel"].shape[1] for i in range(3)] == [5, 5, 4]
    wide = Projector(DinoConfig(hidden_dim=2, bottleneck_dim=40, output_dim=50))
    start = wide.init(jax.random.key(0), x)["params"]["prototypes"]
    assert 0.018 < np.std(start) < 0.022
