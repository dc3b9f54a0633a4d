"""Labelled pairs of synthetic people, whose emotions are the action units that they move."""

import csv
import dataclasses
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
from rich.console import Console

from mubert_jax.data.labelled.collected import PairOptions
from mubert_jax.data.labelled.pair_table import PairTable
from mubert_jax.data.labelled.prepare import store
from mubert_jax.data.labelled.report import PairsReport
from mubert_jax.data.searching import PassedOver
from mubert_jax.data.sets.synthetic import Cast
from mubert_jax.errors import UserError
from mubert_jax.synthetic.clip import VISIBLE, SyntheticClip, check_amplitudes

# Its stem names the data set in every record and prediction, including those of older folders.
TABLE = "controlled.csv"


@dataclasses.dataclass(frozen=True)
class EmotionalCast(Cast):
    """Clips of which each shows an emotion.

    Attributes:
      individual: whether everybody shows an emotion in a way of their own.
      amplitudes: the range of the largest movement, in pixels of a 224-pixel frame.
      key_frame_error: how many frames onset and apex may be wrong by, either way.
    """

    individual: bool = False
    amplitudes: tuple[float, float] = VISIBLE
    key_frame_error: int = 0

    def __post_init__(self):
        super().__post_init__()
        check_amplitudes(self.amplitudes)
        if not 0 <= 2 * self.key_frame_error < self.frames:
            raise UserError(
                f"--key-frame-error {self.key_frame_error}: choose 0 to {(self.frames - 1) // 2}, "
                f"less than half of {self.frames} frames"
            )

    def key_frames(self, clip: SyntheticClip) -> tuple[int, int]:
        """Onset and apex as they are annotated."""
        random = np.random.default_rng([self.seed, clip.subject, clip.index, 7])
        error = self.key_frame_error
        wrong = random.integers(-error, error + 1, 2) + (clip.course.onset, clip.course.apex)
        onset, apex = sorted(np.clip(wrong, 0, self.frames - 1).tolist())
        onset = min(onset, self.frames - 2)
        return onset, max(apex, onset + 1)


def prepare_synthetic(
    cast: EmotionalCast,
    output: str | os.PathLike,
    options: PairOptions,
    console: Console | None = None,
) -> PairsReport:
    """Draws the onset and the apex of every clip of `cast`, and makes a `pairs` set of them.

    With `options.clip_frames`, all frames from the onset to the offset are drawn.

    Raises:
      UserError: as for `prepare`.
    """
    with TemporaryDirectory() as folder:
        record(cast, Path(folder), whole=options.clip_frames > 0)
        collected = PairTable().collect(Path(folder), Path(folder) / TABLE, options)
        return store("synthetic", cast, collected, output, options, console)


def record(cast: EmotionalCast, folder: Path, whole: bool = False) -> None:
    """Writes frames as PNG and `TABLE`: onset, apex, label, subject, clip, action units.

    Args:
      whole: whether all frames from the onset to the offset are written, into a folder per clip
        that the table names; else onset and apex alone.
    """
    nuisances = cast.recorded_under(PassedOver(cast.backgrounds))

    def draw(number: int, index: int) -> tuple[str, ...]:
        condition = cast.conditions[(number + index) % len(cast.conditions)]
        clip = SyntheticClip(
            number,
            index,
            cast.seed,
            nuisances[condition],
            cast.size,
            frames=cast.frames,
            amplitudes=cast.amplitudes,
            individual=cast.individual,
        )
        subject, name = f"s{number:06d}", f"{index:02d}-{condition}"
        onset, apex = cast.key_frames(clip)
        units = "+".join(map(str, clip.movement.action_units))
        said = (clip.movement.emotion, subject, name, units)
        video = f"{subject}-{index:02d}"
        if whole:
            (folder / video).mkdir()
            offset = max(apex, clip.course.offset)
            for frame in range(onset, offset + 1):
                _write(clip, frame, folder / video / f"{frame:03d}.png")
            return (str(onset), str(apex), *said, video, str(offset))
        paths = [f"{video}-{moment}.png" for moment in ("onset", "apex")]
        for path, frame in zip(paths, (onset, apex), strict=True):
            _write(clip, frame, folder / path)
        return (*paths, *said)

    numbers = range(cast.first_subject, cast.first_subject + cast.subjects)
    asked = [(number, index) for number in numbers for index in range(cast.clips)]
    with ThreadPoolExecutor() as pool:
        rows = list(pool.map(lambda clip: draw(*clip), asked))
    with open(folder / TABLE, "w", newline="") as file:
        writer = csv.writer(file)
        columns = ("onset", "apex", "label", "subject", "clip", "AU")
        writer.writerow((*columns, "video", "offset") if whole else columns)
        writer.writerows(rows)


def _write(clip: SyntheticClip, frame: int, path: Path) -> None:
    if not cv2.imwrite(str(path), cv2.cvtColor(clip.frame(frame), cv2.COLOR_RGB2BGR)):
        raise UserError(f"{path}: a frame cannot be written; free some space there")
