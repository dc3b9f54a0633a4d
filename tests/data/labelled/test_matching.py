"""Annotated numbers against the disk, whatever both hold."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mubert_jax.data.clips import ImageFrames, Interval
from mubert_jax.data.labelled.annotation import (
    NO_MOVEMENT,
    Annotation,
    LeftOut,
    Refused,
    frame_number,
    is_missing,
    measure,
)
from mubert_jax.data.labelled.matching import match

NUMBERS = st.integers(0, 60)


def annotation(onset, apex, offset) -> Annotation:
    return Annotation("set", "s", "c", ("c",), onset, apex, offset, "joy")


def matched(onset, apex, offset, numbers, how) -> Interval:
    frames = ImageFrames((number, Path(f"clip/img{number}.png")) for number in numbers)
    clip = match(annotation(onset, apex, offset), frames, 200.0, 1, "joy", how)
    (interval,) = clip.intervals
    ends = (interval.apex,) if interval.apex is not None else interval.candidates
    assert clip.frames.numbers() == sorted({interval.onset, *ends}), "what is read, no more"
    return interval


@given(
    st.none() | NUMBERS,
    st.none() | NUMBERS,
    st.none() | NUMBERS,
    st.sets(NUMBERS, min_size=1),
    st.sampled_from([None, "midpoint", "auto"]),
)
def test_what_is_kept_is_on_the_disk_and_in_order(onset, apex, offset, numbers, how):
    try:
        clip = matched(onset, apex, offset, numbers, how)
    except (Refused, LeftOut):
        return
    assert clip.onset in numbers
    if clip.apex is None:
        assert how == "auto" and clip.candidates
        ends = clip.candidates
    else:
        ends = [clip.apex]
        assert clip.apex in numbers
        if clip.apex_source == "annotated":
            assert clip.apex == apex
        else:
            assert clip.repairs or apex is None
    assert all(clip.onset <= number for number in ends)
    assert clip.offset == -1 or all(number <= clip.offset for number in ends)
    if clip.onset != onset:
        assert any(f"onset {onset} is not on the disk" in repair for repair in clip.repairs)


@given(NUMBERS, st.integers(0, 20), st.integers(0, 20))
def test_a_clip_as_annotated_is_taken_as_it_is(onset, rise, fall):
    apex, offset = onset + rise, onset + rise + fall
    clip = matched(onset, apex, offset, range(onset, offset + 1), "auto")
    assert (clip.onset, clip.apex, clip.offset) == (onset, apex, offset)
    assert clip.apex_source == "annotated" and not clip.repairs
    assert clip.notes == ((NO_MOVEMENT,) if rise == 0 else ())


@pytest.mark.parametrize(("missing", "taken"), [((30,), 29), ((30, 29), 31), ((30, 31), 29)])
def test_the_nearest_frame_is_taken(missing, taken):
    clip = matched(20, 30, 40, set(range(20, 41)) - set(missing), None)
    assert (clip.apex, clip.apex_source) == (taken, "nearest")


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("46", 46),
        ("046", 46),
        ("+46", 46),
        ("46.0", 46),
        ("46,0", 46),
        ("46,00", 46),
        ("46.000000", 46),
        ("4.6E+1", 46),
        ("4,6e1", 46),
        ("1.2E+3", 1200),
        ("1 200", 1200),
        ("1\u00a0200", 1200),
        ("1\u202f200,0", None),
        ("28'400", 28400),
        ("1,234,567", 1234567),
        ("1.234.567", 1234567),
        ("\uff14\uff16", 46),
        ("0,200", None),
    ],
)
def test_frame_numbers_of_other_countries(text, number):
    if number is None:
        with pytest.raises(Refused, match="is not a (frame )?number"):
            frame_number(text, "onset")
    else:
        assert frame_number(text, "onset") == number


@pytest.mark.parametrize("text", ["", "/", "-", "\u2013", "?", "NA", "N/A", "#N/A", "NaN", "None"])
def test_frames_that_are_not_annotated(text):
    assert frame_number(text, "apex") is None


@pytest.mark.parametrize("text", ["1,200", "1.200", "46,000", "28.400"])
def test_a_fraction_or_thousands_is_not_guessed(text):
    with pytest.raises(Refused, match="onset .* may be .* or .*; write it plainly"):
        frame_number(text, "onset")


@pytest.mark.parametrize(
    "text", ["x1", "12.5", "-3", "inf", "1e400", "True", "1_000", "0x10", "1 2"]
)
def test_what_is_no_frame_number(text):
    with pytest.raises(Refused, match="onset '.*' is not a (frame )?number"):
        frame_number(text, "onset")


def test_rates_may_have_three_decimals():
    assert measure("29.970", "fps") == 29.97
    with pytest.raises(Refused, match="may be 29970 or 29.97"):
        measure("29,970", "fps")


def test_an_answer_is_not_missing():
    assert [is_missing(text) for text in ("", "NA", "nan", "none", "-", "0")] == [
        True,
        True,
        True,
        False,
        False,
        False,
    ]
