"""`mubert prepare flow`: labelled pairs, or published files, in; a flow set out.

While it runs, everything but the plan is in `.progress/`: one file per finished group of clips. A
folder gets its `flow_set.json` last of all, so a half-made one never looks whole.
"""

import json
import os
import shutil
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from mubert_jax.data.files import exclusive, replacing, writing_errors
from mubert_jax.data.flow_report import FlowReport, save_report
from mubert_jax.data.flow_set import FlowInfo, is_flow_set, write_flow_set
from mubert_jax.data.flow_sources import (
    FlowClips,
    FlowMethod,
    nothing_to_use,
    of_pairs,
    of_published,
)
from mubert_jax.data.labelled.annotation import Dropped
from mubert_jax.data.labelled_clips import LabelledClips
from mubert_jax.data.plan import PROGRESS_FOLDER, Plan, PrepareOptions
from mubert_jax.data.prepare import discard, single_threaded_opencv
from mubert_jax.data.progress import ClipProgress
from mubert_jax.data.published_export import export_published
from mubert_jax.data.published_flow import FOLDER
from mubert_jax.data.report import ClipReport
from mubert_jax.errors import UserError, readable
from mubert_jax.flow_maps import SIDE, Normalise

EXPORTS = ("png", "npz", "none")
ARRAYS_FILE = "flow.npz"
PICTURE_FILE = "flow.png"
PUBLISHED = "published"
# Clips per file of progress: what is lost at most when a run is killed.
_TOGETHER = 16
_RESUME = "run the same command again, finished clips are kept"


@dataclass(frozen=True)
class FlowOptions:
    """The maps, and what is written beside them.

    Attributes:
      size: height and width of the maps in cells.
      normalise: "per-channel" (each channel of a clip from its least to its largest value, 0..255)
        or "pixels", as `flow_maps.stacked` has it.
      export: "png" (files in the published layout), "npz" (one file of arrays) or "none".
      with_train: whether the published layout gets its `u_train`, too.
      workers: threads, one per processor if None; without influence on the maps.

    Raises UserError for a value out of range.
    """

    size: int = SIDE
    normalise: Normalise = "per-channel"
    export: str = "none"
    with_train: bool = False
    workers: int | None = None

    def __post_init__(self):
        if not 4 <= self.size <= 1024:
            raise UserError(f"--size {self.size}: choose 4 to 1024 cells; the field takes {SIDE}")
        if self.export not in EXPORTS:
            raise UserError(f"--export {self.export!r}: choose {', '.join(EXPORTS)}")
        if self.export == "png" and self.normalise == "pixels":
            raise UserError(
                "--export=png holds levels of 0 to 255, not pixels; take --normalise=per-channel, "
                "or --export=npz"
            )
        if self.with_train and self.export != "png":
            raise UserError("--with-train is for --export=png, whose folders it fills")
        if self.workers is not None and self.workers < 1:
            raise UserError(f"--workers {self.workers}: choose 1 or more")


# (maps of P clips, who shows what in them, FlowClips.onset of these clips, where to write).
Draw = Callable[[np.ndarray, LabelledClips, Callable[[int], np.ndarray] | None, Path], None]


def prepare_flow(
    input: str | os.PathLike,
    output: str | os.PathLike,
    method: FlowMethod | None,
    options: FlowOptions | None = None,
    console: Console | None = None,
    draw: Draw | None = None,
) -> FlowReport:
    """Makes a flow set of labelled pairs or, without a method, of published files.

    Started again after it was killed, it goes on where it stopped; with a complete set of the same
    plan it does nothing. A clip that cannot be used is left out and listed.

    Args:
      input: a folder that `mubert prepare` made of a labelled set, or `three_norm_u_v_os`.
      output: folder for the flow set; new, empty, or begun by the same command.
      method: how flow is found between onset and apex; None reads files that hold it.
      options: the maps; those of files are as they are, whatever `size` and `normalise` say.
      console: where progress is shown; stderr if None.
      draw: writes the picture of the set; there is none if None.

    Raises:
      UserError: the input is no such folder, no clip can be used, the output holds something else,
        or the disk is full.
    """
    options, console = options or FlowOptions(), console or Console(stderr=True)
    if method is None:
        found = of_published(Path(input))
    else:
        found = of_pairs(Path(input), method, options.size, options.normalise)
    name, version = (method.name, method.version) if method else (PUBLISHED, "")
    shaping = {
        "method": name,
        "version": version,
        "size": options.size,
        "normalise": options.normalise,
        "export": options.export,
        "with_train": options.with_train,
        "input_clips": found.content,
    }
    groups = [len(found.names[i : i + _TOGETHER]) for i in range(0, len(found.names), _TOGETHER)]
    plan = Plan("flow", str(found.input.resolve()), shaping, list(found.names), [], groups)
    info = FlowInfo(
        name,
        version,
        options.normalise,
        plan.input,
        found.clips.space,
        tuple(found.notes),
        method.seen if method else None,
    )
    return _make(found, plan, info, Path(output), options, console, draw)


def _make(
    found: FlowClips,
    plan: Plan,
    info: FlowInfo,
    output: Path,
    options: FlowOptions,
    console: Console,
    draw: Draw | None,
) -> FlowReport:
    """Carries out a plan from where an earlier run left it."""
    plan = plan.begun(output) or plan
    if is_flow_set(output):
        return replace(FlowReport.load(output, found), already_complete=True)
    folder = output / PROGRESS_FOLDER
    with writing_errors(output, f"free some or choose another --output, then {_RESUME}"):
        folder.mkdir(parents=True, exist_ok=True)
        with exclusive(folder / "lock"):
            plan.save(output)
            maps, reasons, notes = _computed(found, plan, folder, options, console)
            kept = [i for i, reason in enumerate(reasons) if not reason]
            people = found.clips.subject
            if not kept:
                discard(output)
                named = zip(found.names, people, reasons, strict=True)
                raise nothing_to_use(
                    plan.input, [Dropped(n, p, 0, "", r, False) for n, p, r in named]
                )
            clips = found.clips.take(kept)
            flow = np.stack([maps[i] for i in kept])
            _export(flow, clips, folder, output, options)
            if draw:
                onset = found.onset
                shown = None if onset is None else lambda number: onset(kept[number])
                draw(flow, clips, shown, output / PICTURE_FILE)
            reports = [
                ClipReport(name, who, "dropped" if reason else "kept", reason or note)
                for name, who, reason, note in zip(found.names, people, reasons, notes, strict=True)
            ]
            save_report(output, reports, found, info, PICTURE_FILE if draw else "")
            write_flow_set(output, flow, clips, info)
        shutil.rmtree(folder)
    return FlowReport.load(output, found)


def _computed(
    found: FlowClips, plan: Plan, folder: Path, options: FlowOptions, console: Console
) -> tuple[list[np.ndarray], list[str], list[str]]:
    """The maps of every clip (empty where there are none), why not, and what is odd."""
    for leftover in folder.glob("*.tmp"):
        leftover.unlink()
    maps: list[np.ndarray] = []
    reasons: list[str] = []
    notes: list[str] = []
    with (
        ClipProgress(console, dict.fromkeys(plan.clips, 1), "maps") as progress,
        single_threaded_opencv(),
        ThreadPoolExecutor(PrepareOptions(workers=options.workers).threads) as pool,
    ):
        for number, clips in enumerate(plan.shard_clips):
            path, names = folder / f"{number:05d}.npz", found.names[len(maps) :][:clips]
            group = _load(path, clips)
            if group is None:
                work = [pool.submit(_tried, find) for find in found.maps[len(maps) :][:clips]]
                try:
                    done = []
                    for name, one in zip(names, work, strict=True):
                        done.append(one.result())
                        progress.frame()
                        progress.clip(name, 1)
                except BaseException:
                    pool.shutdown(wait=False, cancel_futures=True)
                    raise
                group = tuple(map(list, zip(*done, strict=True)))
                _save(path, *group)
            else:
                for name in names:
                    progress.skip(name)
            for all_of, of_group in zip((maps, reasons, notes), group, strict=True):
                all_of += of_group
    return maps, reasons, notes


def _tried(find: Callable[[], tuple[np.ndarray, str]]) -> tuple[np.ndarray, str, str]:
    try:
        maps, note = find()
        return maps, "", note
    except UserError as error:
        return np.empty(0, np.float32), str(error), ""


def _save(path: Path, maps: list[np.ndarray], reasons: list[str], notes: list[str]) -> None:
    arrays: dict[str, Any] = {f"maps_{i}": one for i, one in enumerate(maps)}
    with replacing(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, said=np.array(json.dumps([reasons, notes])), **arrays)


def _load(path: Path, clips: int) -> tuple[list[np.ndarray], list[str], list[str]] | None:
    """A finished group of clips; None if there is none or it is damaged."""
    try:
        with np.load(path) as saved:
            reasons, notes = json.loads(str(saved["said"]))
            maps = [saved[f"maps_{i}"] for i in range(clips)]
        return (maps, reasons, notes) if len(reasons) == clips else None
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        if readable(error):
            raise
        return None


def _export(
    flow: np.ndarray, clips: LabelledClips, folder: Path, output: Path, options: FlowOptions
) -> None:
    if options.export == "png":
        for leftover in (folder / FOLDER, output / FOLDER):
            shutil.rmtree(leftover, ignore_errors=True)
        export_published(flow, clips, folder / FOLDER, options.with_train)
        os.replace(folder / FOLDER, output / FOLDER)
    elif options.export == "npz":
        with replacing(output / ARRAYS_FILE) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(
                file,
                flow=flow,
                label=clips.label,
                classes=np.array(clips.classes),
                dataset=np.array(clips.dataset),
                subject=np.array(clips.subject),
                clip=np.array(clips.clip),
            )
