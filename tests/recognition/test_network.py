"""Heads and fine-tuning: together as one by one, the same for both frames, a signal is found."""

import dataclasses
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import tiny_config

from mubert_jax.config import RecognitionConfig
from mubert_jax.models.micron_bert import build_model, init_params
from mubert_jax.recognition import learners, linear_probe
from mubert_jax.recognition.augment import augmented
from mubert_jax.recognition.inputs import describe
from mubert_jax.recognition.learners import choose_decay
from mubert_jax.recognition.network import finetune
from mubert_jax.training.views import normalise

QUICK = RecognitionConfig(epochs=300)


@pytest.fixture(scope="module")
def clips():
    """Features (1, 60, 8) with a signal in the first, labels of unequal classes, three folds."""
    random = np.random.default_rng(0)
    label = random.choice(3, 60, p=[0.6, 0.3, 0.1])
    features = random.normal(size=(1, 60, 8))
    features[0, :, 0] += 8.0 * label
    train = np.stack([np.arange(60) % 3 != fold for fold in range(3)])
    return SimpleNamespace(features=features, label=label, train=train)


def fit(clips, features=None, **options):
    features = clips.features if features is None else features
    config = dataclasses.replace(QUICK, **options)
    return linear_probe.fit(features, clips.label, clips.train, np.full(3, 1e-3), 3, config)


def test_heads_find_a_signal_in_clips_that_they_did_not_learn_from(clips):
    found, losses = fit(clips)
    logits = np.asarray(found.logits(clips.features[0]))
    hits = [(logits[k].argmax(-1) == clips.label)[~clips.train[k]].mean() for k in range(3)]
    assert min(hits) > 0.6
    assert (losses[:, -1] < 0.7 * losses[:, 0]).all()


def test_stacked_heads_are_those_of_one_by_one(clips):
    together, alone = (
        linear_probe.fit(
            clips.features, clips.label, clips.train, np.full(3, 1e-3), 3, QUICK, stacked=stacked
        )
        for stacked in (True, False)
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), together[0], alone[0])


def test_what_features_are_measured_in_makes_no_difference(clips):
    other = 1000 * clips.features - 7
    logits = [np.asarray(fit(clips, x)[0].logits(x[0])) for x in (clips.features, other)]
    np.testing.assert_allclose(logits[0], logits[1], atol=2e-2)


def test_a_head_knows_nothing_of_the_clips_it_is_tested_on(clips):
    changed = clips.features.copy()
    changed[0, ~clips.train[0]] += 100.0
    ours, theirs = (fit(clips, x)[0].kernel[0] for x in (clips.features, changed))
    np.testing.assert_allclose(ours, theirs, atol=1e-2)


def test_balance_lets_every_class_count_alike(clips):
    train = clips.train[0]
    for balance, even in (("loss", True), ("sampling", True), ("none", False)):
        weights = np.asarray(linear_probe.clip_weights(clips.label, jnp.asarray(train), 3, balance))
        assert not weights[~train].any() and abs(weights.sum() - 1) < 1e-5
        shares = np.bincount(clips.label, weights, minlength=3)
        assert np.allclose(shares, 1 / 3) == even


def test_the_decay_with_the_least_loss_on_the_validation_is_chosen():
    label = np.array([0, 0, 1, 1])

    def learn(folds, train, decays):
        """Right with certainty where the decay is that of the fold's own."""
        best = np.where(folds == 0, 0.1, 0.01)
        sure = np.where(np.isclose(decays, best), 5.0, -5.0)
        return sure[:, None, None] * np.eye(2)[label][None], None, None

    validation = np.ones((2, 4), bool)
    chosen = choose_decay(learn, np.arange(2), ~validation, validation, label, (0.01, 0.1))
    np.testing.assert_allclose(chosen, [0.1, 0.01])


def test_onset_and_apex_are_changed_alike():
    image = np.random.default_rng(0).integers(60, 200, (24, 24, 3)).astype(np.uint8)
    keys = jax.random.split(jax.random.key(0), 8)
    for key in keys:
        onset, apex = augmented(key, image, image, QUICK)
        np.testing.assert_array_equal(onset, apex)
    first, second = (np.asarray(augmented(key, image, image, QUICK)[0]) for key in keys[:2])
    assert np.abs(first - second).max() > 1


def test_unchanged_pairs_come_first_and_copies_differ():
    model, params = tiny("movement")
    onset, apex = pairs(5)
    config = dataclasses.replace(QUICK, copies=2)
    found = describe(model, params, onset, apex, config, seed=0)
    plain = describe(model, params, onset, apex, dataclasses.replace(QUICK, copies=0), seed=1)
    assert found.shape == (3, 5, model.config.num_patches)
    np.testing.assert_allclose(found[0], plain[0], rtol=1e-5)
    assert np.abs(found[1] - found[2]).max() > 1e-3


def tiny(reads):
    config = tiny_config(
        loss__agreement="none", model__recognizer__classes=2, model__recognizer__reads=reads
    )
    model = build_model(config)
    return model, jax.jit(lambda: init_params(model, jax.random.key(config.training.seed)))()


def pairs(count):
    """Half of the pairs move."""
    random = np.random.default_rng(0)
    onset = random.integers(0, 255, (count, 32, 32, 3)).astype(np.uint8)
    apex = onset.copy()
    apex[::2, 8:24, 8:24] = np.roll(onset[::2, 8:24, 8:24], 2, axis=1)
    return onset, apex


def test_fine_tuned_folds_learn_the_same_in_whatever_company_and_lower_blocks_slower():
    model, params = tiny("dma")
    onset, apex = pairs(12)
    label, train = np.arange(12) % 2, np.stack([np.arange(12) % 3 != fold for fold in range(3)])
    config = RecognitionConfig(
        epochs=2, batch_size=4, learning_rate=3e-3, balance="sampling", layer_decay=0.1
    )

    def run(folds):
        rows = (np.array(folds), train[folds], np.full(len(folds), 0.01))
        return finetune(model, params, onset, apex, label, *rows, config, seed=0)

    together, losses = run([0, 1, 2])
    alone, own_losses = run([1])
    np.testing.assert_allclose(losses[1], own_losses[0], rtol=1e-4)
    logits = [
        model.apply(
            {"params": jax.tree.map(lambda x, row=row: x[row], trained)},
            normalise(onset),
            normalise(apex),
            method="logits",
        )
        for trained, row in ((together, 1), (alone, 0))
    ]
    np.testing.assert_allclose(*logits, atol=2e-3)
    assert "decoder" not in together

    def moved(*path):
        old, new = params, alone
        for name in path:
            old, new = old[name], new[name]
        return float(np.abs(np.asarray(new[0]) - np.asarray(old)).max())

    head, upper, lower = (
        moved(*path, "kernel")
        for path in (
            ("recognizer", "head"),
            ("encoder", "blocks_1", "attn", "qkv"),
            ("encoder", "patch_embed"),
        )
    )
    assert head > 3 * upper > 9 * lower, "lower blocks learn slower"


def test_full_fine_tuning_starts_from_heads_that_fit():
    """With next to no learning rate it ends where it started."""
    model, params = tiny("movement")
    onset, apex = pairs(12)
    clips = SimpleNamespace(onset=onset, apex=apex, label=np.arange(12) % 2, classes=["a", "b"])
    folds, train = np.arange(2), np.stack([np.arange(12) % 3 != fold for fold in range(2)])
    config = RecognitionConfig(epochs=1, batch_size=4, learning_rate=1e-9, head_epochs=40)
    decays = np.full(2, learners.HEADS.weight_decay[0])
    heads_alone = dataclasses.replace(learners.HEADS, epochs=40)
    expected, _, _ = learners.frozen(model, params, clips, heads_alone, 0)(folds, train, decays)
    fitted, _, _ = learners.full(model, params, clips, config, 0)(folds, train, decays)
    np.testing.assert_allclose(fitted, expected, atol=1e-3)
    assert np.abs(expected).max() > 0.1, "a fresh head would give other logits"
