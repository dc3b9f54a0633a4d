"""Which number of a name counts the frames, whatever else is in the name."""

from pathlib import Path

import pytest

from mubert_jax.data.numbering import numbered_images
from mubert_jax.data.searching import PassedOver
from mubert_jax.errors import UserError


def numbered(*names) -> tuple[dict[int, str], list[str]]:
    """Frame number -> name, and what was left out."""
    passed = PassedOver(Path("clip"))
    found = numbered_images([Path("clip") / name for name in names], passed)
    return {number: path.name for number, path in found}, passed.words()


def test_images_are_ordered_by_number_and_not_by_name():
    found, left_out = numbered("img10.png", "img2.png", "img1.png", "cover.png")
    assert list(found) == [1, 2, 10]
    assert found[10] == "img10.png"
    assert left_out == ["1 x image without a frame number in its name (cover.png)"]


@pytest.mark.parametrize(
    ("pattern", "numbers"),
    [
        ("reg_img{}.jpg", [46, 47, 100]),
        ("2021-03-04_img{}.jpg", [5, 6, 7]),
        ("cam2_{:04d}.png", [1, 2, 3]),
        ("{:04d}_cam2.png", [1, 2, 3]),
        ("frame {} (copy).png", [11, 12, 13]),
        ("img{}.50.jpg", [5, 6, 7]),
        ("006_1_2_{:05d}.jpg", [7583, 7584]),
        ("{}.PNG", [1719900000000, 1719900000033]),
        ("é {}.png", [1, 2]),
        ("图{}.png", [1, 2]),
        ("\U0001f600{}.png", [1, 2]),
        ("a\n{}.png", [1, 2]),
        ("caf\udce9{}.png", [1, 2]),
        ("only{}.png", [9]),
    ],
)
def test_the_frame_number_is_the_one_that_changes(pattern, numbers):
    found, left_out = numbered(*(pattern.format(number) for number in numbers))
    assert found == {number: pattern.format(number) for number in numbers}
    assert not left_out


def test_of_two_numbers_in_step_the_one_that_counts_is_taken():
    assert list(numbered(*(f"frame_{n}_t{33 * n}.png" for n in range(4, 9)))[0]) == [4, 5, 6, 7, 8]
    assert list(numbered(*(f"t{33 * n}_{n:03d}.png" for n in range(9)))[0]) == list(range(9))
    times = [f"f{n}_{n * 40 // 1000}.{n * 40 % 1000:03d}.png" for n in range(20, 30)]
    assert list(numbered(*times)[0]) == list(range(20, 30))


def test_two_cameras_that_share_one_count_keep_it():
    names = [f"cam{n % 2}_{n:04d}.png" for n in range(6)]
    assert list(numbered(*names)[0]) == list(range(6))


@pytest.mark.parametrize(
    "names",
    [
        ["cam1_0001.png", "cam1_0002.png", "cam2_0001.png", "cam2_0002.png"],
        ["12-00-58.png", "12-00-59.png", "12-01-00.png", "12-01-01.png"],
        ["1719900000.90.png", "1719900001.05.png", "1719900001.10.png"],
    ],
)
def test_numbers_of_which_none_can_be_told_to_count_are_refused(names):
    with pytest.raises(UserError, match=r"clip: \d numbers change in its names .*rename them"):
        numbered(*names)


@pytest.mark.parametrize("names", [("img1.png", "img01.png"), ("img1.png", "img1.jpg")])
def test_two_images_of_one_number_are_refused(names):
    with pytest.raises(UserError, match="^clip: img.* and img.* both count as frame 1; keep"):
        numbered(*names, "img2.png")


def test_images_without_any_number_are_refused():
    with pytest.raises(UserError, match="clip: no image has a frame number in its name"):
        numbered("a.png", "b.png")


def test_a_number_that_no_record_holds_is_refused():
    with pytest.raises(UserError, match=f"img{2**63}.png: {2**63} is too large"):
        numbered(f"img{2**63}.png", "img1.png")


def test_a_few_images_of_other_names_join_nothing():
    frames = [f"img{n}.png" for n in range(1, 13)]
    odd = ["cover2024.jpg", "img3 (1).png", "Art_{5F0A-11}_Large.jpg"]
    found, left_out = numbered(*frames, *odd)
    assert list(found) == list(range(1, 13))
    assert left_out == ["3 x image named unlike the others of its folder (Art_{5F0A-11}_Large.jpg)"]


def test_names_that_are_all_different_keep_their_last_number():
    assert numbered("onset5.png", "apex9.png")[0] == {5: "onset5.png", 9: "apex9.png"}


def test_no_image_is_no_frame():
    assert numbered() == ({}, [])
