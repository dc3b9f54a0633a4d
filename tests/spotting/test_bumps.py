"""Bumps of states that are known: frames are numbers, and their difference is the movement."""

import numpy as np
import pytest

from mubert_jax.spotting.bumps import bumps
from mubert_jax.spotting.comparing import PARTS
from mubert_jax.spotting.energies import Energies, Lags
from mubert_jax.spotting.found import found_in

RATE, SECONDS = 30.0, 40
FRAMES = int(RATE * SECONDS)
FLOOR = 0.01
ELSEWHERE = dict.fromkeys(PARTS, 0.2)
AT_LIDS = {"eyes": 0.95, "between the eyes": 0.1, "mouth": 0.0}
AT_MOUTH = {"eyes": 0.0, "between the eyes": 0.0, "mouth": 0.9}


def energies(state, part=ELSEWHERE, rate=RATE):
    """Of a face whose state at each frame is a number or a vector."""
    state, lags = np.asarray(state, float), Lags(rate)
    state = state if state.ndim == 2 else state[:, None]
    energy, share = {}, {}
    for lag in lags:
        starts = np.arange(0, max(len(state) - lag, 0), lags.step(lag))
        energy[lag] = np.abs(state[starts + lag] - state[starts]).sum(axis=1)
        share[lag] = np.tile([part[name] for name in PARTS], (len(starts), 1))
    return Energies(lags, np.arange(len(state)), np.arange(len(state)) / rate, energy, share)


def comes_and_goes(onset, offset, frames=FRAMES, held=0.2):
    """0, and from `onset` to `offset` up to 1 and down, held for a share of the time."""
    way = (np.arange(frames) - onset + 1) / (offset - onset + 2)
    return np.clip(np.minimum(way, 1 - way) / ((1 - held) / 2), 0, 1)


def spotted(state, part=ELSEWHERE, least=10.0, rate=RATE):
    measured = energies(state, part, rate)
    return found_in(measured, bumps(measured, FLOOR, least))


@pytest.mark.parametrize("length", [7, 11, 15, 30, 60, 110])
def test_what_comes_and_goes_is_found_where_it_is(length):
    onset = 400
    (one,) = spotted(comes_and_goes(onset, onset + length - 1))
    assert one.what == ("micro" if length / RATE <= 0.5 else "macro")
    # Looks are 2 frames apart at the shortest lag; ends are where movement begins to be seen.
    near = max(3, length / 20)
    assert abs(one.onset - onset) <= near and abs(one.offset - (onset + length - 1)) <= near
    assert one.onset <= one.apex <= one.offset
    assert one.start == pytest.approx(one.onset / RATE, abs=0.02)


def test_what_stays_is_no_expression():
    state = np.where(np.arange(FRAMES) < 500, 0.0, 1.0)
    assert not spotted(state)


def test_what_goes_on_in_one_direction_is_no_expression():
    assert not spotted(np.clip((np.arange(FRAMES) - 300) / 200, 0, 1))


def test_what_drifts_is_no_expression():
    random = np.random.default_rng(0)
    assert not spotted(np.cumsum(random.normal(0, FLOOR / 10, FRAMES)))


def test_a_lid_is_a_blink_and_a_long_one_is_none():
    assert [one.what for one in spotted(comes_and_goes(300, 306), AT_LIDS)] == ["blink"]
    assert [one.what for one in spotted(comes_and_goes(300, 345), AT_LIDS)] == ["macro"]
    drawn_together = AT_LIDS | {"between the eyes": 0.5}
    assert [one.what for one in spotted(comes_and_goes(300, 306), drawn_together)] == ["micro"]


def test_what_lies_between_two_blinks_is_none():
    both = comes_and_goes(300, 306) + comes_and_goes(300 + 128, 306 + 128)
    assert [one.what for one in spotted(both, AT_LIDS)] == ["blink", "blink"]


def test_syllables_are_speech_and_a_smile_is_none():
    said = sum(comes_and_goes(at, at + 6) for at in range(300, 420, 15))
    (one,) = spotted(said, AT_MOUTH)
    assert one.what == "speech"
    assert abs(one.onset - 300) <= 3 and abs(one.offset - 411) <= 3
    assert [x.what for x in spotted(comes_and_goes(300, 345), AT_MOUTH)] == ["macro"]


def test_noise_is_that_of_the_moment():
    random = np.random.default_rng(1)
    state = np.zeros((FRAMES, 41))
    state[:, 0] = comes_and_goes(200, 210) + comes_and_goes(1000, 1010)
    # From the middle on, every frame differs from every other one by about 0.3.
    state[FRAMES // 2 :, 1:] = random.normal(0, 0.3 / 40 / 1.13, (FRAMES - FRAMES // 2, 40))
    still, noisy = (
        max((one.score for one in spotted(state, least=1.0) if abs(one.apex - at) < 8), default=0)
        for at in (205, 1005)
    )
    assert still > 5 * noisy


@pytest.mark.parametrize("rate", [12.0, 25.0, 28.6, 30.0, 45.0])
def test_lags_fit_into_each_other_at_any_rate(rate):
    lags = Lags(rate)
    for lag in lags.scales:
        assert lag % lags.look(lag) == lags.look(lag) % lags.step(lag) == 0
        assert lag % lags.step(lag) == lags.look(lag) % lags.step(2 * lag) == 0
    onset, length = round(10 * rate), round(rate * 0.4)
    state = comes_and_goes(onset, onset + length - 1, frames=round(rate * SECONDS))
    (one,) = spotted(state, rate=rate)
    assert one.what == "micro" and abs(one.onset - onset) <= 3


@pytest.mark.parametrize("frames", [0, 1, 10, 17, 40])
def test_a_short_stretch_has_the_lags_that_fit(frames):
    assert not spotted(np.zeros(frames))
