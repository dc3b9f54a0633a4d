"""`mubert prepare`: clips in, a data set of records out, safe to kill and to start again.

While it runs, everything but the plan is in `.progress/`: one shard file and one report per
finished shard. The shards get their final names, and the folder its `dataset_info.json`, only when
all are there, so a half-made folder never looks whole.
"""

import os
import shutil
import threading
from abc import ABC, abstractmethod
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Any, Generic, TypeVar

import cv2
from rich.console import Console

from mubert_jax.data.clips import Clip
from mubert_jax.data.faces import Detector, make_detector
from mubert_jax.data.files import exclusive, writing_errors
from mubert_jax.data.index import Index
from mubert_jax.data.layouts import with_subjects
from mubert_jax.data.mended import changed_since
from mubert_jax.data.metadata import INFO_FILE, shard_name, write_metadata
from mubert_jax.data.plan import PLAN_FILE, PROGRESS_FOLDER, Plan, PrepareOptions
from mubert_jax.data.progress import ClipProgress
from mubert_jax.data.records import load_protos
from mubert_jax.data.report import (
    ClipReport,
    PrepareReport,
    SetReport,
    shard_bytes,
    write_page,
    write_report,
)
from mubert_jax.data.searching import PassedOver
from mubert_jax.data.sets import is_labelled, load_set
from mubert_jax.data.sets.synthetic import Cast
from mubert_jax.data.shards import NO_FACE, ShardWriter, read_shard_report
from mubert_jax.data.tfrecord import FRAMING_BYTES
from mubert_jax.errors import UserError

_RESUME = "run the same command again, finished shards are kept"


Report = TypeVar("Report", bound=SetReport)


class SetKind(ABC, Generic[Report]):
    """What is particular to one kind of data set, and the report of it.

    Attributes:
      kind: "frames" or "pairs".
      emotions: class names in label order; pairs only.
      clip_frames: images in each record beside onset and apex; pairs only.
      writer: the class that writes the shards.
    """

    kind: str
    emotions: tuple[str, ...] = ()
    clip_frames: int = 0
    writer: type[ShardWriter]

    @abstractmethod
    def save_report(self, output: Path, clips: Sequence[ClipReport]) -> None:
        """Writes into `output` what became of every clip, including excluded ones."""

    @abstractmethod
    def load_report(self, output: Path) -> Report:
        """The report of a complete data set."""

    @abstractmethod
    def describe(self, report: Report, source: str) -> str:
        """One sentence for readers of the data set."""


class FrameSet(SetKind[PrepareReport]):
    """A `frames` set.

    Args:
      passed: what the input holds besides clips.
    """

    kind = "frames"
    writer = ShardWriter

    def __init__(self, passed: PassedOver):
        self._passed = passed

    def save_report(self, output: Path, clips: Sequence[ClipReport]) -> None:
        write_report(output, clips)
        write_page(output, self.load_report(output))

    def load_report(self, output: Path) -> PrepareReport:
        return replace(PrepareReport.load(output), passed=self._passed)

    def describe(self, report: PrepareReport, source: str) -> str:
        return f"Frames of {report.kept} clips, made by `mubert prepare {source}`."


def prepare(
    source: str,
    input: str | os.PathLike | Cast,
    output: str | os.PathLike,
    options: PrepareOptions | None = None,
    console: Console | None = None,
) -> PrepareReport:
    """Makes a `frames` data set of all clips in `input`.

    Started again after it was killed, it goes on where it stopped; with a complete data set of the
    same plan it does nothing.

    Args:
      source: the name of a module in `mubert_jax.data.sets`, such as "video" or "frames".
      input: the file or folder with the clips; for "synthetic", whom to draw.
      output: folder for the data set; new, empty, or begun by the same command.
      options: how to crop and store.
      console: where progress is shown; stderr if None.

    Raises:
      UserError: the source is unknown, there is nothing to read, the output holds something else,
        the disk is full, or no clip shows a face.
    """
    input = input if isinstance(input, Cast) else Path(input)
    output, options = Path(output), options or PrepareOptions()
    console = console or Console(stderr=True)
    if is_labelled(source):
        raise UserError(f"{source} is a labelled set: use `prepare_pairs`")
    read_clips = load_set(source).clips
    if isinstance(input, Path) and not input.exists():
        raise UserError(f"{input}: no such file or folder; check --input")
    passed = PassedOver(input if isinstance(input, Path) else input.photos)
    clips = sorted(read_clips(input, passed), key=lambda clip: clip.name)
    if isinstance(input, Path):
        clips = with_subjects(clips, input, options.subject_folder)
    plan = Plan.make(source, input, options, clips)
    return make_set(FrameSet(passed), plan, clips, output, options, console)


def make_set(
    recipe: SetKind[Report],
    plan: Plan,
    clips: Sequence[Clip],
    output: Path,
    options: PrepareOptions,
    console: Console,
) -> Report:
    """Carries out `plan` from where an earlier run left it, and gives the recipe's report.

    Args:
      recipe: the kind of the records, and how they are reported.
      plan: the plan of this run; one that is saved in `output` must be the same.
      clips: all clips that the plan names.
      output, options, console: as for `prepare`.

    Raises UserError as `prepare` does.
    """
    saved = plan.begun(output)
    by_name = {clip.name: clip for clip in clips}
    if (output / INFO_FILE).exists():
        shutil.rmtree(output / PROGRESS_FOLDER, ignore_errors=True)
        report = recipe.load_report(output)
        tried = [by_name[name] for name in report.dropped_clips if name in by_name]
        mended = changed_since(output / PLAN_FILE, tried)
        return replace(report, already_complete=True, mended=mended)
    detector = make_detector(options.detector) if options.crop == "face" else None
    plan = saved or plan
    shards = [
        [by_name[name] for name in plan.clips[end - count : end]]
        for count, end in zip(plan.shard_clips, accumulate(plan.shard_clips), strict=True)
    ]
    with writing_errors(output, f"free some or choose another --output, then {_RESUME}"):
        progress_folder = output / PROGRESS_FOLDER
        progress_folder.mkdir(parents=True, exist_ok=True)
        with exclusive(progress_folder / "lock"):
            plan.save(output)
            for leftover in progress_folder.glob("*.tmp"):
                leftover.unlink()
            reports = _write_shards(
                recipe.writer, progress_folder, shards, options, detector, console
            )
            if not any(clip.frames for shard in reports for clip in shard):
                discard(output)
                raise _nothing_kept(plan.input, reports)
            return _finish(recipe, output, plan, options, reports)


def _shard_path(folder: Path, shard: int) -> Path:
    return folder / f"{shard:05d}.tfrecord"


@contextmanager
def single_threaded_opencv() -> Generator[None]:
    """Leaves the threads to those who call OpenCV."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)


def _write_shards(
    writer_of: type[ShardWriter],
    folder: Path,
    shards: Sequence[Sequence[Clip]],
    options: PrepareOptions,
    detector: Detector | None,
    console: Console,
) -> list[list[ClipReport]]:
    """Writes the shards that have no report yet, and gives the reports of all, in order."""
    load_protos()
    reports: dict[int, list[ClipReport]] = {}
    for shard, clips in enumerate(shards):
        if (report := _still_true(_shard_path(folder, shard), clips)) is not None:
            reports[shard] = report
    todo = [shard for shard in range(len(shards)) if shard not in reports]
    stop = threading.Event()
    with (
        ClipProgress(
            console, {clip.name: clip.num_frames for clips in shards for clip in clips}
        ) as progress,
        single_threaded_opencv(),
        ThreadPoolExecutor(options.threads, "mubert-encode") as encoders,
        ThreadPoolExecutor(options.threads, "mubert-read") as readers,
    ):
        for shard in reports:
            for clip in shards[shard]:
                progress.skip(clip.name)
        writer = writer_of(options, detector, encoders, progress, stop)
        futures = {
            readers.submit(writer.write, _shard_path(folder, shard), shards[shard]): shard
            for shard in todo
        }
        try:
            for future in as_completed(futures):
                reports[futures[future]] = future.result()
        except BaseException:
            stop.set()
            readers.shutdown(wait=False, cancel_futures=True)
            raise
    return [reports[shard] for shard in range(len(shards))]


def _still_true(path: Path, clips: Sequence[Clip]) -> list[ClipReport] | None:
    """The report of a finished shard; None if there is none or a dropped clip has changed since."""
    report = read_shard_report(path)
    dropped = {clip.name for clip in report or () if clip.status == "dropped"}
    tried = [clip for clip in clips if clip.name in dropped and path.exists()]
    return None if tried and changed_since(path.with_suffix(".json"), tried) else report


def discard(output: Path) -> None:
    """Leaves nothing of a run that could use no clip."""
    shutil.rmtree(output / PROGRESS_FOLDER)
    (output / PLAN_FILE).unlink()
    if not any(output.iterdir()):
        output.rmdir()


def _nothing_kept(input: str, reports: list[list[ClipReport]]) -> UserError:
    dropped = [clip for shard in reports for clip in shard]
    if all(clip.reason.startswith(NO_FACE) for clip in dropped):
        return UserError(
            f"{input}: no face found in any of {len(dropped)} clips; use --crop center or "
            "--crop none if the frames are faces already, or --detector PATH of a YuNet .onnx file"
        )
    return UserError(
        f"{input}: none of {len(dropped)} clips could be used; the first: "
        f"{dropped[0].name}: {dropped[0].reason}"
    )


def _finish(
    recipe: SetKind[Report],
    output: Path,
    plan: Plan,
    options: PrepareOptions,
    reports: list[list[ClipReport]],
) -> Report:
    """Names the shards, then writes report, index and metadata; can be killed and run again."""
    folder = output / PROGRESS_FOLDER
    filled = [n for n, shard in enumerate(reports) if any(clip.frames for clip in shard)]
    for final, shard in enumerate(filled):
        path = output / shard_name(recipe.kind, final, len(filled))
        if _shard_path(folder, shard).exists():
            os.replace(_shard_path(folder, shard), path)
        size = sum(n + FRAMING_BYTES for clip in reports[shard] for n in clip.lengths)
        if not path.exists() or path.stat().st_size != size:
            raise UserError(
                f"{path}: lost or changed since it was written; delete {output} and run "
                "`mubert prepare` again"
            )
    clips = [clip for shard in reports for clip in shard]
    excluded = [ClipReport(name, subject, "excluded") for name, subject in plan.excluded]
    recipe.save_report(output, clips + excluded)
    _index(output, [reports[shard] for shard in filled]).save(output)
    report = recipe.load_report(output)
    write_metadata(
        output,
        kind=recipe.kind,
        shard_lengths=[sum(len(clip.frames) for clip in reports[shard]) for shard in filled],
        num_bytes=shard_bytes(output),
        size=options.size,
        encoding=options.encoding,
        description=recipe.describe(report, plan.source),
        emotions=recipe.emotions,
        clip_frames=recipe.clip_frames,
    )
    shutil.rmtree(folder)
    return report


def _index(output: Path, reports: list[list[ClipReport]]) -> Index:
    columns: dict[str, list[Any]] = {
        name: [] for name in ("shard", "offset", "length", "videos", "frame", "subjects")
    }
    for shard, clips in enumerate(reports):
        offset = 0
        for clip in clips:
            for frame, length in zip(clip.frames, clip.lengths, strict=True):
                row = (shard, offset, length, clip.name, frame, clip.subject)
                for column, value in zip(columns.values(), row, strict=True):
                    column.append(value)
                offset += length + FRAMING_BYTES
    return Index.from_columns(output, **columns)
