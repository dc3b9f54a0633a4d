"""A batch is a function of (seed, global step) and of nothing else."""

import itertools
import threading

import numpy as np
import pytest

from mubert_jax.data.frames import FramePairs
from mubert_jax.data.pipeline import pretraining_batches
from mubert_jax.errors import UserError

BATCH = 8


@pytest.fixture
def pairs(tmp_path, write_shards) -> FramePairs:
    """21 current frames, a number that no batch size here divides."""
    clips = [("a/x", list(range(20))), ("b/y", list(range(30, 41)))]
    return FramePairs(write_shards(tmp_path / "set", [clips]), image_size=8)


def take(pairs: FramePairs, count: int, **options) -> list[dict[str, np.ndarray]]:
    options = {"batch_size": BATCH, "seed": 0, **options}
    batches = pretraining_batches(pairs, **options)
    try:
        return list(itertools.islice(batches, count))
    finally:
        batches.close()


def assert_same(a: list[dict], b: list[dict]) -> None:
    assert len(a) == len(b)
    for left, right in zip(a, b, strict=True):
        assert left.keys() == right.keys() == {"current", "reference", "index", "face"}
        for name in left:
            np.testing.assert_array_equal(left[name], right[name], name)
            assert left[name].dtype == right[name].dtype


def colours(batches: list[dict], which: str) -> list[tuple]:
    """The colour of each frame, which tells video and number."""
    return [tuple(image[0, 0].tolist()) for batch in batches for image in batch[which]]


def currents(batches: list[dict]) -> list[tuple]:
    return colours(batches, "current")


def test_shapes_and_types(pairs):
    (batch,) = take(pairs, 1)
    assert batch["current"].shape == batch["reference"].shape == (BATCH, 8, 8, 3)
    assert batch["current"].dtype == batch["reference"].dtype == np.uint8
    assert batch["index"].dtype == np.uint32


def test_rows_are_the_pairs_of_their_global_index(pairs):
    known = {}
    for i in range(len(pairs)):
        known[tuple(pairs.pair(0, i, 0)["current"][0, 0].tolist())] = i
    for batch in take(pairs, 4, seed=9):
        for row, index in enumerate(batch["index"]):
            colour = tuple(batch["current"][row, 0, 0].tolist())
            expected = pairs.pair(int(index), known[colour], seed=9)
            for name, values in batch.items():
                np.testing.assert_array_equal(values[row], expected[name])


@pytest.mark.parametrize("options", [{"reader_threads": 2}, {"reader_threads": 8}, {"prefetch": 1}])
def test_threads_and_prefetch_do_not_change_batches(pairs, options):
    assert_same(take(pairs, 8, reader_threads=1), take(pairs, 8, **options))


@pytest.mark.parametrize(
    "parts",
    [
        [range(8)],
        [range(4), range(4, 8)],
        [range(6), range(6, 8)],
        [[0, 1, 4, 5], [2, 3, 6, 7]],
        [[7, 2, 0], [4, 1, 3, 5, 6]],
        [[row] for row in range(8)],
    ],
    ids=str,
)
def test_rows_are_those_of_the_global_batch_however_it_is_divided(pairs, parts):
    whole = take(pairs, 6)
    for rows in parts:
        expected = [{name: values[list(rows)] for name, values in batch.items()} for batch in whole]
        assert_same(take(pairs, 6, rows=rows), expected)


@pytest.mark.parametrize("start", [1, 3, 7])
@pytest.mark.parametrize("rows", [None, range(4, 8), [1, 6]], ids=str)
def test_starting_at_a_step_continues_the_stream(pairs, start, rows):
    whole = take(pairs, start + 4, rows=rows)
    assert_same(take(pairs, 4, start_step=start, rows=rows), whole[start:])


def test_a_late_start_is_a_seek(pairs):
    (batch,) = take(pairs, 1, start_step=10**6)
    assert batch["index"].tolist() == list(range(8 * 10**6, 8 * 10**6 + 8))


def test_the_index_counts_up_over_batches_and_epochs(pairs):
    indices = np.concatenate([batch["index"] for batch in take(pairs, 10)])
    np.testing.assert_array_equal(indices, np.arange(10 * BATCH))


def test_each_epoch_covers_every_current_frame_once_in_another_order(pairs):
    size = len(pairs)
    assert size == 21
    seen = currents(take(pairs, 3 * size // BATCH + 1))
    epochs = [seen[k * size : (k + 1) * size] for k in range(3)]
    assert all(len(set(epoch)) == size for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert epochs[0] != sorted(epochs[0])


def test_delta_is_fresh_each_epoch(pairs):
    size = len(pairs)
    batches = take(pairs, 4 * size // BATCH + 1)
    by_current: dict[tuple, list[tuple]] = {}
    for colour, reference in zip(currents(batches), colours(batches, "reference"), strict=True):
        by_current.setdefault(colour, []).append(reference)
    assert any(len(set(drawn)) > 1 for drawn in by_current.values())


def test_seeds_give_other_orders(pairs):
    assert currents(take(pairs, 2, seed=0)) != currents(take(pairs, 2, seed=1))
    assert_same(take(pairs, 2, seed=2**32 - 1), take(pairs, 2, seed=2**32 - 1))


def test_a_data_set_smaller_than_a_batch_repeats_within_it(tmp_path, write_shards):
    pairs = FramePairs(write_shards(tmp_path / "set", [[("a/x", list(range(8)))]]), image_size=8)
    assert len(pairs) == 3
    seen = currents(take(pairs, 2))
    assert all(len(set(seen[k : k + 3])) == 3 for k in range(0, 15, 3))


def test_damage_met_by_a_reader_thread_reaches_the_consumer_as_it_is(pairs):
    path, offset, length = pairs.source.locate(10)
    content = bytearray(path.read_bytes())
    content[offset + 12 + length // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError) as error:
        take(pairs, 4)
    assert type(error.value) is UserError
    assert f"record 10 at byte offset {offset}" in str(error.value)


def test_closing_ends_the_threads_and_may_come_before_the_first_batch(pairs):
    before = set(threading.enumerate())
    take(pairs, 3)
    pretraining_batches(pairs, batch_size=BATCH, seed=0).close()
    left = {thread for thread in set(threading.enumerate()) - before if "mubert" in thread.name}
    assert not left


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size 0"),
        ({"seed": -1}, "seed -1"),
        ({"seed": 2**32}, "seed 4294967296"),
        ({"reader_threads": 0}, "reader_threads 0"),
        ({"prefetch": 0}, "prefetch 0"),
    ],
)
def test_impossible_options_are_refused_at_once(pairs, options, message):
    with pytest.raises(UserError, match=message):
        pretraining_batches(pairs, **{"batch_size": BATCH, "seed": 0, **options})


@pytest.mark.parametrize("rows", [[], [-1], [3, 8]], ids=str)
def test_rows_that_no_batch_has(pairs, rows):
    with pytest.raises(ValueError, match="of a batch of 8"):
        pretraining_batches(pairs, batch_size=BATCH, seed=0, rows=rows)
