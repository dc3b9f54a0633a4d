"""Scores against scikit-learn, and on maps whose scores are known."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from mubert_jax.perception.scores import (
    PairScore,
    auc,
    moved_patches,
    paired_difference,
    resampled,
    score,
    summarise,
)
from mubert_jax.synthetic.clip import Truth


def to_the_right(displacement, visible, face):
    return Truth(displacement, visible, face, np.stack([displacement, 0 * displacement], axis=-1))


@given(st.integers(0, 2**32 - 1), st.integers(2, 60), st.booleans())
@settings(deadline=None, max_examples=50)
def test_auc_is_scikit_learns(seed, count, ties):
    random = np.random.default_rng(seed)
    values = random.integers(0, 4, count) if ties else random.random(count)
    positive = random.random(count) < 0.4
    if positive.all() or not positive.any():
        assert np.isnan(auc(values, positive, ~positive))
    else:
        expected = roc_auc_score(positive, values)
        assert auc(values, positive, ~positive) == pytest.approx(expected)


@pytest.fixture
def truth():
    displacement = np.zeros((6, 6))
    displacement[2, 2], displacement[2, 3], displacement[3, 3] = 2.0, 1.0, 0.2
    visible = displacement * 10
    visible[2, 3] = 0.1  # moves, but is smooth
    face = np.zeros((6, 6))
    face[1:5, 1:5] = 1
    return to_the_right(displacement, visible, face)


def test_what_moved_what_is_still_and_what_is_neither(truth):
    moved, still = moved_patches(truth)
    assert np.argwhere(moved).tolist() == [[2, 2]]
    assert not still[2, 3] and not still[3, 3] and still.sum() == 33


def test_where_moved_still_and_the_face_begin():
    """A quarter of the largest movement and one grey level, both met; a fiftieth; half a patch."""
    displacement = np.array([[2.0, 0.5, 0.5, 0.49], [0.04, 0.041, 0.0, 0.0]])
    visible = np.array([[9.0, 1.0, 0.99, 9.0], [9.0, 9.0, 0.0, 9.0]])
    face = np.array([[1.0, 0.0, 0.0, 0.0], [0.51, 0.0, 0.0, 0.5]])
    truth = to_the_right(displacement, visible, face)
    moved, still = moved_patches(truth)
    assert moved.tolist() == [[True, True, False, False], [False] * 4]
    assert still.tolist() == [[False] * 4, [True, False, True, True]]
    halfway = score(np.array([[2.0, 0, 0, 0], [1, 0, 0, 3]]), truth)
    assert halfway.auc_in_face == 1 and halfway.auc == pytest.approx(2.5 / 6)
    moved, _ = moved_patches(to_the_right(displacement / 4, visible, face))
    assert moved.sum() == 2, "half a pixel is a movement"


def test_light_that_changes_moves_nothing(truth):
    moved, still = moved_patches(
        to_the_right(0 * truth.displacement, truth.visible + 9, truth.face)
    )
    assert still.all() and not moved.any()


def test_strength_is_the_strongest_hundredth(truth):
    map_ = np.random.default_rng(0).permutation(101.0 * np.arange(36) / 35)
    assert score(map_.reshape(6, 6), truth).strength == pytest.approx(0.99 * 101)


def test_a_perfect_and_a_wrong_map(truth):
    perfect = score(truth.displacement, truth)
    assert (perfect.auc, perfect.auc_in_face, perfect.pointing) == (1, 1, 1)
    outside = np.zeros((6, 6))
    outside[0, 0], outside[2, 2] = 5, 1
    found = score(outside, truth)
    assert found.pointing == 0 and found.auc_in_face == 1 and found.auc == pytest.approx(32 / 33)
    assert found.energy == pytest.approx(6 / 36)


def test_nothing_moved_gives_no_auc(truth):
    still = to_the_right(truth.displacement * 0, truth.visible * 0, truth.face)
    found = score(truth.displacement, still)
    assert np.isnan(found.auc) and np.isnan(found.auc_in_face) and np.isnan(found.pointing)
    assert found.energy > 0


def test_the_draws_are_a_thousand_of_seed_0():
    """Another number of draws or another seed, and no published interval is found again."""
    random = np.random.default_rng(3)
    subjects, values = random.integers(0, 7, 23), random.normal(size=23)
    calls = []

    def mean(rows):
        calls.append(rows)
        return values[rows].mean()

    found = resampled(mean, subjects)
    drawn = np.random.default_rng(0).integers(7, size=(1000, 7))
    rows = [np.concatenate([np.flatnonzero(subjects == who) for who in row]) for row in drawn]
    low, high = np.percentile([values[row].mean() for row in rows], (2.5, 97.5))
    assert len(calls) == 1001
    assert (found.value, found.low, found.high) == pytest.approx((values.mean(), low, high))


def test_maps_of_nothing_are_as_empty_where_nothing_moves():
    pairs = [PairScore(0.5, 0.5, 0.0, 0.0, 0.0)] * 4
    found = summarise(pairs, pairs, np.arange(4.0), np.arange(4))
    assert (found["null"].value, found["null"].low, found["null"].high) == (0, 0, 0)


def test_a_score_is_what_it_was():
    pair = PairScore(0.5, 0.5, 0.0, 1.0, 2.0)
    estimate = resampled(lambda rows: 1.0, np.arange(3))
    for thing, name in ((pair, "auc"), (estimate, "value")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(thing, name, 1.0)


def test_summary_and_its_interval(truth):
    random = np.random.default_rng(0)
    subjects = np.repeat(np.arange(20), 2)
    amplitudes = random.uniform(0.3, 3, 40)
    maps = [truth.displacement * a + 0.01 * random.random((6, 6)) for a in amplitudes]
    moving = [score(map_, truth) for map_ in maps]
    still = [score(truth.displacement * 0 + 0.02, truth) for _ in maps]
    found = summarise(moving, still, amplitudes, subjects)
    assert found["auc"].value == 1 and found["correlation"].value > 0.99
    energy = np.mean([pair.energy for pair in moving])
    assert found["null"].value == pytest.approx(0.02 / energy)
    assert found["null"].low < found["null"].value < found["null"].high
    noise = [score(random.random((6, 6)), truth) for _ in maps]
    chance = summarise(noise, noise, amplitudes, subjects)
    assert chance["auc"].low < 0.5 < chance["auc"].high
    assert chance["null"].value == 1


@pytest.mark.filterwarnings("ignore::scipy.stats.ConstantInputWarning", "ignore:Mean of empty")
@given(st.integers(0, 2**31), st.booleans())
@settings(deadline=None, max_examples=8)
def test_intervals_are_those_of_resampled_subjects(seed, ties):
    """Drawn as counts of pairs, every score is what it is of the drawn pairs themselves."""
    random = np.random.default_rng(seed)
    subjects = np.array([0, 0, 0, 1, 2, 2, 3, 3, 4, 5])
    strength = random.integers(0, 4, 10) if ties else random.random(10)
    auc_ = np.where(random.random(10) < 0.2, np.nan, random.random(10))
    amplitudes = random.random(10)
    moving = [PairScore(a, 0.5, 1.0, 1.0, s) for a, s in zip(auc_, strength, strict=True)]
    found = summarise(moving, moving, amplitudes, subjects)
    expected = resampled(lambda rows: np.nanmean(auc_[rows]), subjects)
    assert found["auc"].value == pytest.approx(expected.value, nan_ok=True)
    assert found["auc"].low == pytest.approx(expected.low, nan_ok=True)
    ranks = resampled(lambda rows: spearmanr(strength[rows], amplitudes[rows]).statistic, subjects)
    for bound in ("value", "low", "high"):
        ours, theirs = getattr(found["correlation"], bound), getattr(ranks, bound)
        assert ours == pytest.approx(theirs, abs=1e-6, nan_ok=True)


def test_a_paired_difference_is_of_the_same_people_in_every_draw():
    """People differ much, methods by a constant: each score is uncertain, their difference not."""
    random = np.random.default_rng(0)
    subjects = np.repeat(np.arange(12), 2)
    hard = random.uniform(0.3, 0.8, 12)[subjects]

    def scored(values):
        pairs = [PairScore(value, value, 0, 1, 1) for value in values]
        return summarise(pairs, pairs, hard, subjects)

    ours, theirs = scored(hard + 0.1), scored(hard)
    less = paired_difference(ours["auc"], theirs["auc"])
    assert less.value == pytest.approx(0.1) and less.interval == pytest.approx((0.1, 0.1))
    assert ours["auc"].low < theirs["auc"].high

    other = hard + random.normal(0, 0.1, 24)
    less = paired_difference(scored(other)["auc"], theirs["auc"])
    expected = resampled(lambda rows: (other - hard)[rows].mean(), subjects)
    np.testing.assert_allclose(less.draws, expected.draws, atol=1e-12)
