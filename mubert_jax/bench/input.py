"""`mubert bench input`: the input pipeline against bare decoding of the same frames."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from rich.console import Console

from mubert_jax.config import Config
from mubert_jax.config_parts import InputPart
from mubert_jax.data.frames import FramePairs
from mubert_jax.data.prepare import PrepareOptions, prepare
from mubert_jax.data.rates import decode_rate, pipeline_rate
from mubert_jax.data.records import encode_image

# The fewest turns of which the median leaves out one that was disturbed.
TURNS = 3
# How many noise frames are made: more would vary the reads, and take longer to make.
NOISE_FRAMES = 128


def bench_input(
    data: Path | None,
    config: Annotated[Config, InputPart],
    batch_sizes: Sequence[int],
    seconds: float,
    console: Console,
) -> list[dict[str, Any]]:
    """Times `pretraining_batches` and bare reading and decoding, in turns on the same cores.

    `config.model.image_size` is the side of the frames stored in `data`; without `data`, PNG frames
    of that size, smooth and noisy like a face, are made in a temporary folder.

    Returns one dict per batch size: the pairs per second of both, and their ratio.
    """
    size = config.model.image_size
    with tempfile.TemporaryDirectory() as folder:
        if data is None:
            data = _noise_frames(Path(folder), size, console)
        pairs = FramePairs(data, image_size=size)
        return [_measure(pairs, batch_size, seconds, console) for batch_size in batch_sizes]


def _measure(
    pairs: FramePairs, batch_size: int, seconds: float, console: Console
) -> dict[str, Any]:
    threads = len(os.sched_getaffinity(0))
    bare, whole = [], []
    for turn in range(TURNS):
        console.print(f"batch {batch_size}: turn {turn + 1} of {TURNS}", highlight=False)
        # The rates are of images.
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


def _noise_frames(folder: Path, size: int, console: Console) -> Path:
    frames = folder / "clip"
    frames.mkdir()
    random = np.random.default_rng(0)
    smooth = np.cumsum(random.integers(-3, 4, (size, size, 3)), axis=1) + 128
    for i in range(NOISE_FRAMES):
        image = np.clip(smooth + random.integers(-2, 3, smooth.shape) + i, 0, 255).astype(np.uint8)
        (frames / f"img{i}.png").write_bytes(encode_image(image, "png"))
    output = folder / "data"
    prepare("frames", frames, output, PrepareOptions(size=size, crop="none"), console)
    return output
