"""`mubert prepare casme2` and the like: annotated clips in, a data set of pairs out."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console

from mubert_jax.data.alignment import aligned
from mubert_jax.data.clips import Clip
from mubert_jax.data.faces import Box, center_box, clip_box, crop_and_resize
from mubert_jax.data.labelled.annotation import NO_MOVEMENT
from mubert_jax.data.labelled.apex import SIDE, automatic_apex
from mubert_jax.data.labelled.collected import Collected, PairOptions
from mubert_jax.data.labelled.report import PairsReport, save_report
from mubert_jax.data.plan import Plan
from mubert_jax.data.prepare import SetKind, make_set
from mubert_jax.data.records import PairRecord, encode_image, encode_pair
from mubert_jax.data.report import ClipReport
from mubert_jax.data.sets import load_set
from mubert_jax.data.shards import NO_FACE, ShardWriter, StoppedError, crop_frame
from mubert_jax.data.tfrecord import TFRecordWriter
from mubert_jax.errors import UserError

Where = str | os.PathLike | Mapping[str, str | os.PathLike] | None


class PairWriter(ShardWriter):
    """Writes shards of `PairRecord`s, both images cropped by one box, that of the onset's face.

    `write` takes clips with one interval each.
    """

    def _write_clip(self, writer: TFRecordWriter, clip: Clip) -> ClipReport:
        if self.stop.is_set():
            raise StoppedError
        (interval,) = clip.intervals
        number, spread = interval.apex, interval.spread
        if number is None:
            frames = clip.frames.read((interval.onset, *interval.candidates))
            _, first = next(frames)
            box = self._onset_box(first)
            number = _find_apex(first, frames, box)
            images = dict(clip.frames.read({number, *spread}))
        else:
            images = dict(clip.frames.read({interval.onset, number, *spread}))
            first = images[interval.onset]
            box = self._onset_box(first)
        onset = crop_and_resize(first, box, self.options.size)

        def as_onset(image: np.ndarray) -> np.ndarray:
            return crop_frame(image, first.shape[:2], box, self.options.size)

        def stored(image: np.ndarray) -> bytes:
            registered = aligned(self.options.align, as_onset(image), onset)
            return encode_image(registered, self.options.encoding)

        still = NO_MOVEMENT if np.array_equal(onset, as_onset(images[number])) else ""
        encoded = {number: stored(images[number]) for number in {number, *spread}}
        annotation = interval.annotation
        data = encode_pair(
            PairRecord(
                onset=encode_image(onset, self.options.encoding),
                apex=encoded[number],
                label=interval.label,
                emotion=annotation.emotion,
                subject=clip.subject,
                clip=annotation.clip,
                dataset=annotation.dataset,
                onset_frame=interval.onset,
                apex_frame=number,
                offset_frame=interval.offset,
                fps=interval.fps,
                action_units=annotation.action_units,
                face_box=(box.x, box.y, box.side, box.side) if box else (0, 0, *first.shape[1::-1]),
                apex_source=interval.apex_source,
                clip_frames=tuple(encoded[number] for number in spread),
            )
        )
        writer.write(data)
        self.progress.frame()
        return ClipReport(
            clip.name,
            clip.subject,
            "kept",
            "; ".join(filter(None, (clip.frames.note, still))),
            box,
            [interval.onset],
            [len(data)],
            number,
        )

    def _onset_box(self, onset: np.ndarray) -> Box | None:
        if self.detector is None:
            return center_box(onset) if self.options.crop == "center" else None
        box = clip_box([onset], self.detector, self.options.margin)
        if box is None:
            raise UserError(f"{NO_FACE} in the onset frame; if it is cropped already: --crop none")
        return box


def _find_apex(onset: np.ndarray, later: Iterator[tuple[int, np.ndarray]], box: Box | None) -> int:
    """The number of the frame after the onset in which the face differs most from it."""
    numbers, frames = [], []
    for number, image in later:
        numbers.append(number)
        frames.append(crop_frame(image, onset.shape[:2], box, SIDE))
    return numbers[automatic_apex(crop_and_resize(onset, box, SIDE), frames)]


class PairSet(SetKind[PairsReport]):
    """A `pairs` set.

    Args:
      source: the name of the data set's module.
      collected: its clips, and what was found besides.
    """

    kind = "pairs"
    writer = PairWriter

    def __init__(self, source: str, collected: Collected):
        self.emotions = collected.classes
        self.clip_frames = len(collected.clips[0].intervals[0].spread)
        self._source = source
        self._collected = collected

    def save_report(self, output: Path, clips: Sequence[ClipReport]) -> None:
        title = f"{self._source}, {len(self.emotions)} classes"
        save_report(output, title, self._collected, clips)

    def load_report(self, output: Path) -> PairsReport:
        return PairsReport.load(output, self._collected)

    def describe(self, report: PairsReport, source: str) -> str:
        return f"Onset and apex of {report.kept} clips, made by `mubert prepare {source}`."


def prepare_pairs(
    source: str,
    input: Where,
    output: str | os.PathLike,
    options: PairOptions | None = None,
    annotation: Where = None,
    console: Console | None = None,
) -> PairsReport:
    """Makes a `pairs` data set of every clip that can be used; restarts as `prepare` does.

    Args:
      source: the name of a module in `mubert_jax.data.sets` that defines `SET`.
      input: the folder with the frames; for a composite, one folder by the name of each member; for
        "pairs", the folder that the table's paths are relative to, the table's own if None.
      output: the folder for the data set; new, empty, or begun by the same command.
      options: the classes, and how to crop and store.
      annotation: the sheet (by member for a composite); None looks for it in the input.
      console: where progress is shown; stderr if None.

    Raises:
      UserError: as for `prepare` and `LabelledSet.collect`.
    """
    options = options or PairOptions()
    place, sheet = _paths(input), _paths(annotation)
    collected = load_set(source).SET.collect(place, sheet, options)
    if place is None and isinstance(sheet, Path):
        place = sheet.parent
    return store(source, _shown(place), collected, output, options, console)


def store(
    source: str,
    input: object,
    collected: Collected,
    output: str | os.PathLike,
    options: PairOptions,
    console: Console | None,
) -> PairsReport:
    """Makes the data set of what was `collected`, as `prepare_pairs`; the plan names `input`."""
    clips = sorted(collected.clips, key=lambda clip: clip.name)
    plan = Plan.make(source, input, options, clips)
    content = f"{len(clips)} clips ({collected.fingerprint})"
    plan = replace(plan, options=plan.options | {"annotation": content})
    recipe, console = PairSet(source, collected), console or Console(stderr=True)
    return make_set(recipe, plan, clips, Path(output), options, console)


def _paths(where: Where) -> Path | dict[str, Path] | None:
    if isinstance(where, Mapping):
        return {name: Path(path).expanduser() for name, path in where.items()}
    return None if where is None else Path(where)


def _shown(input: Path | dict[str, Path] | None) -> Path | str | None:
    if isinstance(input, dict):
        return " ".join(f"{name}={path.resolve()}" for name, path in sorted(input.items()))
    return input
