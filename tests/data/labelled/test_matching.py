"""Annotated numbers against the disk, whatever both hold."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mubert_jax.data.labelled.annotation import Annotation, LeftOut, Refused
from mubert_jax.data.labelled.matching import match

NUMBERS = st.integers(0, 60)


def annotation(onset, apex, offset) -> Annotation:
    return Annotation("set", "s", "c", ("c",), onset, apex, offset, "joy")


def frames(numbers):
    return [(number, Path(f"clip/img{number}.png")) for number in sorted(numbers)]


@given(
    st.none() | NUMBERS,
    st.none() | NUMBERS,
    st.none() | NUMBERS,
    st.sets(NUMBERS, min_size=1),
    st.sampled_from([None, "midpoint", "auto"]),
)
def test_what_is_kept_is_on_the_disk_and_in_order(onset, apex, offset, numbers, how):
    try:
        clip = match(annotation(onset, apex, offset), frames(numbers), 200.0, 1, "joy", how)
    except (Refused, LeftOut):
        return
    assert clip.onset in frames(numbers)
    if clip.apex is None:
        assert how == "auto" and clip.candidates
        ends = clip.candidates
    else:
        ends = [clip.apex]
        assert clip.apex in frames(numbers)
        if clip.apex_source == "annotated":
            assert clip.apex[0] == apex
        else:
            assert clip.repairs or apex is None
    assert all(clip.onset[0] <= number for number, _ in ends)
    assert clip.offset == -1 or all(number <= clip.offset for number, _ in ends)
    if clip.onset[0] != onset:
        assert any(f"onset {onset} is not on the disk" in repair for repair in clip.repairs)


@given(NUMBERS, st.integers(0, 20), st.integers(0, 20))
def test_a_clip_as_annotated_is_taken_as_it_is(onset, rise, fall):
    apex, offset = onset + rise, onset + rise + fall
    clip = match(
        annotation(onset, apex, offset), frames(range(onset, offset + 1)), 200.0, 0, "joy", "auto"
    )
    assert (clip.onset[0], clip.apex[0], clip.offset) == (onset, apex, offset)
    assert clip.apex_source == "annotated" and not clip.repairs
    assert bool(clip.notes) == (rise == 0)


@pytest.mark.parametrize(("missing", "taken"), [((30,), 29), ((30, 29), 31), ((30, 31), 29)])
def test_the_nearest_frame_is_taken(missing, taken):
    disk = frames(set(range(20, 41)) - set(missing))
    clip = match(annotation(20, 30, 40), disk, 200.0, 0, "joy", None)
    assert (clip.apex[0], clip.apex_source) == (taken, "nearest")
