"""`mubert prepare sequences`: annotated long videos in, the tables of spotting out."""

import csv
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mubert_jax.data.files import replacing, write_text, writing_errors
from mubert_jax.data.plan import Plan
from mubert_jax.data.report import (
    MARKDOWN_FILE,
    REPORT_FILE,
    SetReport,
    by_reason,
    count,
    passed_section,
)
from mubert_jax.spotting.intervals import write_intervals
from mubert_jax.spotting.long_set import CollectedSequences, SequenceOptions
from mubert_jax.spotting.long_sets import load_long_set
from mubert_jax.spotting.videos import INTERVALS_FILE, VIDEOS_FILE, write_videos

_COLUMNS = (
    "name",
    "sheet",
    "row",
    "status",
    "kind",
    "emotion",
    "onset",
    "apex",
    "offset",
    "reason",
)
_LISTED = 12  # reasons in a summary, to keep it on one screen


@dataclass(frozen=True)
class SequencesReport(SetReport):
    """The outcome of one `mubert prepare sequences`.

    Attributes:
      output: the folder.
      collected: what was found.
    """

    output: Path
    collected: CollectedSequences

    @property
    def dropped_clips(self) -> list[str]:
        return [one.name for one in self.collected.dropped]

    def lines(self) -> list[str]:
        """The summary, one fact per line."""
        found = self.collected
        kinds = Counter(made.interval.kind or "unknown" for _, made in found.settled)
        people = {video.subject for video in found.videos}
        minutes = sum(video.frames / video.fps for video in found.videos) / 60
        used = {made.interval.recording for _, made in found.settled}
        lines = [
            f"{self.output}: done",
            f"{count(len(found.videos), 'video')} of {count(len(people), 'subject')}, "
            f"{minutes:,.1f} minutes; {len(found.videos) - len(used)} without an expression",
            f"{count(len(found.settled), 'expression')}: "
            + ", ".join(f"{kind} {number}" for kind, number in sorted(kinds.items())),
        ]
        for what, reasons in self._told():
            if reasons:
                lines.append(f"{len(reasons)} {what} (all in {self.output / REPORT_FILE}):")
                lines += by_reason(reasons)[:_LISTED]
        return lines + found.passed.lines()

    def _told(self) -> list[tuple[str, list[tuple[str, str]]]]:
        found = self.collected
        repaired = [(one.name, made.repairs) for one, made in found.settled if made.repairs]
        odd = [(one.name, made.notes) for one, made in found.settled if made.notes]
        return [
            ("repaired", [(name, "; ".join(why)) for name, why in repaired]),
            ("kept, but odd", [(name, "; ".join(why)) for name, why in odd]),
            ("dropped", [(one.name, one.reason) for one in found.dropped]),
        ]

    def save(self) -> None:
        """Writes report.csv, a row per annotation, and report.md."""
        found = self.collected
        rows: list[tuple[object, ...]] = []
        for one, made in found.settled:
            status = "repaired" if made.repairs else "kept"
            why = "; ".join((*made.repairs, *made.notes))
            times = (one.onset, one.apex, one.offset)
            rows.append((one.name, one.sheet, one.row, status, one.kind, one.emotion, *times, why))
        for one in found.dropped:
            none = ("", "", "")
            rows.append((one.name, "", one.row, "dropped", "", one.emotion, *none, one.reason))
        with (
            replacing(self.output / REPORT_FILE) as temporary,
            open(temporary, "w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.writer(file)
            writer.writerow(_COLUMNS)
            writer.writerows(rows)
        lines = [f"# {self.lines()[1]}", "", self.lines()[2]]
        for what, reasons in self._told():
            if reasons:
                lines += ["", f"## {what[0].upper()}{what[1:]}", ""]
                lines += [f"- {name}: {why}" for name, why in reasons]
        lines += passed_section(found.passed)
        write_text(self.output / MARKDOWN_FILE, "\n".join(lines) + "\n")


def prepare_sequences(
    source: str,
    input: str | os.PathLike | None,
    output: str | os.PathLike,
    annotation: Sequence[str | os.PathLike] = (),
    options: SequenceOptions | None = None,
) -> SequencesReport:
    """Writes `intervals.csv` and `videos.csv` of a set of long videos, whose files stay in place.

    Frames count from 0 there, in the order of those on the disk, whatever a sheet calls the first.

    Args:
      source: the name of a module in `mubert_jax.spotting.long_sets`.
      input: the folder with the videos; a table's own folder if None.
      output: new, empty, or made by the same command, whose tables are written anew.
      annotation: the sheets; none looks for them in the input.

    Raises:
      UserError: as `LongSet.collect`; the output holds something else, or cannot be written.
    """
    options, output = options or SequenceOptions(), Path(output)
    place, sheets = None if input is None else Path(input), [Path(path) for path in annotation]
    found = load_long_set(source).collect(place, sheets, options)
    shaping = {"unknown_offset": options.unknown_offset, "fps": options.fps}
    where = str(place.resolve()) if place else str(sheets[0].parent.resolve())
    plan = Plan(f"sequences {source}", where, shaping, [], [], [])
    plan.begun(output)
    with writing_errors(output, "choose another --output"):
        output.mkdir(parents=True, exist_ok=True)
        plan.save(output)
        write_intervals(output / INTERVALS_FILE, [made.interval for _, made in found.settled])
        write_videos(output / VIDEOS_FILE, found.videos)
        report = SequencesReport(output=output, collected=found)
        report.save()
    return report
