"""`mubert magnify`: images and videos whose movement MagNet magnifies."""

import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console

from mubert_jax.data.files import replacing, write_text, writing_errors
from mubert_jax.data.progress import ClipProgress
from mubert_jax.data.video import (
    announced_frames,
    frame_rate,
    read_images,
    read_video,
    write_video,
)
from mubert_jax.errors import UserError
from mubert_jax.models.magnet import PAPER
from mubert_jax.motion_maps.magnet import WEIGHTS, Magnifier, magnifier, magnifier_of_file
from mubert_jax.objectives import kind_of
from mubert_jax.objectives.magnet import MagNetObjective
from mubert_jax.training.checkpoints import load_weights

IMAGES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")
VIDEOS = (".mp4",)
REMEDY = "choose another --output"
# Which frame of a video each one is compared with.
FIRST, PREVIOUS = "first", "previous"


def open_magnifier(weights: Path | None) -> Magnifier:
    """The magnifier of a run's folder or of a file; of `MUBERT_MAGNET` for None.

    Raises:
      UserError: there are no weights, they are damaged, or they are not MagNet's.
    """
    if weights is None and WEIGHTS.path() is None:
        raise UserError(f"MagNet {WEIGHTS.lacks()}; or give --weights=FILE or a run's folder")
    path = weights or WEIGHTS.required()
    if not path.is_dir():
        return magnifier_of_file(path)
    config, trained = load_weights(path)
    if not issubclass(kind_of(config), MagNetObjective):
        raise UserError(
            f"{path} was pretrained with config.objective.name={config.objective.name!r}, which "
            "does not magnify; give a run of configs/baselines/magnet.py"
        )
    return magnifier(PAPER, trained.params)


def magnify_images(
    magnify: Magnifier, onset: Path, apex: Path, factor: float, output: Path, console: Console
) -> None:
    """Writes the apex, `factor` times as far from the onset, and what was done beside it.

    Raises:
      UserError: an image cannot be read, they differ in size, or `output` cannot be written.
    """
    first, second = read_images((onset, apex))
    if first.shape != second.shape:
        sizes = (f"{x.shape[1]}x{x.shape[0]}" for x in (first, second))
        raise UserError(f"{onset} and {apex} have {' and '.join(sizes)} pixels; cut them alike")
    picture = cv2.cvtColor(_levels(magnify(first, second, factor)), cv2.COLOR_RGB2BGR)
    encoded = cv2.imencode(output.suffix.lower() or IMAGES[0], picture)[1]
    with writing_errors(output, REMEDY):
        output.parent.mkdir(parents=True, exist_ok=True)
        with replacing(output) as temporary:
            temporary.write_bytes(encoded.tobytes())
    _report(output, console, onset=str(onset), apex=str(apex), frames=1, factor=factor)


def magnify_video(
    magnify: Magnifier, video: Path, reference: str, factor: float, output: Path, console: Console
) -> None:
    """Writes every frame, `factor` times as far from its reference, and what was done beside it.

    Frames pass one by one, so that the memory does not depend on how many there are. The first one
    is magnified against itself.

    Args:
      reference: `FIRST` or `PREVIOUS`: the frame from which movements are.

    Raises:
      UserError: the video cannot be read, its frames are too small, or `output` cannot be written.
    """
    fps, numbers = frame_rate(video), []

    def magnified() -> Iterator[np.ndarray]:
        before = None
        for number, frame in read_video(video):
            before = frame if before is None else before
            yield _levels(magnify(before, frame, factor))
            before = frame if reference == PREVIOUS else before
            numbers.append(number)
            progress.frame()

    with (
        writing_errors(output, REMEDY),
        ClipProgress(console, {video.name: announced_frames(video)}) as progress,
    ):
        output.parent.mkdir(parents=True, exist_ok=True)
        with replacing(output) as temporary:
            write_video(magnified(), fps, temporary, "magnify pairs of images instead")
    missing = numbers[-1] + 1 - len(numbers)
    if missing:
        console.print(
            f"{video}: {missing} frame(s) could not be decoded and are left out",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
    _report(
        output,
        console,
        video=str(video),
        frames=len(numbers),
        missing=missing,
        fps=fps,
        factor=factor,
        reference=reference,
    )


def _levels(frame: np.ndarray) -> np.ndarray:
    return np.round(frame).astype(np.uint8)


def _report(output: Path, console: Console, **done: object):
    beside = output.with_suffix(".json")
    with writing_errors(beside, REMEDY):
        write_text(beside, json.dumps(done, indent=2) + "\n")
    console.print(
        f"{done['frames']} frame(s), movements {done['factor']:g} times as large: {output}",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
