"""What `mubert prepare` did with every clip."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console, ConsoleOptions, RenderResult

from mubert_jax.data.faces import Box
from mubert_jax.data.files import replacing

REPORT_FILE = "report.csv"
_COLUMNS = ("clip", "subject", "status", "frames", "reason", "box_x", "box_y", "box_side")
_LISTED = 20


@dataclass(frozen=True)
class ClipReport:
    """One clip: kept, dropped (with the reason), or excluded by its subject.

    Attributes:
      box: the crop in pixels of the source frames; None where the whole frame is stored.
      frames: frame numbers stored, in order.
      lengths: bytes of each of their records.
      apex: frame number of a pair's apex; `frames` holds its onset.
    """

    name: str
    subject: str
    status: str
    reason: str = ""
    box: Box | None = None
    frames: Sequence[int] = ()
    lengths: Sequence[int] = ()
    apex: int | None = None


class Lines:
    """Printed by its `lines()`, on a terminal and in a log alike."""

    def lines(self) -> list[str]:
        raise NotImplementedError

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.text import Text

        yield from (Text(line) for line in self.lines())


@dataclass(frozen=True)
class PrepareReport(Lines):
    """The outcome of one `mubert prepare`; print it, or take `lines()`.

    Attributes:
      output: the data-set folder.
      kept: number of clips stored; `frames` and `bytes` are over these.
      dropped: (clip, reason) of each clip left out, excluded subjects not counted.
      cut_short: (clip, reason) of each clip stored with far fewer frames than its file announces.
      excluded: number of clips left out with their subject.
      subjects: who is in the data set, sorted.
      already_complete: nothing was done, the folder was complete.
    """

    output: Path
    kept: int
    frames: int
    bytes: int
    subjects: tuple[str, ...]
    dropped: tuple[tuple[str, str], ...] = ()
    cut_short: tuple[tuple[str, str], ...] = ()
    excluded: int = 0
    already_complete: bool = False

    def lines(self) -> list[str]:
        """The summary, one fact a line."""
        lines = [
            f"{self.output}: "
            + ("already complete, nothing to do" if self.already_complete else "done"),
            f"{count(self.kept, 'clip')}, {count(self.frames, 'frame')} of "
            f"{count(len(self.subjects), 'subject')}, "
            f"{self.bytes / 1e6:,.1f} MB",
        ]
        if self.excluded:
            lines.append(f"{count(self.excluded, 'clip')} left out by --exclude-subjects")
        for what, clips in (("dropped", self.dropped), ("cut short", self.cut_short)):
            if clips:
                lines.append(
                    f"{count(len(clips), 'clip')} {what} (see {self.output / REPORT_FILE}):"
                )
                lines += [f"  {name}: {reason}" for name, reason in clips[:_LISTED]]
            if len(clips) > _LISTED:
                lines.append(f"  and {len(clips) - _LISTED} more")
        return lines

    @classmethod
    def load(cls, output: Path) -> "PrepareReport":
        """The report of a complete data set, from its report.csv."""
        with open(output / REPORT_FILE, newline="") as file:
            rows = list(csv.DictReader(file))
        kept = [row for row in rows if row["status"] == "kept"]
        return cls(
            output=output,
            kept=len(kept),
            frames=sum(int(row["frames"]) for row in kept),
            bytes=sum(path.stat().st_size for path in output.glob("*.tfrecord-*")),
            subjects=tuple(sorted({row["subject"] for row in kept})),
            dropped=tuple((r["clip"], r["reason"]) for r in rows if r["status"] == "dropped"),
            cut_short=tuple((r["clip"], r["reason"]) for r in kept if r["reason"]),
            excluded=sum(row["status"] == "excluded" for row in rows),
        )


def count(number: int, noun: str) -> str:
    """`number` with its noun: "1 clip", "1,200 clips"."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def write_report(output: Path, clips: Sequence[ClipReport]) -> None:
    """Writes report.csv: clip, subject, status, frames, reason, and the crop's box."""
    with replacing(output / REPORT_FILE) as temporary, open(temporary, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        for clip in clips:
            box = clip.box or ("", "", "")
            frames = len(clip.frames)
            writer.writerow([clip.name, clip.subject, clip.status, frames, clip.reason, *box])
