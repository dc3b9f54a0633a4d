"""Batches of frame pairs as a function of (seed, global step), by Grain.

The order of the transformations is the contract: shuffle over the whole data set, repeat, number
every example, batch, and only then take the requested rows. So a batch depends neither on the
number of processes or threads nor on where the stream was started.
"""

from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor

import grain
import numpy as np

from mubert_jax.data.frames import FramePairs
from mubert_jax.data.order import ShuffledEpochs
from mubert_jax.errors import UserError

# The length of the endless stream: more examples than any training will see, and few enough for
# Grain to count.
ENOUGH = 2**48


def pretraining_batches(
    pairs: FramePairs,
    *,
    batch_size: int,
    seed: int,
    start_step: int = 0,
    rows: Sequence[int] | np.ndarray | None = None,
    reader_threads: int = 8,
    prefetch: int = 4,
) -> Generator[dict[str, np.ndarray]]:
    """An endless stream of the global batches from `start_step` on, or of some rows of each.

    The data are reshuffled each epoch, an epoch may end inside a batch, and a data set smaller than
    a batch is repeated within it. Closing the iterator ends its threads.

    Args:
      pairs: the current frames and their references.
      batch_size: B, over all processes.
      seed: the seed of the order and of δ, 0 <= seed < 2**32.
      start_step: the global step of the first batch.
      rows: the b rows of every global batch that this process needs, from 0 to B - 1 and in the
        order in which it gets them; all of them if None.
      reader_threads: threads that read and decode.
      prefetch: batches prepared ahead.

    Yields:
      current, reference (b, H, W, 3) uint8 RGB; index (b,) uint32, the global index of the example;
      face (b, 4) float32, where the face is in the reference, 0 where nobody knows.

    Raises:
      UserError: the batch size or the seed is out of range, or, while iterating, an image is
        damaged.
      ValueError: no rows, or rows that no batch has.
    """
    if batch_size < 1:
        raise UserError(f"batch_size {batch_size}: choose 1 or more")
    if not 0 <= seed < 2**32:
        raise UserError(f"seed {seed}: choose 0 to {2**32 - 1}")
    for name, value in (("reader_threads", reader_threads), ("prefetch", prefetch)):
        if value < 1:
            raise UserError(f"{name} {value}: choose 1 or more")
    rows = [int(row) for row in (range(batch_size) if rows is None else rows)]
    if not rows or min(rows) < 0 or max(rows) >= batch_size:
        raise ValueError(f"rows {rows} of a batch of {batch_size}")
    shuffled = ShuffledEpochs(len(pairs), seed)

    def numbers(own_index: int) -> tuple[int, int]:
        """The global index and the current frame of this process's example `own_index`."""
        step, place = divmod(own_index, len(rows))
        global_index = step * batch_size + rows[place]
        return global_index, shuffled(global_index)

    order = grain.MapDataset.range(ENOUGH).map(numbers).batch(len(rows))[start_step:]
    return _read(pairs, order, len(rows), seed, reader_threads, prefetch)


def _read(
    pairs: FramePairs,
    order: grain.MapDataset,
    block: int,
    seed: int,
    reader_threads: int,
    prefetch: int,
) -> Generator[dict[str, np.ndarray]]:
    turns = range(min(reader_threads, block))
    shape = (block, pairs.image_size, pairs.image_size, 3)
    readers = ThreadPoolExecutor(reader_threads, "mubert-pairs")

    def read_batch(numbers: tuple[np.ndarray, np.ndarray]) -> dict[str, np.ndarray]:
        batch = {
            "current": np.empty(shape, np.uint8),
            "reference": np.empty(shape, np.uint8),
            "index": np.empty(block, np.uint32),
            "face": np.empty((block, 4), np.float32),
        }

        def read_rows(rows: range) -> None:
            for row in rows:
                out = batch["current"][row], batch["reference"][row]
                pair = pairs.pair(int(numbers[0][row]), int(numbers[1][row]), seed, out)
                batch["index"][row], batch["face"][row] = pair["index"], pair["face"]

        for _ in readers.map(read_rows, [range(n, block, reader_threads) for n in turns]):
            pass
        return batch

    options = grain.ReadOptions(num_threads=prefetch, prefetch_buffer_size=prefetch)
    batches = iter(order.map(read_batch).to_iter_dataset(options))
    try:
        yield from batches
    finally:
        batches.close()
        readers.shutdown(wait=True, cancel_futures=True)
