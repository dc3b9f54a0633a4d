"""Folds over random people: no subject crosses one, and every row is tested once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mubert_jax.errors import UserError
from mubert_jax.recognition.protocols import Clips, Fold, check, inner_split, split, subject_ids

CLASSES = ("negative", "positive", "surprise")


@st.composite
def people(draw, datasets=("casme2", "samm", "smic"), subjects=5):
    """Clips of two subjects at least, whose names repeat over the data sets, of two classes."""
    row = st.tuples(
        st.sampled_from(datasets), st.integers(1, subjects), st.integers(0, len(CLASSES) - 1)
    )
    rows = draw(st.lists(row, min_size=1, max_size=30))
    rows += [(datasets[0], 1, 0), (datasets[-1], 2, 1)]
    rows = draw(st.permutations(rows))
    return clips(rows)


def clips(rows):
    dataset, number, label = zip(*rows, strict=True)
    subject = np.array([f"{i:02d}" for i in number], dtype=object)
    return Clips(np.array(dataset, dtype=object), subject, np.array(label), CLASSES)


def assert_sound(folds, clips):
    ids = clips.subject_ids
    for fold in folds:
        assert len(fold.train) and len(fold.test)
        assert not set(ids[fold.train]) & set(ids[fold.test])
        assert not set(fold.train) & set(fold.test)


@settings(max_examples=80, deadline=None)
@given(people())
def test_leave_one_subject_out(clips):
    folds = split("loso", clips).folds
    assert_sound(folds, clips)
    tested = np.concatenate([fold.test for fold in folds])
    assert sorted(tested) == list(range(len(clips.label)))
    for fold in folds:
        assert set(clips.subject_ids[fold.test]) == {fold.name}
        assert len(fold.train) + len(fold.test) == len(clips.label)


@settings(max_examples=80, deadline=None)
@given(people(), st.integers(2, 6), st.integers(0, 3))
def test_k_folds_by_subject(clips, k, seed):
    if len(set(clips.subject_ids)) < k:
        with pytest.raises(UserError, match=f"protocol {k}-fold: .* subjects"):
            split(f"{k}-fold", clips)
        return
    folds = split(f"{k}-fold", clips, seed).folds
    assert_sound(folds, clips)
    assert len(folds) == k
    tested = np.concatenate([fold.test for fold in folds])
    assert sorted(tested) == list(range(len(clips.label)))


@settings(max_examples=60, deadline=None)
@given(people())
def test_composite_folds_hold_one_data_set_each(clips):
    """Scores for a data set are over rows of the same run."""
    folds = split("composite", clips).folds
    assert [fold.name for fold in folds] == [fold.name for fold in split("loso", clips).folds]
    for fold in folds:
        assert len(set(clips.dataset[fold.test])) == 1
    for dataset in set(clips.dataset):
        of_set = np.concatenate([f.test for f in folds if f.name.startswith(f"{dataset}/")])
        assert sorted(of_set) == list(np.flatnonzero(clips.dataset == dataset))


@settings(max_examples=60, deadline=None)
@given(people())
def test_across_data_sets(clips):
    (fold,) = split("cross:smic", clips).folds
    assert_sound([fold], clips)
    assert set(clips.dataset[fold.test]) == {fold.name}
    assert fold.name not in clips.dataset[fold.train]


@settings(max_examples=80, deadline=None)
@given(people(), st.integers(0, 5), st.sampled_from([0.0, 0.2, 0.5, 1.0]))
def test_the_inner_split_never_touches_the_test_subjects(clips, seed, share):
    ids = clips.subject_ids
    for fold in split("loso", clips).folds:
        if len(set(ids[fold.train])) < 2:
            with pytest.raises(UserError, match="inner split needs two"):
                inner_split(fold, clips, share, seed)
            continue
        train, validation = inner_split(fold, clips, share, seed)
        assert len(train) and len(validation)
        assert sorted([*train, *validation]) == list(fold.train)
        assert not set(ids[train]) & set(ids[validation])
        assert fold.name not in {*ids[train], *ids[validation]}


def test_the_inner_split_keeps_every_class_in_training_where_it_can():
    rows = [("samm", i, i % 2) for i in range(1, 9)] + [("samm", 9, 2)]
    held = clips(rows)
    for seed in range(10):
        (fold, *_) = split("loso", held).folds
        train, validation = inner_split(fold, held, 0.3, seed)
        assert set(held.label[train]) == set(held.label[fold.train])
        assert 0.3 * len(fold.train) <= len(validation) < 0.3 * len(fold.train) + 1


def test_the_same_name_in_two_data_sets_is_two_people():
    ids = subject_ids(["casme2", "samm", "samm"], ["01", "01", "samm/01"])
    assert list(ids) == ["casme2/01", "samm/01", "samm/01"]


@pytest.mark.parametrize("spelling", ["1", "001", "\u200b01", "０１", " 01", "01\xa0", "1.0"])
def test_a_person_is_one_however_spelt(spelling):
    """A fold that trains on whom it tests is the worst that can go wrong unsaid."""
    dataset = np.array(["t", "t", "T", "t"], dtype=object)
    subject = np.array(["01", spelling, spelling, "2"], dtype=object)
    held = Clips(dataset, subject, np.array([0, 1, 0, 1]), CLASSES)
    for protocol in ("loso", "2-fold"):
        folds = split(protocol, held).folds
        assert sorted(map(len, (fold.test for fold in folds))) == [1, 3]
    assert len(set(held.subject_ids)) == 2


def test_a_data_set_is_one_however_spelt():
    dataset = np.array(["CASME II", "casme2", "SAMM"], dtype=object)
    subject = np.array(["sub01", "casme2/1", "1"], dtype=object)
    held = Clips(dataset, subject, np.array([0, 1, 1]), CLASSES)
    assert len(set(held.subject_ids)) == 2
    (fold,) = split("cross:CASME2", held).folds
    assert fold.test.tolist() == [0, 1]


def test_k_folds_are_balanced_and_drawn_by_the_seed():
    held = clips([("samm", i, i % 2) for i in range(1, 21) for _ in range(1 + i % 3)])
    sizes = [len(fold.test) for fold in split("4-fold", held).folds]
    assert max(sizes) - min(sizes) <= 3
    one, same, other = ([*split("4-fold", held, s).folds[0].test] for s in (0, 0, 1))
    assert one == same != other


def test_a_class_without_training_clips_is_a_warning():
    found = split("loso", clips([("samm", 1, 0), ("samm", 2, 1), ("samm", 3, 1)]))
    assert found.warnings == (
        "fold samm/01: no training clip of negative, so it cannot be learnt there",
    )


def test_refuses():
    two = clips([("samm", 1, 0), ("samm", 2, 1)])
    for protocol, rows, message in (
        ("loso", [("samm", 1, 0), ("samm", 1, 1)], "samm/01 is the only subject"),
        ("loso", [("samm", 1, 1), ("samm", 2, 1)], "only 'positive'; two classes"),
        ("3-fold", [("samm", 1, 0), ("samm", 2, 1)], "2 subjects; needs 2 to 2 folds"),
        ("1-fold", [("samm", 1, 0), ("samm", 2, 1)], "needs 2 to 2 folds"),
        ("composite", [("samm", 1, 0), ("samm", 2, 1)], "all clips are of samm; use loso"),
        ("cross:smic", [("samm", 1, 0), ("samm", 2, 1)], "smic and one other data set"),
        ("lopo", [("samm", 1, 0), ("samm", 2, 1)], "unknown protocol 'lopo'; choose from loso"),
    ):
        with pytest.raises(UserError, match=message):
            split(protocol, clips(rows))
    zero, one = np.array([0]), np.array([1])
    with pytest.raises(UserError, match="trains and tests on samm/01"):
        check([Fold("a", np.array([0, 1]), zero)], two)
    with pytest.raises(UserError, match="samm/01 is tested in the folds a and b"):
        check([Fold("a", one, zero), Fold("b", one, zero)], two)
