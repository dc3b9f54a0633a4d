"""Spotted intervals are scored one to one, in any order, and as the challenge's script does."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mubert_jax.spotting.intervals import Interval, Recording, iou
from mubert_jax.spotting.scores import (
    Counts,
    matched,
    official_strs,
    over_thresholds,
    spotting_scores,
    strict_strs,
)


def at(onset, offset, video="v", subject="a", **more):
    return Interval(subject, video, onset, offset, **more)


def test_both_ends_belong_to_an_interval():
    assert iou(at(10, 19), at(15, 24)) == 5 / 15
    assert iou(at(10, 10), at(10, 10)) == 1
    assert iou(at(10, 19), at(20, 29)) == 0
    assert iou(at(0, 9), at(2, 5)) == iou(at(2, 5), at(0, 9)) == 0.4


def test_half_is_enough_and_less_is_not():
    truth = at(0, 9)
    assert matched([truth], [at(0, 19)]) == [(truth, at(0, 19))]
    assert matched([truth], [at(0, 20)]) == []
    assert matched([truth], [at(0, 9, video="w")]) == []


def test_more_pairs_count_before_larger_overlaps():
    """The first spotted interval fits both truths, and better the one that alone is left."""
    truths = [at(0, 9), at(4, 15)]
    wide, narrow = at(3, 12), at(0, 8)
    assert iou(truths[0], wide) >= 0.5 and iou(truths[1], wide) >= 0.5
    assert matched(truths, [wide, narrow]) == [(truths[0], narrow), (truths[1], wide)]


intervals = st.lists(
    st.builds(
        lambda video, onset, length, emotion: at(onset, onset + length, video, emotion=emotion),
        st.sampled_from("vw"),
        st.integers(0, 30),
        st.integers(0, 12),
        st.sampled_from(("anger", "joy")),
    ),
    max_size=6,
    unique_by=lambda one: (one.video, one.onset, one.offset),
)


@given(intervals, intervals, st.randoms())
@settings(deadline=None, max_examples=60)
def test_a_score_is_one_to_one_free_of_order_and_symmetric(truths, spotted, random):
    found = matched(truths, spotted)
    assert len({id(truth) for truth, _ in found}) == len(found) == len({id(s) for _, s in found})
    assert all(iou(*pair) >= 0.5 for pair in found)
    total = sum(iou(*pair) for pair in found)
    swapped = matched(spotted, truths)
    assert (len(swapped), sum(iou(*x) for x in swapped)) == (len(found), pytest.approx(total))
    shuffled = [random.sample(side, len(side)) for side in (truths, spotted)]
    again = matched(*shuffled)
    assert (len(again), sum(iou(*x) for x in again)) == (len(found), pytest.approx(total))
    (score,) = spotting_scores(truths, spotted)
    assert score.counts == Counts(len(found), len(spotted) - len(found), len(truths) - len(found))
    assert matched(truths, truths) == [
        (one, one) for one in sorted(truths, key=_video_first(truths))
    ]


def _video_first(truths):
    videos = list(dict.fromkeys(one.video for one in truths))
    return lambda one: videos.index(one.video)


def test_counts_of_nothing_are_zero():
    assert (Counts(0, 0, 0).f1, Counts(0, 0, 3).precision, Counts(0, 2, 0).recall) == (0, 0, 0)
    assert Counts(3, 1, 2).f1 == pytest.approx(6 / 9)


def test_kinds_are_found_by_their_own_kind_alone_and_add_up():
    truths = [at(0, 9, kind="micro"), at(50, 99, kind="macro")]
    spotted = [at(0, 9, kind="macro"), at(50, 95, kind="macro"), at(200, 210, kind="micro")]
    micro, macro, whole = spotting_scores(truths, spotted, {("a", "v"): Recording(1800, 30.0)})
    assert (micro.kind, micro.counts) == ("micro", Counts(0, 1, 1))
    assert (macro.kind, macro.counts) == ("macro", Counts(1, 1, 0))
    assert (whole.kind, whole.counts) == ("all", Counts(1, 2, 1))
    assert whole.false_alarms_per_minute == 2.0
    untold = [dataclasses.replace(one, kind="") for one in spotted]
    (alone,) = spotting_scores(truths, untold)
    assert (alone.kind, alone.counts) == ("all", Counts(2, 1, 0))


def test_an_interval_is_over_people():
    truths = [at(0, 9, subject=f"{number}") for number in range(8)]
    (score,) = spotting_scores(truths, truths[:4])
    low, high = score.interval
    assert score.counts.f1 == pytest.approx(2 / 3)
    assert low < score.counts.f1 < high
    (one,) = spotting_scores(truths[:1], truths[:1])
    assert all(bound != bound for bound in one.interval)


def test_a_threshold_keeps_what_has_this_score_or_more():
    truths = [at(0, 9), at(100, 109)]
    spotted = [at(0, 9, score=0.9), at(100, 109, score=0.2), at(300, 309, score=0.5)]
    curve = over_thresholds(truths, spotted)
    assert curve == [(0.2, Counts(2, 1, 0)), (0.5, Counts(1, 1, 1)), (0.9, Counts(1, 0, 1))]
    assert over_thresholds(truths, [at(0, 9)]) == []


# The five intervals of the README of STRS-Metric, whose STRS it gives as 0.2.
README = (
    [
        at(45, 85, "1", "a", emotion="happiness"),
        at(130, 160, "2", "a", emotion="others"),
        at(20, 75, "3", "a", emotion="others"),
        at(45, 95, "1", "b", emotion="repression"),
        at(30, 140, "2", "b", emotion="repression"),
    ],
    [
        at(10, 70, "1", "a", emotion="happiness"),
        at(100, 170, "2", "a", emotion="others"),
        at(0, 70, "3", "a", emotion="others"),
        at(20, 90, "1", "b", emotion="happiness"),
        at(70, 140, "2", "b", emotion="happiness"),
    ],
)


def test_the_example_of_the_challenges_script():
    official = official_strs(*README)
    assert official.strs == pytest.approx(0.2)
    assert (official.spotting, official.analysis) == (pytest.approx(0.6), pytest.approx(1 / 3))
    strict = strict_strs(*README)
    assert (strict.spotting, strict.uf1) == (pytest.approx(0.6), pytest.approx(1 / 3))


def test_the_scripts_faults_are_in_its_numbers_and_in_no_others():
    joy, anger = {"emotion": "joy"}, {"emotion": "anger"}
    truths = [at(0, 9, **joy), at(4, 13, **anger), at(0, 9, subject="b", **joy)]
    one_for_two = [at(2, 11, **joy)]
    official, strict = official_strs(truths, one_for_two), strict_strs(truths, one_for_two)
    # The subject b is not missed, and one interval finds two.
    assert official.spotting == 1.0 and strict.spotting == pytest.approx(2 / 4)
    # Of anger, one of one is missed; joy has one of two: the mean precision is 1/4, the recall 1/2.
    assert official.uar == pytest.approx(0.25)
    assert official.analysis == pytest.approx(2 * 0.25 * 0.5 / 0.75)
    assert strict.uar == pytest.approx(0.5)
    elsewhere = [*one_for_two, at(0, 9, video="w", **joy)]
    assert official_strs(truths, elsewhere).spotting == 1.0
    assert strict_strs(truths, elsewhere).spotting == pytest.approx(2 / 5)
    alone = [at(0, 9, **joy)]
    assert official_strs(alone, alone).analysis != 1 and strict_strs(alone, alone).strs == 1
