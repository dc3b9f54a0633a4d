"""Small clips, image folders and data sets, made on the fly."""

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from rich.console import Console

from mubert_jax.data.faces import Detection
from mubert_jax.data.prepare import prepare
from mubert_jax.data.records import FrameRecord, encode_frame, encode_image
from mubert_jax.data.tfrecord import TFRecordWriter

SIZE = 32


def noise_image(seed: int, size: int = SIZE) -> np.ndarray:
    """(size, size, 3) uint8 noise, another for each seed."""
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), np.uint8)


@pytest.fixture
def quiet() -> Console:
    """A console that shows nothing."""
    return Console(quiet=True)


@pytest.fixture
def make_images() -> Callable[..., Path]:
    """Writes a folder of numbered PNG frames of noise."""

    def make(folder: Path, numbers, size: int = SIZE, seed: int = 0, name: str = "img{}.png"):
        folder.mkdir(parents=True, exist_ok=True)
        for number in numbers:
            encoded = encode_image(noise_image(1000 * seed + number, size), "png")
            (folder / name.format(number)).write_bytes(encoded)
        return folder

    return make


@pytest.fixture
def make_video() -> Callable[..., Path]:
    """Writes a Motion-JPEG video; every frame is of one grey, 10 times its number."""

    def make(path: Path, frames: int, width: int = 64, height: int = 48) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        codec = cv2.VideoWriter.fourcc(*"MJPG")
        writer = cv2.VideoWriter(str(path), codec, 25.0, (width, height))
        assert writer.isOpened()
        for number in range(frames):
            writer.write(np.full((height, width, 3), 10 * number, np.uint8))
        writer.release()
        return path

    return make


@pytest.fixture
def write_shards() -> Callable[..., Path]:
    """Writes shards of tiny frame records; `shards` lists (video, frame numbers) for each shard.

    The subject of video "a/x" is "a". The colour of a frame tells video and number apart.
    """

    def write(folder: Path, shards: list[list[tuple[str, list[int]]]], size: int = 8) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for shard, clips in enumerate(shards):
            name = f"frames-train.tfrecord-{shard:05d}-of-{len(shards):05d}"
            with TFRecordWriter(folder / name) as writer:
                for video, numbers in clips:
                    for number in numbers:
                        colour = (number % 256, number // 256 % 256, sum(video.encode()) % 256)
                        image = encode_image(np.full((size, size, 3), colour, np.uint8), "png")
                        record = FrameRecord(image, video, number, video.split("/")[0])
                        writer.write(encode_frame(record))
        (folder / "dataset_info.json").write_text("{}")
        return folder

    return write


@pytest.fixture(scope="session")
def _prepared_once(tmp_path_factory) -> Path:
    """A data set of six clips of three subjects in three shards, prepared from image folders."""
    from mubert_jax.data.plan import PrepareOptions

    root = tmp_path_factory.mktemp("prepared")
    for clip in range(6):
        folder = root / "input" / f"s{clip // 2}" / f"clip{clip}"
        folder.mkdir(parents=True)
        for number in range(1, 9):
            image = encode_image(noise_image(100 * clip + number), "png")
            (folder / f"img{number}.png").write_bytes(image)
    options = PrepareOptions(size=SIZE, crop="none", workers=3)
    prepare("frames", root / "input", root / "set", options, Console(quiet=True))
    return root


@pytest.fixture
def frame_input(_prepared_once) -> Path:
    """The image folders that `prepared` is made of; to be read only."""
    return _prepared_once / "input"


@pytest.fixture
def prepared(_prepared_once, tmp_path) -> Path:
    """A copy of the data set of `frame_input` that a test may damage."""
    return shutil.copytree(_prepared_once / "set", tmp_path / "prepared")


@pytest.fixture
def detect_bright(monkeypatch):
    """Puts a detector in place of Haar: the brightest region of a frame is its face."""

    def detect(image: np.ndarray) -> list[Detection]:
        rows, columns = np.nonzero(image.min(axis=2) > 200)
        if not len(rows):
            return []
        x, y = columns.min(), rows.min()
        return [Detection(x, y, columns.max() - x + 1, rows.max() - y + 1, 1.0)]

    monkeypatch.setattr("mubert_jax.data.prepare.make_detector", lambda name: detect)
    return detect
