"""How fast the input pipeline is, and the yardstick it is held to."""

import itertools
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np

from mubert_jax.data.frames import FramePairs
from mubert_jax.data.pipeline import pretraining_batches
from mubert_jax.data.records import decode_frame

# Enough to spread the reads over the shards; each is read once, to find its image, before the time
# starts.
_SAMPLED_RECORDS = 4096


def decode_rate(pairs: FramePairs, seconds: float, threads: int) -> float:
    """Images per second of only `pread` and `cv2.imdecode`, for the data set's own frames.

    Reads in random order from `threads` threads for `seconds`; no CRC, no protocol buffer, no copy,
    so it bounds what any pipeline can reach on the same processors.
    """
    source = pairs.source
    records = np.random.default_rng(0).permutation(len(source))[:_SAMPLED_RECORDS]
    images = []
    for number in records:
        path, offset, length = source.locate(number)
        image = decode_frame(source[number]).image
        with open(path, "rb") as file:
            file.seek(offset)
            start = file.read(length + len(image)).index(image)
        images.append((path, offset + start, len(image)))
    descriptors = {path: os.open(path, os.O_RDONLY) for path in {path for path, _, _ in images}}
    turns = itertools.count()
    lock = threading.Lock()
    end = time.perf_counter() + seconds

    def read() -> int:
        done = 0
        while time.perf_counter() < end:
            with lock:
                turn = next(turns)
            path, offset, length = images[turn % len(images)]
            encoded = os.pread(descriptors[path], length, offset)
            cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)
            done += 1
        return done

    start_time = time.perf_counter()
    try:
        with ThreadPoolExecutor(threads) as pool:
            done = sum(future.result() for future in [pool.submit(read) for _ in range(threads)])
        return done / (time.perf_counter() - start_time)
    finally:
        for descriptor in descriptors.values():
            os.close(descriptor)


def pipeline_rate(
    pairs: FramePairs, seconds: float, threads: int, batch_size: int, prefetch: int = 4
) -> float:
    """Images per second (two per pair) of `pretraining_batches`, once it runs steadily."""
    batches = pretraining_batches(
        pairs, batch_size=batch_size, seed=0, reader_threads=threads, prefetch=prefetch
    )
    try:
        for _ in range(prefetch + 1):
            next(batches)
        start, done = time.perf_counter(), 0
        while time.perf_counter() - start < seconds:
            next(batches)
            done += 2 * batch_size
        return done / (time.perf_counter() - start)
    finally:
        batches.close()
