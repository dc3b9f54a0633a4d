"""`mubert prepare synthetic --long`: long videos of drawn people, and the tables of their truth.

A folder gets its `videos.csv` last of all, so a half-made one never looks whole; videos that are
finished are kept when a run is killed.
"""

import dataclasses
import os
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console

from mubert_jax.data.files import exclusive, replacing, writing_errors
from mubert_jax.data.lossless import (
    remove,
    remove_half_written,
    write_lossless,
    writes_lossless_video,
)
from mubert_jax.data.plan import PROGRESS_FOLDER, Plan, PrepareOptions
from mubert_jax.data.prepare import single_threaded_opencv
from mubert_jax.data.progress import ClipProgress
from mubert_jax.errors import UserError
from mubert_jax.spotting.intervals import Interval, write_intervals
from mubert_jax.spotting.long_report import LongReport
from mubert_jax.spotting.videos import (
    EVENTS_FILE,
    INTERVALS_FILE,
    VIDEOS_FILE,
    LongVideoFile,
    write_videos,
)
from mubert_jax.synthetic.events import EXPRESSIONS
from mubert_jax.synthetic.long_conditions import LONG_CONDITIONS, known_long_conditions
from mubert_jax.synthetic.long_video import LongVideo

FOLDER = "videos"
_RESUME = "run the same command again, finished videos are kept"


@dataclasses.dataclass(frozen=True)
class LongCast:
    """Which long videos are made.

    Attributes:
      subjects, first_subject: how many people, and the number of the first.
      clips: videos per person.
      conditions: names of `LONG_CONDITIONS`, which the videos of a subject take in turn.
      seed: another seed makes other people.
      size: side of the frames in pixels; even, as the codec wants it.
      fps: frames per second.
      seconds: how long each video lasts.

    Raises UserError for a value out of range.
    """

    subjects: int = 10
    first_subject: int = 0
    clips: int = 1
    conditions: tuple[str, ...] = ("easy",)
    seed: int = 0
    size: int = 112
    fps: float = 30.0
    seconds: float = 120.0

    def __post_init__(self):
        for name, least in {"subjects": 1, "clips": 1, "first_subject": 0, "seed": 0}.items():
            if getattr(self, name) < least:
                flag = f"--{name.replace('_', '-')}"
                raise UserError(f"{flag} {getattr(self, name)}: choose {least} or more")
        known_long_conditions(self.conditions)
        if self.size % 2:
            raise UserError(f"--size {self.size}: choose an even number of pixels")

    def __str__(self):
        values = dataclasses.asdict(self) | {"conditions": "+".join(self.conditions)}
        return "made: " + " ".join(f"{name}={value}" for name, value in values.items())

    def videos(self) -> dict[str, tuple[str, LongVideo]]:
        """Name -> condition and video.

        Raises:
          UserError: as `LongVideo`, or a video is too short for what should happen in it.
        """
        found = {}
        for subject in range(self.first_subject, self.first_subject + self.subjects):
            for index in range(self.clips):
                condition = self.conditions[(subject + index) % len(self.conditions)]
                made = LongVideo(
                    subject,
                    index,
                    self.seed,
                    LONG_CONDITIONS[condition].nuisances,
                    LONG_CONDITIONS[condition].rates,
                    self.size,
                    self.fps,
                    self.seconds,
                )
                made.events  # noqa: B018 - so that a video that is too short is told at once
                found[f"{_subject(made)}_{index:02d}"] = condition, made
        return found


def prepare_long(
    cast: LongCast,
    output: str | os.PathLike,
    workers: int | None = None,
    console: Console | None = None,
) -> LongReport:
    """Draws every video of a cast, and writes what happens in it.

    Into `output` go the videos (`videos/SUBJECT/SUBJECT_NN.avi`, or folders of PNG images where
    this OpenCV has no lossless codec), `intervals.csv` (expressions), `videos.csv` and `events.csv`
    (all that happens). Started again after it was killed, it goes on where it stopped; with a
    complete folder of the same plan it does nothing.

    Args:
      output: new, empty, or begun by the same command.
      workers: threads, one per processor if None; without influence on the videos.
      console: where progress is shown; stderr if None.

    Raises:
      UserError: as `LongCast.videos`; the output holds something else, or the disk is full.
    """
    output, console = Path(output), console or Console(stderr=True)
    threads = PrepareOptions(workers=workers).threads
    videos = cast.videos()
    shaping = {"format": "video" if writes_lossless_video() else "images"}
    plan = Plan("synthetic --long", str(cast), shaping, list(videos), [], [1] * len(videos))
    plan.begun(output)
    if (output / VIDEOS_FILE).exists():
        return dataclasses.replace(LongReport.load(output), already_complete=True)
    with writing_errors(output, f"free some or choose another --output, then {_RESUME}"):
        progress = output / PROGRESS_FOLDER
        progress.mkdir(parents=True, exist_ok=True)
        (output / FOLDER).mkdir(exist_ok=True)
        with exclusive(progress / "lock"):
            plan.save(output)
            remove_half_written(output / FOLDER)
            files = _draw(videos, output / FOLDER, threads, console)
            _write_tables(videos, files, output)
        remove(progress)
    report = LongReport.load(output)
    report.save()
    return report


class _StoppedError(Exception):
    """Another video failed, or the user interrupted; this one gives up."""


def _draw(
    videos: Mapping[str, tuple[str, LongVideo]], folder: Path, threads: int, console: Console
) -> dict[str, Path]:
    """Name -> its file; draws what is not there yet."""
    done = {path.stem: path for path in folder.glob("*/*")}
    stop = threading.Event()
    with (
        ClipProgress(console, {n: made.frames for n, (_, made) in videos.items()}) as progress,
        single_threaded_opencv(),
        ThreadPoolExecutor(threads, "mubert-draw") as pool,
    ):

        def watched(made: LongVideo) -> Iterator[np.ndarray]:
            for frame in made:
                if stop.is_set():
                    raise _StoppedError
                yield frame
                progress.frame()

        def draw(name: str) -> Path:
            # A fresh video, whose pictures go when it is done.
            made = dataclasses.replace(videos[name][1])
            own = folder / _subject(made)
            own.mkdir(exist_ok=True)
            path = write_lossless(watched(made), made.frames, made.fps, own, name)
            progress.clip(name, made.frames)
            return path

        for name in done.keys() & videos.keys():
            progress.skip(name)
        work = {pool.submit(draw, name): name for name in videos if name not in done}
        try:
            for future in as_completed(work):
                done[work[future]] = future.result()
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return {name: done[name] for name in videos}


def _write_tables(
    videos: Mapping[str, tuple[str, LongVideo]], files: Mapping[str, Path], output: Path
) -> None:
    intervals, events, recordings = [], [], []
    for name, (condition, made) in videos.items():
        who = _subject(made)
        for event in made.events:
            times = (event.onset, event.offset, event.apex)
            if event.kind in EXPRESSIONS:
                intervals.append(Interval(who, name, *times, event.kind, event.emotion))
            events.append((who, name, event.kind, *times, event.emotion, event.strength))
        file = files[name].relative_to(output).as_posix()
        recordings.append(
            LongVideoFile(who, name, made.frames, made.fps, file, condition=condition)
        )
    write_intervals(output / INTERVALS_FILE, intervals)
    columns = ["subject", "video", "kind", "onset", "offset", "apex", "emotion", "strength"]
    with replacing(output / EVENTS_FILE) as temporary:
        pd.DataFrame(events, columns=columns).to_csv(
            temporary, index=False, float_format="%.4g", lineterminator="\n"
        )
    write_videos(output / VIDEOS_FILE, recordings)


def _subject(made: LongVideo) -> str:
    return f"s{made.subject:06d}"
