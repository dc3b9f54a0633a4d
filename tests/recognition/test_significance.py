"""Tests of differences against numbers that are known otherwise."""

import numpy as np
import pytest
from scipy import stats

from mubert_jax.recognition.significance import (
    bootstrap_p,
    differences,
    holm,
    mcnemar,
    smallest_detectable,
)


def test_mcnemar_is_a_binomial_of_the_clips_that_differ():
    first, second = np.ones(20, bool), np.ones(20, bool)
    second[:10], first[10:12] = False, False
    # Twice the chance of at most 2 of 12: 1 + 12 + 66 of 4096.
    assert mcnemar(first, second) == (10, 2, pytest.approx(2 * 79 / 4096))
    assert mcnemar(second, first)[2] == mcnemar(first, second)[2]
    assert mcnemar(first, first) == (0, 0, 1.0)
    assert mcnemar(np.array([True, False]), np.array([False, True])) == (1, 1, 1.0)


def test_holm_multiplies_the_smallest_most():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1.0, 1.0] and holm([]) == []
    corrected = holm([0.01, float("nan"), 0.02])
    assert corrected[::2] == pytest.approx([0.02, 0.02]) and np.isnan(corrected[1])


def test_the_bootstraps_p_value_is_that_of_its_interval():
    draws = stats.norm.ppf((np.arange(9999) + 0.5) / 9999)
    assert bootstrap_p(draws + 1.96) == pytest.approx(0.05, abs=0.001)
    assert bootstrap_p(-draws - 1.96) == pytest.approx(0.05, abs=0.001)
    assert bootstrap_p(draws) == 1.0 and bootstrap_p(np.zeros(99)) == 1.0
    assert bootstrap_p(np.ones(999)) == 0.002, "never 0: the observed draws are counted"
    assert np.isnan(bootstrap_p(np.full(9, np.nan)))


def test_a_detectable_difference_is_found_as_often_as_it_says():
    for power, level in ((0.8, 0.05), (0.9, 0.01)):
        true = smallest_detectable(0.03, power, level)
        seen = true + 0.03 * np.random.default_rng(0).standard_normal(100_000)
        found = np.abs(seen) > 0.03 * stats.norm.ppf(1 - level / 2)
        assert found.mean() == pytest.approx(power, abs=0.005)
    assert smallest_detectable(1.0) == pytest.approx(2.8016, abs=1e-4)


def test_every_pair_once_and_corrected_for_all():
    noise = 0.01 * np.random.default_rng(1).standard_normal(2000)
    draws = np.stack([0.5 + noise, 0.5 + 2 * noise, 0.2 - noise])
    right = np.array([[1, 1, 1, 0], [1, 1, 0, 1], [0, 0, 0, 0]], bool)
    found = differences(np.array([0.5, 0.5, 0.2]), draws, right)
    assert [(pair.first, pair.second) for pair in found] == [(0, 1), (0, 2), (1, 2)]
    same, large, other = found
    assert (
        same.value == 0 and not same.significant and same.error == pytest.approx(noise.std(), 1e-3)
    )
    assert large.value == pytest.approx(0.3) and large.significant and other.significant
    assert large.interval[0] < 0.3 < large.interval[1]
    assert large.corrected == pytest.approx(3 * large.p), "the smallest of three"
    assert (same.only_first, same.only_second, large.only_first) == (1, 1, 3)
    assert large.mcnemar == 0.25 and large.mcnemar_corrected == 0.75
