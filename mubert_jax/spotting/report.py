"""The report of spotted intervals: table, figures by threshold, and a picture of them."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mubert_jax.data.files import replacing, write_text, writing_errors
from mubert_jax.errors import UserError
from mubert_jax.perception.scores import Estimate
from mubert_jax.spotting.intervals import Interval, Recording, read_intervals, read_recordings
from mubert_jax.spotting.loso import leave_one_subject_out
from mubert_jax.spotting.scores import (
    STRS,
    Counts,
    Spotted,
    f1_differences,
    official_strs,
    over_thresholds,
    spotting_scores,
    strict_strs,
)

REMEDY = "give another --output"


@dataclass(frozen=True)
class SpottingReport:
    """What `mubert evaluate --spotting` says.

    Attributes:
      scores: by kind of expression.
      strs: by name, "strict" and "official"; empty where a side tells no emotions.
      curve: threshold -> counts, where spotted intervals have scores.
      notes: what a reader has to know about the two tables.
      recordings: how long every video is, where that is known.
      thresholds: subject -> the score from which its intervals count, where others chose it.
      less: other method -> kind -> the F1 less that of the other, paired by subject.
    """

    scores: Sequence[Spotted]
    strs: Mapping[str, STRS]
    curve: Sequence[tuple[float, Counts]]
    notes: Sequence[str]
    recordings: Mapping[tuple[str, str], Recording]
    thresholds: Mapping[str, float] = field(default_factory=dict)
    less: Mapping[str, Mapping[str, Estimate]] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """The report as plain lines."""
        lines = []
        for one in self.scores:
            counts = one.counts
            lines.append(
                f"{one.kind}: F1 {counts.f1:.4f}{_interval(one.interval)}, precision "
                f"{counts.precision:.4f}, recall {counts.recall:.4f} (TP {counts.tp}, FP "
                f"{counts.fp}, FN {counts.fn})"
            )
            if math.isfinite(one.false_alarms_per_minute):
                lines[-1] += f"; {one.false_alarms_per_minute:.2f} false alarms per minute"
        for name, one in self.strs.items():
            lines.append(
                f"STRS, {name}: {one.strs:.4f} (spotting {one.spotting:.4f} × analysis "
                f"{one.analysis:.4f}; UF1 {one.uf1:.4f}, UAR {one.uar:.4f})"
            )
        for other, by_kind in self.less.items():
            told = (f"{kind} {_signed(one)}" for kind, one in by_kind.items())
            lines.append(f"F1 less that of {other}: {', '.join(told) or 'one subject alone'}")
        return [*lines, *self.notes]

    def rows(self) -> list[dict[str, Any]]:
        """A row per kind, with the errors of onset and offset of what was found."""
        rows = []
        for one in self.scores:
            counts, errors = one.counts, _errors(one, self.recordings)
            rows.append(
                {
                    "kind": one.kind,
                    "f1": counts.f1,
                    "f1 low": one.interval[0],
                    "f1 high": one.interval[1],
                    "precision": counts.precision,
                    "recall": counts.recall,
                    "tp": counts.tp,
                    "fp": counts.fp,
                    "fn": counts.fn,
                    "false alarms per minute": one.false_alarms_per_minute,
                }
                | errors
            )
        return rows


def evaluate_spotting(
    truth: Path,
    spotted: Path,
    videos: Path | None = None,
    loso: bool = False,
    others: Sequence[Path] = (),
) -> SpottingReport:
    """Compares a table of spotted intervals with one of annotated ones.

    Args:
      videos: a table with the frames and the frame rate of every video, for false alarms per minute
        and errors in milliseconds.
      loso: whether only those intervals of a subject count whose score reaches the threshold that
        is best for all other subjects.
      others: tables of what other methods spotted in the same videos, to compare with.

    Raises:
      UserError: as `read_intervals` and `read_recordings`, and with `loso` as
        `leave_one_subject_out`; nothing is annotated in any video of the spotted intervals; an
        interval lies off its video.
    """
    truths, told = read_intervals(truth), read_intervals(spotted, spotted=True)
    recordings = read_recordings(videos) if videos else {}
    theirs = {str(path): read_intervals(path, spotted=True) for path in others}
    for path, intervals in ((str(spotted), told), *theirs.items()):
        _check_videos(path, intervals, truth, truths)
    for path, intervals in ((str(truth), truths), (str(spotted), told), *theirs.items()):
        _check_lengths(path, intervals, recordings)
    curve, thresholds, notes = over_thresholds(truths, told), {}, list[str]()
    if loso:
        left = leave_one_subject_out(truths, told)
        told, thresholds, notes = left.kept, left.thresholds, [left.line()]
        theirs = {
            path: leave_one_subject_out(truths, intervals).kept
            for path, intervals in theirs.items()
        }
    strs = {}
    if all(one.emotion for one in (*truths, *told)):
        strs = {"strict": strict_strs(truths, told), "official": official_strs(truths, told)}
    scores = spotting_scores(truths, told, recordings)
    less = {
        path: f1_differences(scores, spotting_scores(truths, intervals))
        for path, intervals in theirs.items()
    }
    notes += _notes(truths, told)
    return SpottingReport(scores, strs, curve, notes, recordings, thresholds, less)


def save(report: SpottingReport, folder: Path) -> None:
    """Writes spotting.csv, spotting.json and, where there are scores, spotting_curve.png."""
    with writing_errors(folder, REMEDY):
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(folder / "spotting.csv") as temporary:
            pd.DataFrame(report.rows()).to_csv(temporary, index=False, float_format="%.6g")
        facts = {
            "kinds": [_finite(row) for row in report.rows()],
            "strs": {
                name: _finite(vars(one) | {"strs": one.strs}) for name, one in report.strs.items()
            },
            "thresholds": [
                {"threshold": at} | vars(counts) | {"f1": counts.f1} for at, counts in report.curve
            ],
            "threshold by subject": dict(report.thresholds),
            "F1 less that of": {
                other: {kind: [one.value, *one.interval] for kind, one in by_kind.items()}
                for other, by_kind in report.less.items()
            },
            "notes": list(report.notes),
        }
        write_text(folder / "spotting.json", json.dumps(facts, indent=1) + "\n")
        if len(report.curve) > 1:
            _draw(report, folder / "spotting_curve.png")


def _draw(report: SpottingReport, path: Path):
    at = [threshold for threshold, _ in report.curve]
    counts = [one for _, one in report.curve]
    figure = Figure(figsize=(6.4, 4), layout="constrained")
    axis = figure.subplots()
    for name, style in (("f1", "-"), ("precision", "--"), ("recall", ":")):
        axis.plot(at, [getattr(one, name) for one in counts], style, color="#3b6ea5", label=name)
    best = int(np.argmax([one.f1 for one in counts]))
    axis.annotate(
        f"F1 {counts[best].f1:.2f}\nchosen on these very truths",
        (at[best], counts[best].f1),
        (0, 12),
        textcoords="offset points",
        ha="center",
        fontsize=8,
    )
    axis.set(xlabel="threshold on the score", ylim=(0, 1.05))
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=150, format="png")


def _check_videos(
    path: str, intervals: Sequence[Interval], truth: Path, truths: Sequence[Interval]
):
    here = {one.recording for one in intervals}
    if not here & {one.recording for one in truths}:
        example = "/".join(sorted(here)[0]).lstrip("/")
        raise UserError(
            f"{path}: none of its videos, such as {example}, is in {truth}; subjects and videos "
            "must have the same names in both"
        )


def _check_lengths(
    path: str, intervals: Sequence[Interval], recordings: Mapping[tuple[str, str], Recording]
):
    for one in intervals if recordings else ():
        name = "/".join(one.recording).lstrip("/")
        if one.recording not in recordings:
            raise UserError(f"{path}: {name} is not in the table of --videos")
        if one.onset > (last := recordings[one.recording].frames - 1):
            raise UserError(f"{path}: {name} ends at frame {last}, before the onset {one.onset}")


def _notes(truths: Sequence[Interval], told: Sequence[Interval]) -> list[str]:
    notes = []
    missing = {one.recording for one in truths} - {one.recording for one in told}
    if missing:
        notes.append(f"{len(missing)} annotated video(s) without a spotted interval: all missed")
    other = {one.recording for one in told} - {one.recording for one in truths}
    if other:
        notes.append(f"{len(other)} video(s) without an annotation: all false alarms")
    kinds = [{bool(one.kind) for one in side} for side in (truths, told)]
    if {True} in kinds and kinds != [{True}, {True}]:
        notes.append("one table does not tell micro and macro apart: only all are scored")
    return notes


def _errors(score: Spotted, recordings: Mapping[tuple[str, str], Recording]) -> dict[str, float]:
    """Median distances of what was found from the truth, in ms where frame rates are known."""
    unit, found = "ms" if recordings else "frames", {}
    for name in ("onset", "offset"):
        away = [
            abs(getattr(one, name) - getattr(truth, name))
            * (1000 / recordings[truth.recording].fps if recordings else 1)
            for truth, one in score.found
        ]
        found[f"{name} error, median, {unit}"] = float(np.median(away)) if away else float("nan")
    return found


def _finite(values: Mapping[str, Any]) -> dict[str, Any]:
    """NaN as null, which JSON has."""
    return {k: None if isinstance(x, float) and math.isnan(x) else x for k, x in values.items()}


def _interval(interval: tuple[float, float]) -> str:
    low, high = interval
    return "" if math.isnan(low) else f" [{low:.4f}, {high:.4f}]"


def _signed(one: Estimate) -> str:
    return f"{one.value:+.4f} [{one.low:+.4f}, {one.high:+.4f}]"
