"""Linear heads against the loss that they are documented to minimise, found another way."""

import dataclasses
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax

from mubert_jax.config import RecognitionConfig
from mubert_jax.recognition.linear_probe import Heads, clip_weights, fit

CONFIG = RecognitionConfig(epochs=600, learning_rate=0.2, balance="loss")
QUICK = RecognitionConfig(epochs=300)


def test_logits_of_every_head():
    random = np.random.default_rng(0)
    kernel, bias = random.normal(size=(2, 4, 3)), random.normal(size=(2, 3))
    features = random.normal(size=(5, 4))
    found = Heads(jnp.asarray(kernel), jnp.asarray(bias)).logits(jnp.asarray(features))
    for head in range(2):
        np.testing.assert_allclose(found[head], features @ kernel[head] + bias[head], rtol=1e-4)


def test_weights_of_clips_by_hand():
    """Classes 0, 0, 1, 1, 1, 2; the first and a 1 are not learnt from, nor is there any 2 left."""
    label, train = jnp.array([0, 0, 1, 1, 1, 2]), jnp.array([0, 1, 1, 1, 0, 0], bool)
    even = clip_weights(label, train, 3, "none")
    np.testing.assert_allclose(even, np.array([0, 1, 1, 1, 0, 0]) / 3, rtol=1e-6)
    balanced = clip_weights(label, train, 3, "loss")
    np.testing.assert_allclose(balanced, [0, 1 / 2, 1 / 4, 1 / 4, 0, 0], rtol=1e-6)


@pytest.fixture(scope="module")
def clips():
    """Two copies of 24 clips, features of unlike means and spreads; two heads."""
    random = np.random.default_rng(1)
    label = np.arange(24) % 3
    features = random.normal(size=(2, 24, 4))
    features[..., 0] += label
    features = features * [0.3, 1.0, 20.0, 3.0] + [2.0, -1.0, 50.0, 0.0]
    features[:, ::2, 1] *= 0.2
    train = np.stack([np.arange(24) % 4 > 0, np.arange(24) % 2 == 0])
    return SimpleNamespace(features=features, label=label, train=train, decay=np.array([0.02, 0.1]))


@pytest.fixture(scope="module")
def fitted(clips):
    return fit(clips.features, clips.label, clips.train, clips.decay, 3, CONFIG)


def least(clips, head):
    """Features standardised by the training clips; cross-entropy + decay · ‖√F·kernel‖²."""
    train = clips.train[head]
    learnt = clips.features[:, train].reshape(-1, 4)
    ready = (clips.features - learnt.mean(0)) / learnt.std(0)
    x, y = ready[:, train].reshape(-1, 4), np.tile(clips.label[train], 2)
    weight = 1 / np.bincount(y)[y] / 3

    def parts(flat):
        kernel, bias = flat[:12].reshape(4, 3), flat[12:]
        cross = -(weight * log_softmax(x @ kernel + bias, axis=1)[np.arange(len(y)), y]).sum()
        return cross, clips.decay[head] * 4 * (kernel**2).sum()

    found = minimize(lambda flat: sum(parts(flat)), np.zeros(15), method="BFGS").x
    return ready @ found[:12].reshape(4, 3) + found[12:], parts(found)[0]


@pytest.mark.parametrize("head", [0, 1])
def test_a_head_is_where_its_loss_is_least(clips, fitted, head):
    heads, losses = fitted
    logits, cross = least(clips, head)
    for copy in range(2):
        found = np.asarray(heads.logits(jnp.asarray(clips.features[copy], jnp.float32)))[head]
        # Adding a number to all classes changes no probability.
        found, expected = (x - x.mean(1, keepdims=True) for x in (found, logits[copy]))
        np.testing.assert_allclose(found, expected, atol=0.02)
    assert losses.shape == (2, CONFIG.epochs)
    np.testing.assert_allclose(losses[head, [0, -1]], [np.log(3), cross], atol=2e-3)


def test_a_feature_that_never_changes_has_no_say(clips):
    features = np.concatenate([clips.features, np.full((2, 24, 1), 7.0)], axis=-1)
    quick = dataclasses.replace(CONFIG, epochs=3)
    heads, losses = fit(features, clips.label, clips.train, clips.decay, 3, quick)
    assert all(np.isfinite(x).all() for x in (*jax.tree.leaves(heads), losses))
    np.testing.assert_allclose(heads.kernel[:, -1], 0, atol=1e-3)


@pytest.fixture(scope="module")
def unequal():
    """Features (1, 60, 8) with a signal in the first, labels of unequal classes, three folds."""
    random = np.random.default_rng(0)
    label = random.choice(3, 60, p=[0.6, 0.3, 0.1])
    features = random.normal(size=(1, 60, 8))
    features[0, :, 0] += 8.0 * label
    train = np.stack([np.arange(60) % 3 != fold for fold in range(3)])
    return SimpleNamespace(features=features, label=label, train=train)


def heads_of(unequal, features=None, **options):
    features = unequal.features if features is None else features
    config = dataclasses.replace(QUICK, **options)
    return fit(features, unequal.label, unequal.train, np.full(3, 1e-3), 3, config)


def test_heads_find_a_signal_in_clips_that_they_did_not_learn_from(unequal):
    found, losses = heads_of(unequal)
    logits = np.asarray(found.logits(unequal.features[0]))
    hits = [(logits[k].argmax(-1) == unequal.label)[~unequal.train[k]].mean() for k in range(3)]
    assert min(hits) > 0.6
    assert (losses[:, -1] < 0.7 * losses[:, 0]).all()


def test_stacked_heads_are_those_of_one_by_one(unequal):
    together, alone = (
        fit(
            unequal.features,
            unequal.label,
            unequal.train,
            np.full(3, 1e-3),
            3,
            QUICK,
            stacked=stacked,
        )
        for stacked in (True, False)
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), together[0], alone[0])


def test_what_features_are_measured_in_makes_no_difference(unequal):
    other = 1000 * unequal.features - 7
    logits = [np.asarray(heads_of(unequal, x)[0].logits(x[0])) for x in (unequal.features, other)]
    np.testing.assert_allclose(logits[0], logits[1], atol=2e-2)


def test_a_head_knows_nothing_of_the_clips_it_is_tested_on(unequal):
    changed = unequal.features.copy()
    changed[0, ~unequal.train[0]] += 100.0
    ours, theirs = (heads_of(unequal, x)[0].kernel[0] for x in (unequal.features, changed))
    np.testing.assert_allclose(ours, theirs, atol=1e-2)


def test_balance_lets_every_class_count_alike(unequal):
    train = unequal.train[0]
    for balance, even in (("loss", True), ("sampling", True), ("none", False)):
        weights = np.asarray(clip_weights(unequal.label, jnp.asarray(train), 3, balance))
        assert not weights[~train].any() and abs(weights.sum() - 1) < 1e-5
        shares = np.bincount(unequal.label, weights, minlength=3)
        assert np.allclose(shares, 1 / 3) == even
