"""The order of examples over epochs."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from mubert_jax.data.order import ShuffledEpochs


@given(st.integers(1, 300), st.integers(0, 2**32 - 1), st.integers(0, 2**40))
def test_every_epoch_is_a_permutation(size, seed, epoch):
    shuffled = ShuffledEpochs(size, seed)
    seen = [shuffled(epoch * size + position) for position in range(size)]
    assert sorted(seen) == list(range(size))


def test_the_order_is_the_one_of_every_earlier_version():
    """Training that resumes reads on where it was; a change here breaks that for everyone."""
    shuffled = ShuffledEpochs(10, 7)
    assert [shuffled(i) for i in range(20)] == [
        0,
        9,
        1,
        4,
        2,
        8,
        7,
        3,
        5,
        6,
        0,
        2,
        3,
        9,
        6,
        7,
        8,
        4,
        5,
        1,
    ]


def test_epochs_and_seeds_share_no_order():
    orders = {
        tuple(ShuffledEpochs(50, seed)(50 * epoch + i) for i in range(50))
        for seed in range(4)
        for epoch in range(4)
    }
    assert len(orders) == 16


def test_every_example_is_as_likely_first():
    shuffled = ShuffledEpochs(8, 0)
    first = np.bincount([shuffled(8 * epoch) for epoch in range(4000)], minlength=8)
    assert chisquare(first).pvalue > 1e-4


@pytest.mark.parametrize("size", [3, 1000])
def test_threads_and_jumps_change_nothing(size):
    indices = np.random.default_rng(0).integers(0, 50 * size, 400).tolist()
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(ShuffledEpochs(size, 1), indices))
    assert together == [ShuffledEpochs(size, 1)(index) for index in indices]


def test_two_epochs_are_kept_and_no_more(monkeypatch):
    """Reading ahead goes to and fro over the end of an epoch; of many the memory is bounded."""
    sorted_, sort = [], ShuffledEpochs._sort

    def counted(self, epoch):
        sorted_.append(epoch)
        return sort(self, epoch)

    monkeypatch.setattr(ShuffledEpochs, "_sort", counted)
    shuffled = ShuffledEpochs(4, 0)
    for index in (3, 4, 2, 5, 1, 8, 4):
        shuffled(index)
    assert sorted_ == [0, 1, 2, 1]
