"""What the cells of sheets say of action units."""

import numpy as np
import pytest

from mubert_jax.data.labelled.action_units import marks, units_of


@pytest.mark.parametrize(
    "text, shown, unsure",
    [
        ("4", {"4"}, set()),
        ("4+7", {"4", "7"}, set()),
        ("4+L10", {"4", "10", "L10"}, set()),
        ("L12 or L14", set(), {"12", "L12", "14", "L14"}),
        ("AU4 + R12 or R14", {"4"}, {"12", "R12", "14", "R14"}),
        ("12 or 12+4", {"4"}, {"12"}),
        ("10A/B", {"10"}, set()),
        ("6C+12 b", {"6", "12"}, set()),
        ("4, au07; 23", {"4", "7", "23"}, set()),
        ("L12/R12+1", {"1"}, {"12", "L12", "R12"}),
    ],
)
def test_a_cell_names_units_and_their_sides(text, shown, unsure):
    found = units_of(text)
    assert found.shown == shown and found.unsure == unsure


@pytest.mark.parametrize("text", ["", "?", "4?", "4+?", "none", "4 - 7", "+"])
def test_what_is_not_understood_is_not_known(text):
    assert units_of(text) is None


def test_marks_are_in_order_and_unknown_is_not_absent():
    found = marks(["12+L10", "4", "?", "4+L12 or L14"])
    assert list(found) == ["4", "10", "L10", "12"]
    np.testing.assert_array_equal(found["4"], [0, 1, -1, 1])
    np.testing.assert_array_equal(found["12"], [1, 0, -1, -1])
    np.testing.assert_array_equal(found["L10"], [1, 0, -1, 0])
