"""`mubert spot`: recordings one after the other, the files of each, and one table of all."""

import dataclasses
import functools
import json
import math
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from mubert_jax.data.files import replacing, write_text, writing_errors
from mubert_jax.data.people import PROBABILITY
from mubert_jax.data.progress import ClipProgress
from mubert_jax.errors import UserError
from mubert_jax.spotting.calibration import KEPT
from mubert_jax.spotting.footage import Footage, file_name
from mubert_jax.spotting.found import BLINK, SPEECH, Found
from mubert_jax.spotting.intervals import MACRO, MICRO, write_intervals
from mubert_jax.spotting.overlay import write_overlay
from mubert_jax.spotting.page import page
from mubert_jax.spotting.pictures import Recognise, second_look, strongest
from mubert_jax.spotting.spotter import Spotter, Spotting
from mubert_jax.spotting.videos import INTERVALS_FILE, VIDEOS_FILE

REMEDY = "give another --output"
# How long it takes to look at a frame for the second time, and to draw it, in multiples of the
# first time; they move the progress bar.
AGAIN, OVERLAY = 0.15, 1.5


def spot_recordings(
    recordings: Sequence[Footage],
    spotter: Spotter,
    output: Path,
    settings: dict[str, Any],
    recognise: Recognise | None,
    console: Console,
    overlay: bool = False,
    jobs: int = 1,
) -> None:
    """Spots all that the folder does not have with these settings, and writes the tables of all.

    Per recording there are NAME.csv, its intervals, NAME.json, with all that was found and what was
    passed over, and NAME.html, a page; then intervals.csv and videos.csv for `mubert evaluate`.

    Args:
      settings: what the results depend on beside the recording; a restart with others begins anew.
      recognise: names the emotion of an interval by its onset and apex.
      overlay: whether to write NAME.mp4, too.
      jobs: how many recordings are spotted at the same time, a thread each; without influence on
        the results.

    Raises:
      UserError: no recording could be spotted, or the files cannot be written.
    """
    with writing_errors(output, REMEDY):
        output.mkdir(parents=True, exist_ok=True)
    done: dict[Footage, dict[str, Any]] = {}
    failures: list[UserError] = []
    expected = {file_name(one): one.expected for one in recordings}
    stop = threading.Event()
    work_of_one = 1 + AGAIN + (OVERLAY if overlay else 0)
    with (
        ClipProgress(console, expected, work=work_of_one) as progress,
        ThreadPoolExecutor(jobs) as pool,
    ):

        def spot(one: Footage) -> dict[str, Any]:
            done = 0.0

            def seen(frames: float | None = None) -> None:
                nonlocal done
                done += 1 if frames is None else frames
                progress.frame() if frames is None else progress.further(frames)
                if stop.is_set():
                    raise _StoppedError

            try:
                return _spot(one, spotter, seen, output, settings, recognise, overlay)
            finally:
                progress.clip(file_name(one), done)

        def finished(one: Footage, facts: dict[str, Any]) -> None:
            done[one] = facts
            _say(console, facts, output / f"{file_name(one)}.html")

        work = {}
        for one in recordings:
            facts = _kept(output / f"{file_name(one)}.json", one, settings, overlay)
            if facts is None:
                work[pool.submit(spot, one)] = one
            else:
                progress.skip(file_name(one))
                finished(one, facts)
        try:
            for future in as_completed(work):
                try:
                    finished(work[future], future.result())
                except UserError as error:
                    failures.append(error)
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    if not done:
        raise failures[0]
    for failure in failures:
        console.print(str(failure), highlight=False, markup=False, soft_wrap=True)
    _write_tables([(one, done[one]) for one in recordings if one in done], output)


class _StoppedError(Exception):
    """Another recording failed unforeseen, or the user interrupted; this one gives up."""


def _spot(
    one: Footage,
    spotter: Spotter,
    seen: Callable[..., None],
    output: Path,
    settings: dict[str, Any],
    recognise: Recognise | None,
    overlay: bool,
) -> dict[str, Any]:
    """Writes the files of a recording, the .json last, and returns what that holds."""
    spotting = spotter(one, seen)
    found, least = list(spotting), spotter.options.least
    stretches, comparison = spotting.stretches, spotter.comparison
    reached = 0

    def again(number: int) -> None:
        nonlocal reached
        seen(AGAIN * (number - reached))
        reached = number

    pictures, emotions = second_look(one, stretches, found, comparison, recognise, again)
    found = [_named(f, emotions.get(place, {})) for place, f in enumerate(found)]
    facts = _facts(one, spotting, found, least, settings)
    name = file_name(one)
    with writing_errors(output, REMEDY):
        spotted = [f for f in found if f.is_expression and f.score >= least]
        _write_intervals(output / f"{name}.csv", [(one, f) for f in spotted])
        write_text(output / f"{name}.html", page(facts, found, spotting.curves, pictures))
        if overlay:
            shown = [f for f in found if f.score >= least]
            peaks = {found[place]: peak for place, peak in strongest(pictures).items()}
            path, rate = output / f"{name}.mp4", spotting.lags.rate
            drawn = functools.partial(seen, OVERLAY * one.fps / rate)
            write_overlay(path, one, rate, stretches, shown, comparison, peaks, drawn)
        write_text(output / f"{name}.json", json.dumps(facts, indent=1) + "\n")
    return facts


def _named(found: Found, emotions: dict[str, float]) -> Found:
    """With what a recognizer says, the most probable emotion first."""
    emotion = next(iter(emotions), "")
    return dataclasses.replace(found, emotion=emotion, probabilities=emotions)


def _facts(
    one: Footage,
    spotting: Spotting,
    found: Sequence[Found],
    least: float,
    settings: dict[str, Any],
) -> dict[str, Any]:
    def rows(*kinds: str) -> list[dict[str, Any]]:
        return [vars(f) for f in found if f.what in kinds and f.score >= least]

    return {
        "subject": one.subject,
        "video": one.video,
        "frames": spotting.frames,
        "fps": one.fps,
        "threshold": least,
        "kept": KEPT,
        "intervals": rows(MICRO, MACRO),
        "blinks": rows(BLINK),
        "speech": rows(SPEECH),
        "below the threshold": [vars(f) for f in found if f.score < least],
        "stretches": [{"first": s.first, "last": s.last} for s in spotting.stretches],
        "holes": [vars(hole) for hole in spotting.holes],
        "notes": spotting.notes,
        "settings": settings | _identity(one),
    }


def _identity(one: Footage) -> dict[str, Any]:
    """What tells a recording from another of the same name."""
    files = [path for _, path in one.images] or [one.path]
    return {"files": len(files), "bytes": sum(path.stat().st_size for path in files)}


def _kept(
    path: Path, one: Footage, settings: dict[str, Any], overlay: bool
) -> dict[str, Any] | None:
    """What an earlier run has written with the same settings."""
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        same = facts["settings"] == json.loads(json.dumps(settings | _identity(one)))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    suffixes = (".html", *((".mp4",) if overlay else ()))
    there = all(path.with_name(f"{path.stem}{suffix}").exists() for suffix in suffixes)
    return facts if same and there else None


def _write_intervals(path: Path, spotted: Sequence[tuple[Footage, Found]]) -> None:
    """The table of `write_intervals`, the seconds, and the probability of every emotion."""
    further = {
        f"{name} s": [getattr(f, key) for _, f in spotted]
        for name, key in (("onset", "start"), ("apex", "peak"), ("offset", "end"))
    }
    for emotion in sorted({emotion for _, f in spotted for emotion in f.probabilities}):
        chances = [f.probabilities.get(emotion, math.nan) for _, f in spotted]
        further[PROBABILITY + emotion] = chances
    write_intervals(path, [f.interval(one.subject, one.video) for one, f in spotted], further)


def _write_tables(done: Sequence[tuple[Footage, dict[str, Any]]], output: Path) -> None:
    intervals = [(one, Found(**row)) for one, facts in done for row in facts["intervals"]]
    lengths = [
        {key: facts[key] for key in ("subject", "video", "frames", "fps")} for _, facts in done
    ]
    with writing_errors(output, REMEDY):
        _write_intervals(output / INTERVALS_FILE, intervals)
        with replacing(output / VIDEOS_FILE) as temporary:
            pd.DataFrame(lengths).to_csv(temporary, index=False, lineterminator="\n")


def _say(console: Console, facts: dict[str, Any], path: Path) -> None:
    kinds = [row["what"] for row in facts["intervals"]]
    text = (
        f"{facts['video']}: {kinds.count(MICRO)} micro, {kinds.count(MACRO)} macro; "
        f"{len(facts['blinks'])} blinks, {len(facts['speech'])} stretches of speech, "
        f"{len(facts['holes'])} holes: {path}"
    )
    for line in (text, *(f"  {note}" for note in facts["notes"])):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
