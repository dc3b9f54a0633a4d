"""Writing one shard of clips: detect, crop, align, encode."""

import json
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Executor, Future
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mubert_jax.data.alignment import aligned
from mubert_jax.data.clips import Clip
from mubert_jax.data.faces import (
    SAMPLED_FRAMES,
    Box,
    Detector,
    center_box,
    clip_box,
    crop_and_resize,
)
from mubert_jax.data.files import replacing, write_text
from mubert_jax.data.names import printable
from mubert_jax.data.oddities import DARK, DARKEST, FramesSeen
from mubert_jax.data.plan import PrepareOptions
from mubert_jax.data.progress import ClipProgress
from mubert_jax.data.records import FrameRecord, encode_frame, encode_image
from mubert_jax.data.report import ClipReport
from mubert_jax.data.tfrecord import TFRecordWriter
from mubert_jax.errors import UserError

NO_FACE = "no face found"
_FEWEST = 2  # a movement takes two frames


class StoppedError(Exception):
    """Another shard failed or the user interrupted; this one gives up without a report."""


@dataclass(frozen=True)
class ShardWriter:
    """Writes shards; `write` may run in several threads, all sharing one pool of encoders.

    Attributes:
      options: how to crop, align and encode.
      detector: finds faces; None where the crop needs none.
      encoders: the pool that aligns and encodes frames.
      progress: is told of every frame and clip.
      stop: makes every `write` raise StoppedError soon.
    """

    options: PrepareOptions
    detector: Detector | None
    encoders: Executor
    progress: ClipProgress
    stop: threading.Event

    def write(self, path: Path, clips: Sequence[Clip]) -> list[ClipReport]:
        """Writes `path` and, when that is safe on the disk, its report beside it (.json).

        A clip that cannot be read or shows no face is dropped whole, and reported.
        """
        reports = []
        with replacing(path) as temporary, TFRecordWriter(temporary) as writer:
            for clip in clips:
                start = writer.tell()
                try:
                    reports.append(self._write_clip(writer, clip))
                except UserError as error:
                    writer.truncate(start)
                    reason = printable(str(error))
                    reports.append(ClipReport(clip.name, clip.subject, "dropped", reason))
                self.progress.clip(clip.name, len(reports[-1].frames))
        write_text(path.with_suffix(".json"), json.dumps([asdict(report) for report in reports]))
        return reports

    def _write_clip(self, writer: TFRecordWriter, clip: Clip) -> ClipReport:
        box, shape = self._box(clip)
        pending: deque[tuple[int, Future[bytes]]] = deque()
        numbers: list[int] = []
        lengths: list[int] = []

        def write_oldest() -> None:
            number, record = pending.popleft()
            data = record.result()
            writer.write(data)
            numbers.append(number)
            lengths.append(len(data))
            self.progress.frame()

        template = None
        look = FramesSeen()
        for number, image in clip.frames:
            if self.stop.is_set():
                raise StoppedError
            look.add(image)
            image = crop_frame(image, shape, box, self.options.size)
            template = image if template is None else template
            pending.append(
                (number, self.encoders.submit(self._encode, image, template, clip, number))
            )
            if len(pending) > 2 * self.options.threads:
                write_oldest()
        while pending:
            write_oldest()
        if len(numbers) < _FEWEST:
            raise UserError("a single frame; a movement takes two")
        notes = [*look.notes(numbers, clip.num_frames), clip.frames.note]
        note = "; ".join(filter(None, notes))
        return ClipReport(clip.name, clip.subject, "kept", note, box, numbers, lengths)

    def _box(self, clip: Clip) -> tuple[Box | None, tuple[int, int]]:
        if self.detector is None:
            first = next(iter(clip.frames))[1]
            return (center_box(first) if self.options.crop == "center" else None), first.shape[:2]
        sample = clip.frames.sample(SAMPLED_FRAMES)
        box = clip_box(sample, self.detector, self.options.margin)
        if box is None:
            dark = f"; they are {DARK}" if max(map(np.max, sample)) < DARKEST else ""
            raise UserError(f"{NO_FACE} in any of {len(sample)} frames tried{dark}")
        return box, sample[0].shape[:2]

    def _encode(self, image: np.ndarray, template: np.ndarray, clip: Clip, number: int) -> bytes:
        if self.options.align != "none" and image is not template:
            image = aligned(self.options.align, image, template)
        encoded = encode_image(image, self.options.encoding)
        face = clip.frames.face(number)
        return encode_frame(FrameRecord(encoded, clip.name, number, clip.subject, face))


def read_shard_report(path: Path) -> list[ClipReport] | None:
    """The report of the shard at `path`; None where the shard is not finished."""
    try:
        rows: list[dict[str, Any]] = json.loads(path.with_suffix(".json").read_text())
    except FileNotFoundError:
        return None
    return [replace(ClipReport(**row), box=row["box"] and Box(*row["box"])) for row in rows]


def crop_frame(image: np.ndarray, shape: tuple[int, int], box: Box | None, size: int) -> np.ndarray:
    """The box of a frame as (size, size, 3) uint8.

    A frame is first brought to `shape`, (height, width), which the box belongs to.
    """
    if box is not None and image.shape[:2] != shape:
        image = cv2.resize(image, shape[::-1], interpolation=cv2.INTER_AREA)
    return crop_and_resize(image, box, size)
