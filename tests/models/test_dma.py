import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from mubert_jax.config import DMAConfig
from mubert_jax.models.dma import (
    DiagonalMicroAttention,
    calibrated_difference,
    diagonal_attention,
    motion_log_odds,
)


def tokens(seed, n=23, dim=16):
    return jax.random.normal(jax.random.key(seed), (2, n, dim))


@pytest.mark.parametrize("chunk", [1, 7, 23, 100])
def test_diagonal_equals_the_full_softmaxs(chunk):
    q, k = tokens(0), tokens(1)
    full = jax.nn.softmax(jnp.einsum("bqd,bkd->bqk", q, k) * 16**-0.5)
    expected = jnp.diagonal(full, axis1=1, axis2=2)
    np.testing.assert_allclose(diagonal_attention(q, k, chunk), expected, rtol=1e-5)


def test_diagonal_sums_over_the_reference_not_the_swapped():
    q, k = tokens(0), tokens(1)
    logits = jnp.einsum("bqd,bkd->bqk", q, k) * 16**-0.5
    other_axis = jnp.diagonal(jax.nn.softmax(logits, axis=1), axis1=1, axis2=2)
    assert np.abs(diagonal_attention(q, k, 7) - other_axis).max() > 1e-2


def test_gradients_agree_with_finite_differences():
    q, k = tokens(0, n=6, dim=4), tokens(1, n=6, dim=4)
    check_grads(
        lambda q, k: diagonal_attention(q, k, 4),
        (q, k),
        order=1,
        modes=["rev"],
        atol=1e-2,
        rtol=1e-2,
    )


def test_gradients_equal_the_full_softmaxs():
    def chunked(q, k):
        return jnp.sum(diagonal_attention(q, k, 7) ** 2)

    def full(q, k):
        weights = jax.nn.softmax(jnp.einsum("bqd,bkd->bqk", q, k) * 16**-0.5)
        return jnp.sum(jnp.diagonal(weights, axis1=1, axis2=2) ** 2)

    ours, expected = (jax.grad(f, argnums=(0, 1))(tokens(0), tokens(1)) for f in (chunked, full))
    for a, b in zip(ours, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_no_square_array_is_kept_for_the_backward_pass():
    n = 64
    q, k = tokens(0, n), tokens(1, n)
    residuals = jax.tree.leaves(jax.vjp(lambda q, k: diagonal_attention(q, k, 8), q, k)[1])
    assert residuals and max(x.size for x in residuals) < 2 * n * n


@pytest.mark.parametrize("projection", ["shared", "separate"])
def test_null_test_equal_frames_give_an_empty_map(projection):
    config = DMAConfig(projection=projection, reads="tokens", initial="xavier")
    module = DiagonalMicroAttention(config, 16, 8, jnp.float32)
    params = module.init(jax.random.key(0), tokens(0), tokens(1), tokens(0))

    def difference(a, b):
        q = [module.apply(params, x, method="queries") for x in (a, b)]
        k = [module.apply(params, x, method="keys") for x in (a, b)]
        return np.asarray(calibrated_difference(q[0], k[0], q[1], k[1]))

    np.testing.assert_array_equal(difference(tokens(0), tokens(0)), 0)
    assert np.abs(difference(tokens(0), tokens(1))).max() > 0.1
    if projection == "shared":
        assert (difference(tokens(0), tokens(1)) >= 0).all()


def test_calibrated_difference_is_the_sum_of_four_logits():
    qc, kc, qr, kr = (tokens(seed) for seed in range(4))

    def dot(a, b):
        return jnp.sum(a * b, axis=-1)

    expected = (dot(qc, kc) + dot(qr, kr) - dot(qc, kr) - dot(qr, kc)) / 4
    np.testing.assert_allclose(calibrated_difference(qc, kc, qr, kr), expected, atol=1e-4)


def test_similarity_start_prefers_the_own_patch_and_xavier_does_not():
    n, dim = 196, 64
    normed = jax.random.normal(jax.random.key(0), (1, n, dim))
    diagonals = {}
    for initial in ("similarity", "xavier"):
        module = DiagonalMicroAttention(
            DMAConfig(reads="tokens", projection="separate", initial=initial), dim, 8, jnp.float32
        )
        params = module.init(jax.random.key(1), normed, normed, normed)
        diagonals[initial] = float(jnp.mean(module.apply(params, normed, normed, normed).diagonal))
    assert diagonals["similarity"] > 0.5
    assert diagonals["xavier"] < 0.1


def test_weights_are_the_diagonal_times_the_interest():
    config = DMAConfig(reads="tokens", output_projection=False)
    module = DiagonalMicroAttention(config, 16, 8, jnp.float32)
    params = module.init(jax.random.key(0), tokens(0), tokens(1), tokens(0))
    interest = jax.random.uniform(jax.random.key(5), (2, 23))
    plain = module.apply(params, tokens(0), tokens(1), tokens(0))
    weighed = module.apply(params, tokens(0), tokens(1), tokens(0), interest)
    np.testing.assert_allclose(weighed.features, plain.features * interest[..., None], rtol=1e-5)
    np.testing.assert_array_equal(weighed.diagonal, plain.diagonal)


def test_pixels_are_read_by_a_linear_window_around_each_patch():
    config = DMAConfig(reads="pixels", window=12, initial="xavier")
    module = DiagonalMicroAttention(config, 16, 8, jnp.float32)
    image = jax.random.normal(jax.random.key(0), (1, 32, 32, 3))
    params = module.init(jax.random.key(1), image, image, tokens(0, n=16)[:1])
    q = module.apply(params, image, method="queries")
    assert q.shape == (1, 16, 16)
    kernel, bias = params["params"]["to_q"]["kernel"], params["params"]["to_q"]["bias"]
    window = image[0, 8 - 2 : 16 + 2, 16 - 2 : 24 + 2]
    np.testing.assert_allclose(q[0, 6], jnp.einsum("hwc,hwcd->d", window, kernel) + bias, atol=1e-4)


def test_a_similarity_start_of_pixels_has_one_kernel_for_both():
    same, drawn = (
        DiagonalMicroAttention(DMAConfig(projection="separate", initial=start), 16, 8, jnp.float32)
        for start in ("similarity", "xavier")
    )
    image = jnp.ones((1, 16, 16, 3))
    for module, equal in ((same, True), (drawn, False)):
        params = module.init(jax.random.key(1), image, image, tokens(0, n=4)[:1])["params"]
        assert bool((params["to_q"]["kernel"] == params["to_k"]["kernel"]).all()) is equal


def test_log_odds_by_hand():
    strength = np.array([[0.5, 1.0, 2.0, 7.0, -1.0], [0.0, 0.0, 0.0, 1.0, 3.0]])
    for noise, given in (([[1.0], [0.0]], None), ([[2.0], [0.5]], np.array([[2.0], [0.5]]))):
        expected = 1.6 * np.log(np.maximum(strength, 0) / (1 + 3 * np.array(noise)) + 1e-4)
        np.testing.assert_allclose(motion_log_odds(strength, given), expected, atol=1e-4)


def test_the_diagonal_of_tokens_in_bfloat16_is_summed_in_float32():
    q, k = (tokens(seed, n=5, dim=64).astype(jnp.bfloat16) for seed in (0, 1))
    logits = np.einsum("bqd,bkd->bqk", *(np.asarray(x, np.float32) for x in (q, k))) / 8
    expected = np.exp(logits - np.log(np.exp(logits).sum(-1, keepdims=True)))
    found = diagonal_attention(q, k, 2)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, np.diagonal(expected, axis1=1, axis2=2), rtol=1e-4)


@pytest.mark.parametrize("kind", ["diagonal", "cross"])
@pytest.mark.parametrize("projected", [True, False])
def test_features_of_tokens_by_hand(kind, projected):
    config = DMAConfig(
        kind=kind, projection="separate", reads="tokens", output_projection=projected
    )
    module = DiagonalMicroAttention(config, 16, 8, jnp.float32)
    swapped, reference, values = (tokens(seed, n=5) for seed in range(3))
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), swapped, reference, values))
    random = np.random.default_rng(0)
    params = jax.tree.map(lambda x: 0.3 * random.normal(size=x.shape).astype(np.float32), shapes)
    assert ("proj" in params["params"]) == projected

    def linear(name, x):
        return np.asarray(x) @ params["params"][name]["kernel"] + params["params"][name]["bias"]

    logits = np.einsum("bqd,bkd->bqk", linear("to_q", swapped), linear("to_k", reference)) / 4
    weights = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    if kind == "diagonal":
        weights = weights * np.eye(5)
    expected = weights @ linear("to_v", values)
    expected = linear("proj", expected) if projected else expected
    found = module.apply(params, swapped, reference, values)
    np.testing.assert_allclose(found.features, expected, atol=1e-4)
    assert (found.diagonal is None) == (kind == "cross")


def test_a_similarity_start_gives_a_token_its_logit_with_itself():
    config = DMAConfig(reads="tokens", projection="separate", similarity_logit=5.0)
    module = DiagonalMicroAttention(config, 16, 8, jnp.float32)
    x = tokens(0)
    x = x * 4 / jnp.linalg.norm(x, axis=-1, keepdims=True)
    params = module.init(jax.random.key(0), x, x, x)
    q, k = (module.apply(params, x, method=name) for name in ("queries", "keys"))
    np.testing.assert_allclose(jnp.sum(q * k, -1) / 4, 5.0, rtol=1e-5)
    np.testing.assert_allclose(q / x, (q / x)[0, 0, 0], rtol=1e-4)


@pytest.mark.parametrize("projection", ["separate", "shared"])
def test_a_similarity_start_of_pixels_follows_the_seed(projection):
    module = DiagonalMicroAttention(DMAConfig(projection=projection), 16, 8, jnp.float32)
    image = jnp.ones((1, 16, 16, 3))
    init = jax.jit(lambda key: module.init(key, image, image, tokens(0, n=4)[:1])["params"])
    first, again, other = (init(jax.random.key(seed)) for seed in (0, 0, 1))
    kernel = first["to_q"]["kernel"]
    np.testing.assert_array_equal(kernel, again["to_q"]["kernel"])
    assert np.abs(np.corrcoef(kernel.ravel(), other["to_q"]["kernel"].ravel())[0, 1]) < 0.1
    assert float(jnp.std(kernel)) == pytest.approx(np.prod(kernel.shape[:3]) ** -0.5, rel=0.05)
    assert module.apply({"params": first}, image, method="keys").shape == (1, 4, 16)
    if projection == "separate":
        for params in (first, other):
            np.testing.assert_array_equal(params["to_q"]["kernel"], params["to_k"]["kernel"])
