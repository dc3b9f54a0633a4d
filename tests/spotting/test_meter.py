"""Energies of a stretch are the same however it is cut into batches, and hold few frames."""

import itertools
import threading
import time

import numpy as np
import pytest

from mubert_jax.spotting.comparing import Comparison
from mubert_jax.spotting.energies import Lags, Meter

RATE = 12.0
FRAMES = 150


class Differences(Comparison):
    """A stand-in for a model: what changes in each of 4 × 4 patches, times what was looked at."""

    size, grid = 8, 4

    def interest(self, frames):
        return _patches(frames) + 1

    def __call__(self, before, after, interest):
        return np.abs(_patches(after) - _patches(before)) * interest


def _patches(frames):
    return frames[..., 0].astype(np.float32).reshape(-1, 4, 2, 4, 2).mean((2, 4)).reshape(-1, 16)


@pytest.fixture(scope="module")
def frames():
    return np.random.default_rng(0).integers(0, 255, (FRAMES, 8, 8, 3), np.uint8)


def measured(frames, batch, workers=1, comparison=None):
    meter = Meter(comparison or Differences(), Lags(RATE), batch, workers)
    held = []
    for number, frame in enumerate(frames):
        meter.add(number, number / RATE, frame)
        held.append(meter.held)
    return meter.finish(), held


def test_a_stream_gives_what_all_frames_at_once_give(frames):
    (energies, _), compare, lags = measured(frames, 16), Differences(), Lags(RATE)
    every = round(RATE / 2)  # frames from one interest to the next
    for lag in lags:
        starts = np.arange(0, FRAMES - lag, lags.step(lag))
        interest = compare.interest(frames[starts // every * every])
        moved = compare(frames[starts], frames[starts + lag], interest).mean(axis=1)
        np.testing.assert_allclose(energies.energy[lag], moved, rtol=1e-5)
        assert len(energies.share[lag]) == len(starts)


def test_batches_change_nothing(frames):
    one, other = (measured(frames, batch)[0] for batch in (1, 16))
    for lag in one.lags:
        np.testing.assert_array_equal(one.energy[lag], other.energy[lag])
        np.testing.assert_allclose(one.share[lag], other.share[lag], rtol=1e-5)


class Shuffled(Differences):
    """The first batches take longest, so that later ones are done before them."""

    def __init__(self):
        self.turns, self.threads = itertools.count(), set()

    def __call__(self, before, after, interest):
        time.sleep(0.02 / (1 + next(self.turns)))
        self.threads.add(threading.get_ident())
        return super().__call__(before, after, interest)


def test_batches_at_the_same_time_change_nothing(frames):
    shuffled = Shuffled()
    one, _ = measured(frames, 8)
    other, held = measured(frames, 8, workers=3, comparison=shuffled)
    assert len(shuffled.threads) > 1
    for lag in one.lags:
        np.testing.assert_array_equal(one.energy[lag], other.energy[lag])
        np.testing.assert_array_equal(one.share[lag], other.share[lag])
    assert max(held) <= Lags(RATE).longest + 1 + 2 * 8 * (3 + 2)


def test_it_holds_no_more_frames_the_longer_it_goes_on(frames):
    lags, batch = Lags(RATE), 4
    _, held = measured(np.concatenate([frames] * 3), batch)
    # A batch that waits, one that is compared, and one more.
    most = lags.longest + 1 + 2 * 3 * batch
    assert lags.longest < max(held) <= most < FRAMES
    assert max(held) == max(held[:FRAMES])
