"""Names of people and of classes: which are one, which may be, and what is said of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mubert_jax.data.people import (
    Person,
    alike,
    called,
    data_set,
    loose,
    merged_classes,
    merged_people,
    might_be_called,
    plain,
)


@pytest.mark.parametrize(
    "names",
    [
        ("1", "01", "001", " 1", "1\u00a0", "\u200b1", "\ufeff1", "１", "٠١", "1.0", "1\x00"),
        ("s3", "S03", "s 3", "S\u00a003", "ｓ０３", "s\u200b3", "S\t3"),
        ("s-3", "S\u201303", "s\u2212 3"),
        ("josé", "Jose\u0301", "JOSÉ "),
        ("happiness", "Happiness", "HAPPINESS", " happiness", "happi\u00adness"),
    ],
)
def test_one_name(names):
    assert {plain(name) for name in names} == {names[0]}


def test_names_that_are_not_one():
    names = ("1", "10", "11", "1 1", "1-1", "1_1", "1.1", "s1", "sub1", "a1", "1a", "", "0")
    assert len({plain(name) for name in names}) == len(names)
    assert plain("0" * 10_000 + "7") == "7"


@given(st.text(max_size=12))
def test_forms_are_forms_of_themselves(name):
    assert plain(plain(name)) == plain(name) and loose(loose(name)) == loose(name)
    assert plain(name) == plain(f" {name}\u200b")


def test_data_sets():
    for name in ("casme2", "CASME II", "CASME_2", "CASME-II"):
        assert data_set(name) == "casme2"
    for name in ("CAS(ME)^2", "CAS(ME)²", "CASME_sq"):
        assert data_set(name) == "cas(me)^2"
    assert data_set("CAS(ME)³") == data_set("casme3") == "casme3"
    assert data_set("SMIC-HS") == "smic" and data_set("mine 1") != data_set("mine 2")


def test_people_of_known_data_sets_are_their_numbers():
    for dataset, subject in (("casme2", "sub01"), ("CASME II", "1"), ("casme2", "casme2/sub1")):
        assert Person.of(dataset, subject) == Person("casme2", "1")
    assert Person.of("samm", "006") == Person.of("samm", "6") != Person.of("smic", "s6")
    assert Person.of("casme3", "spNO.1") == Person.of("casme3", "1")
    assert Person.of("mine", "casme2/sub01") == Person("casme2", "1")
    assert Person.of("mine", "sub01") != Person.of("mine", "1")


def test_names_that_may_be_one():
    for one, other in (("sub01", "1"), ("S1", "1"), ("s1", "subject 1"), ("s_1", "s1")):
        assert alike(one, other) and alike(other, one)
    assert alike("Ѕ03", "S03"), "a Cyrillic letter"
    for one, other in (("p1", "s1"), ("s1", "s2"), ("1-1", "11"), ("anna", "anne")):
        assert not alike(one, other)


@given(st.sampled_from("s sub subject p participant spno".split()), st.integers(0, 99))
def test_who_might_be_called_so_is_alike(letters, number):
    name = f"{letters}{number}"
    found = might_be_called(name)
    assert loose(name) in found and str(number) in found
    assert all(alike(name, other) for other in found)


def test_who_is_meant():
    subjects = ["casme2/sub01", "samm/001", "samm/010", "s1"]
    assert called("casme2/sub01", subjects) == ["casme2/sub01"]
    assert called("SUB01", subjects) == ["casme2/sub01"]
    assert called("S01", ["s1"]) == ["s1"]
    assert called("1", subjects) == ["casme2/sub01", "samm/001"]
    assert called("nobody", subjects) == []


def test_what_is_said_of_several_spellings():
    found = merged_people(
        ["t", "T", "t", "t", "t", "u"], ["01", "1", "1", "sub1", "2", "01"], range(2, 8)
    )
    assert found.subjects == ["1", "1", "1", "sub1", "2", "01"]
    assert found.datasets == ["t"] * 5 + ["u"]
    assert found.notes == [
        "data sets 't' (rows 2, 4, 5, 6) and 'T' (row 3) are taken for one, 't'",
        "subjects '01' (row 2) and '1' (rows 3, 4) are taken for one, '1'",
    ]
    (warning,) = found.warnings
    assert warning.startswith("subjects '1' (rows 2, 3, 4) and 'sub1' (row 5) of t are taken for 2")
    names, notes = merged_classes(["b", "B ", "a", "B"])
    assert names == ["B", "B", "a", "B"] and "'b' and 'B ' and 'B' are taken for one" in notes[0]
