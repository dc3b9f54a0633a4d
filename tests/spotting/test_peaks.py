"""The usual recipe: scores of flow, peaks above a share of the highest, k frames on each side."""

import cv2
import numpy as np
import pytest

from mubert_jax.cli import flags, main
from mubert_jax.spotting import flow_scores
from mubert_jax.spotting.intervals import MACRO, MICRO
from mubert_jax.spotting.peaks import RECIPES, ByPeaks, PeakGauge, Recipe, lag_of
from mubert_jax.synthetic.long_video import LongVideo

RATE = 30.0
MICRO_K, MACRO_K = 5, 33


def level(frames):
    """A stand-in for flow: how much brighter the second frame is, or the first of two."""
    return abs(float(frames[-1].mean()) - float(frames[0].mean()))


def spotted(levels, recipe, least=0.55):
    gauge = PeakGauge(recipe, RATE)
    for number, value in enumerate(levels):
        gauge.add(number + 7, number / RATE, np.full((8, 8, 3), value, np.uint8))
    method, measured = ByPeaks(recipe), gauge.finish()
    return method.found(measured, least), method.curve(measured), measured


def test_an_interval_is_k_frames_on_each_side_of_its_peak():
    assert (lag_of(MICRO, RATE), lag_of(MACRO, RATE)) == (MICRO_K, MACRO_K)
    levels = np.full(200, 50.0)
    levels[100:] = 80  # one step, between 99 and 100
    found, curve, _ = spotted(levels, Recipe(level, 1, False, 0.55))
    (micro,) = (one for one in found if one.what == MICRO)
    (macro,) = (one for one in found if one.what == MACRO)
    for one, k in ((micro, MICRO_K), (macro, MACRO_K)):
        assert one.offset - one.onset == 2 * k and one.score == pytest.approx(1)
        # Numbers count from 7, and the step lies half a frame before 107.
        assert abs(one.apex - 106.5) <= 1 and one.start == pytest.approx((one.onset - 7) / RATE)
    assert curve.score.max() == pytest.approx(1) and curve.score.min() >= 0
    at = np.interp([99.5 / RATE, 20 / RATE], curve.seconds, curve.score)
    assert at[0] > 0.9 and at[1] < 0.1


def test_a_threshold_is_between_the_mean_and_the_highest():
    levels = np.full(300, 50.0)
    levels[100:], levels[200:] = 80, 65  # a step of 30, and one of half of that
    recipe = Recipe(level, 1, False, 0.55)
    for least, count in ((0.3, 2), (0.7, 1)):
        found, _, _ = spotted(levels, recipe, least)
        assert sum(one.what == MICRO for one in found) == count
        assert all(one.score >= least for one in found)


def test_mdmd_is_relative_to_what_is_before_and_after():
    """A score that only climbs has no peak; what stands out of its neighbours has."""
    levels = np.linspace(50, 150, 200)
    levels[60] += 40
    middle = Recipe(lambda frames: float(frames[1].mean()), 2, True, 0.5)
    found, _, measured = spotted(levels, middle, 0.5)
    assert measured.first == {MICRO_K: MICRO_K, MACRO_K: MACRO_K}
    assert [one.apex - 7 for one in found if one.what == MICRO] == [60]


def test_a_stretch_that_is_too_short_has_nothing():
    found, curve, _ = spotted(np.arange(4.0), Recipe(level, 1, False, 0.55))
    assert found == [] and len(curve.score) == len(curve.seconds) == 0


@pytest.fixture(scope="module")
def moved():
    """A face, the same with the brows up by a pixel, and the same with all of it to the right."""
    image = LongVideo(4, seed=1).frame(0)
    rows, columns = np.mgrid[:112, :112].astype(np.float32)
    up = np.exp(-(((rows - 38) / 6) ** 2) - ((columns - 56) / 25) ** 2).astype(np.float32)
    brows = cv2.remap(image, columns, rows + up, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    head = cv2.remap(image, columns - 1, rows, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    return [cv2.cvtColor(one, cv2.COLOR_RGB2GRAY) for one in (image, brows, head)]


def test_flow_scores_see_a_face_move_and_no_head(moved):
    still, brows, head = moved
    assert flow_scores.regional([still, still]) < 1e-3
    assert flow_scores.regional([still, brows]) > 3 * flow_scores.regional([still, head])
    # It has come, and gone again; or it stays.
    gone, stays = (flow_scores.mdmd([still, brows, last]) for last in (still, brows))
    assert gone > 0.2 and stays == pytest.approx(0, abs=1e-6)


def test_every_recipe_is_known_to_the_command_and_has_no_false_alarms(tmp_path, capsys):
    assert set(flags.SPOTTING_RECIPES) == set(RECIPES)
    words = ["spot", "--video", "v.avi", f"--output={tmp_path / 'o'}", "--false-alarms=1"]
    for name in RECIPES:
        assert main([*words, f"--method={name}"]) == 2
        assert "no --false-alarms can be expected" in capsys.readouterr().err


def test_a_gauge_keeps_as_many_frames_as_its_longest_lag():
    gauge = PeakGauge(Recipe(level, 2, True, 0.5), 12.0)
    for number in range(200):
        gauge.add(number, number / 12, np.zeros((8, 8, 3), np.uint8))
    assert len(gauge._frames) == 2 * lag_of(MACRO, 12.0) + 1
