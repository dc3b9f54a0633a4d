"""`mubert bench input`: the input pipeline against bare decoding of the same frames."""

import os
import tempfile
from pathlib import Path

import numpy as np
from rich.console import Console

from mubert_jax.config_parts import InputPart
from mubert_jax.data.frames import FramePairs
from mubert_jax.data.prepare import PrepareOptions, prepare
from mubert_jax.data.rates import decode_rate, pipeline_rate
from mubert_jax.data.records import encode_image


def bench_input(
    data: Path | None, config: InputPart, batch_sizes: list[int], seconds: float, console: Console
) -> list[dict]:
    """Pairs/s of `pretraining_batches` and of reading + decoding alone, in turns on the same cores.

    `config.model.image_size` is the side of the frames stored in `data`; without `data`, PNG frames
    of that size, smooth and noisy like a face, are made in a temporary folder.
    """
    size = config.model.image_size
    with tempfile.TemporaryDirectory() as folder:
        if data is None:
            data = _noise_frames(Path(folder), size, console)
        pairs = FramePairs(data, image_size=size)
        return [_measure(pairs, batch_size, seconds, console) for batch_size in batch_sizes]


def _measure(pairs, batch_size, seconds, console, turns: int = 3):
    threads = len(os.sched_getaffinity(0))
    bare, whole = [], []
    for turn in range(turns):
        console.print(f"batch {batch_size}: turn {turn + 1} of {turns}", highlight=False)
        bare.append(decode_rate(pairs, seconds, threads) / 2)
        whole.append(pipeline_rate(pairs, seconds, threads, batch_size) / 2)
    return {
        "image": pairs.image_size,
        "batch": batch_size,
        "threads": threads,
        "pipeline, pairs/s": float(np.median(whole)),
        "bare decoding, pairs/s": float(np.median(bare)),
        "ratio": float(np.median(np.array(whole) / np.array(bare))),
    }


def _noise_frames(folder: Path, size: int, console: Console, count: int = 128) -> Path:
    frames = folder / "clip"
    frames.mkdir()
    random = np.random.default_rng(0)
    smooth = np.cumsum(random.integers(-3, 4, (size, size, 3)), axis=1) + 128
    for i in range(count):
        image = np.clip(smooth + random.integers(-2, 3, smooth.shape) + i, 0, 255).astype(np.uint8)
        (frames / f"img{i}.png").write_bytes(encode_image(image, "png"))
    output = folder / "data"
    prepare("frames", frames, output, PrepareOptions(size=size, crop="none"), console)
    return output
