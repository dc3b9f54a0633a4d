"""Pairs: frame numbers, the distribution of delta, and what a user can get wrong."""

from collections import Counter

import numpy as np
import pytest
from scipy.stats import chisquare

from mubert_jax.data.frames import FramePairs
from mubert_jax.errors import UserError


def frame_of(image: np.ndarray) -> int:
    """The frame number that `write_shards` painted."""
    return int(image[0, 0, 0]) + 256 * int(image[0, 0, 1])


@pytest.fixture
def make_pairs(tmp_path, write_shards):
    def make(*clips, delta=(5, 11), **options) -> FramePairs:
        return FramePairs(write_shards(tmp_path / "set", [list(clips)], **options), delta, 8)

    return make


def test_a_pair_holds_two_frames_of_one_video_delta_apart(make_pairs):
    pairs = make_pairs(("a/x", list(range(40))), ("b/y", list(range(100, 350))), delta=(2, 7))
    assert len(pairs) == 38 + 248
    seen = set()
    for i in range(len(pairs)):
        pair = pairs.pair(1000 + i, i, seed=3)
        assert frame_of(pair["reference"]) - frame_of(pair["current"]) == pair["delta"]
        assert pair["current"][0, 0, 2] == pair["reference"][0, 0, 2], "same video"
        assert 2 <= pair["delta"] <= 7
        assert pair["index"] == 1000 + i
        assert pair["current"].dtype == pair["reference"].dtype == np.uint8
        assert pair["index"].dtype == np.uint32
        assert pair["delta"].dtype == np.int32
        seen.add((int(pair["current"][0, 0, 2]), frame_of(pair["current"])))
    assert len(seen) == len(pairs), "every index is another current frame"


def test_every_frame_with_a_partner_counts_once_and_no_other(make_pairs):
    pairs = make_pairs(("a/x", list(range(12))), ("a/short", list(range(5))))
    currents = [frame_of(pairs.pair(0, i, 0)["current"]) for i in range(len(pairs))]
    assert currents == list(range(7))
    assert [pairs.deltas(i).tolist() for i in (0, 5, 6)] == [list(range(5, 12)), [5, 6], [5]]
    assert pairs.num_frames == 17
    assert pairs.num_videos == 2
    assert pairs.subjects == ("a",)


def test_delta_is_drawn_afresh_for_another_global_index(make_pairs):
    pairs = make_pairs(("a/x", list(range(40))))
    epochs = [int(pairs.pair(k * len(pairs) + 4, 4, seed=0)["delta"]) for k in range(50)]
    assert set(epochs) == set(range(5, 12))


def test_delta_depends_on_seed_and_index_alone(make_pairs):
    pairs = make_pairs(("a/x", list(range(40))))
    draws = [[int(pairs.pair(n, 3, seed)["delta"]) for n in range(30)] for seed in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]


@pytest.mark.parametrize(("i", "valid"), [(0, range(5, 12)), (26, range(5, 9))])
def test_delta_is_uniform_over_the_valid_range(make_pairs, i, valid):
    pairs = make_pairs(("a/x", list(range(35))))
    counts = Counter(int(pairs.pair(n, i, seed=5)["delta"]) for n in range(3000))
    assert set(counts) == set(valid)
    assert chisquare([counts[delta] for delta in valid]).pvalue > 1e-4


def test_draws_of_neighbouring_indices_are_independent(make_pairs):
    pairs = make_pairs(("a/x", list(range(40))), delta=(5, 6))
    draws = np.array([int(pairs.pair(n, 0, seed=2)["delta"]) - 5 for n in range(2000)])
    both = Counter(zip(draws[:-1].tolist(), draws[1:].tolist(), strict=True))
    assert chisquare(list(both.values())).pvalue > 1e-4
    assert len(both) == 4


def test_gaps_in_the_numbering_leave_only_distances_that_exist(make_pairs):
    numbers = [0, 3, 7, 20, 26, 60, 68]
    pairs = make_pairs(("a/x", numbers), delta=(4, 7))
    expected = {
        n: [m - n for m in numbers if 4 <= m - n <= 7]
        for n in numbers
        if any(4 <= m - n <= 7 for m in numbers)
    }
    assert expected == {0: [7], 3: [4], 20: [6]}
    found = {
        frame_of(pairs.pair(0, i, 0)["current"]): pairs.deltas(i).tolist()
        for i in range(len(pairs))
    }
    assert found == expected
    for n in range(60):
        pair = pairs.pair(n, n % len(pairs), 0)
        assert frame_of(pair["reference"]) - frame_of(pair["current"]) == pair["delta"]


def test_records_out_of_order_and_spread_over_shards_make_the_same_pairs(tmp_path, write_shards):
    tidy = write_shards(tmp_path / "a", [[("a/x", list(range(20)))]])
    odd = write_shards(
        tmp_path / "b", [[("a/x", list(range(10, 20)))], [("a/x", list(range(9, -1, -1)))]]
    )
    a, b = (FramePairs(folder, image_size=8) for folder in (tidy, odd))
    assert len(a) == len(b) == 15
    for i in range(15):
        assert frame_of(b.pair(i, i, 0)["current"]) == i
        for name, value in a.pair(i, i, 0).items():
            np.testing.assert_array_equal(value, b.pair(i, i, 0)[name])


def test_the_last_frames_of_a_video_do_not_pair_with_the_next_video(make_pairs):
    pairs = make_pairs(("a/x", [0, 1]), ("a/y", [6, 7, 8, 13]))
    assert [frame_of(pairs.pair(0, i, 0)["current"]) for i in range(len(pairs))] == [6, 7, 8]


def test_a_large_global_index_wraps_only_in_the_batch(make_pairs):
    pairs = make_pairs(("a/x", list(range(40))))
    assert pairs.pair(2**32 + 5, 0, 0)["index"] == 5
    draws = [[int(pairs.pair(start + n, 0, 0)["delta"]) for n in range(40)] for start in (0, 2**32)]
    assert draws[0] != draws[1]


def test_the_fingerprint_ignores_shards_and_sees_content(tmp_path, write_shards):
    numbers = list(range(20))
    one = write_shards(tmp_path / "a", [[("a/x", numbers), ("b/y", numbers)]])
    two = write_shards(tmp_path / "b", [[("a/x", numbers)], [("b/y", numbers)]])
    other = write_shards(tmp_path / "c", [[("a/x", numbers), ("b/z", numbers)]])
    prints = [FramePairs(folder, image_size=8).fingerprint for folder in (one, two, other)]
    assert prints[0] == prints[1] != prints[2]
    assert len(prints[0]) == 16


def keys_of_earlier_versions(pairs: FramePairs) -> np.ndarray:
    """What told frames apart before; right for numbers below 2**32."""
    index = pairs.source.index
    records = np.lexsort((index.frame, index.video))
    return (index.video[records].astype(np.int64) << 32) + index.frame[records]


def test_pairs_are_those_of_every_earlier_version(tmp_path, write_shards):
    rng = np.random.default_rng(0)
    clips = [
        (f"s{n}/c", sorted(rng.choice(2 ** rng.integers(6, 31), 30, False).tolist()))
        for n in range(8)
    ]
    clips.append(("s9/twice", [4, 4, 9, 9, 15]))
    folder = write_shards(tmp_path / "set", [clips[:5], clips[5:]])
    for delta in ((5, 11), (1, 1), (3, 2**20)):
        pairs = FramePairs(folder, delta, 8)
        keys = keys_of_earlier_versions(pairs)
        ahead = keys[None] - keys[:, None]
        valid = (ahead >= delta[0]) & (ahead <= delta[1])
        np.testing.assert_array_equal(pairs._eligible, np.flatnonzero(valid.any(1)))
        if delta[1] < 1000:
            for i, position in enumerate(pairs._eligible):
                window = ahead[position, position + 1 : position + 1 + delta[1]]
                expected = window[(window >= delta[0]) & (window <= delta[1])]
                np.testing.assert_array_equal(pairs.deltas(i), expected)


@pytest.mark.parametrize("start", [0, 2**32 - 30, 1719900000000, 2**63 - 60])
def test_frame_numbers_may_be_as_large_as_a_record_holds(make_pairs, start):
    """Such as milliseconds since 1970; the second recording is 60 days before the first."""
    earlier = max(0, start - 60 * 86_400_000)
    recordings = enumerate((start, earlier))
    pairs = make_pairs(*((f"a/{n}", [at + 5 * i for i in range(12)]) for n, at in recordings))
    assert len(pairs) == 22
    for i in range(len(pairs)):
        pair = pairs.pair(i, i, 0)
        assert pair["delta"] in (5, 10)
        assert pair["current"][0, 0, 2] == pair["reference"][0, 0, 2], "same video"
        step = int(pair["reference"][0, 0, 0]) - int(pair["current"][0, 0, 0])
        assert step % 256 == pair["delta"]


def test_numbers_in_milliseconds_say_what_delta_counts(make_pairs):
    with pytest.raises(UserError) as error:
        make_pairs(("a/x", [1719900000000 + 33 * i for i in range(12)]))
    assert "its frame numbers go up by 33, and delta counts in these numbers" in str(error.value)
    assert "--config.data.delta='(165,363)'" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_delta_that_no_batch_holds_is_refused(tmp_path):
    with pytest.raises(UserError, match=f"delta {2**31}: choose {2**31 - 1} at most"):
        FramePairs(tmp_path, (1, 2**31))


def test_clips_shorter_than_delta_say_the_longest(make_pairs):
    with pytest.raises(UserError) as error:
        make_pairs(("a/x", [0, 1, 2, 3]), ("a/longer", [0, 1, 2, 3, 4]))
    message = str(error.value)
    assert "no two frames of a video are 5 to 11 frames apart" in message
    assert "the longest clip, a/longer, has 5 frames" in message
    assert "\n" not in message


def test_images_of_another_size_say_both_sizes(tmp_path, write_shards):
    folder = write_shards(tmp_path / "set", [[("a/x", list(range(12)))]])
    with pytest.raises(UserError, match="stored as 8x8, asked for are 224x224.*--size 224"):
        FramePairs(folder)


@pytest.mark.parametrize("delta", [(0, 3), (4, 3), (-2, 1)])
def test_a_range_of_delta_that_makes_no_sense_is_refused(tmp_path, delta):
    with pytest.raises(UserError, match="give two frame distances"):
        FramePairs(tmp_path, delta)


def test_a_folder_that_is_missing_or_holds_something_else_is_refused(tmp_path, write_shards):
    with pytest.raises(UserError, match="no such data-set folder.*mubert prepare"):
        FramePairs(tmp_path / "gone")
    with pytest.raises(UserError, match="not a data-set folder"):
        FramePairs(tmp_path)
    folder = write_shards(tmp_path / "set", [[("a/x", list(range(12)))]])
    (folder / "dataset_info.json").unlink()
    (folder / "prepare.json").touch()
    with pytest.raises(UserError, match="only half prepared.*run the same"):
        FramePairs(folder, image_size=8)
