"""What `mubert prepare` did with every clip."""

import csv
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console, ConsoleOptions, RenderResult

from mubert_jax.data.faces import Box
from mubert_jax.data.files import replacing, write_text
from mubert_jax.data.searching import PassedOver

REPORT_FILE = "report.csv"
MARKDOWN_FILE = "report.md"
_COLUMNS = ("clip", "subject", "status", "frames", "reason", "box_x", "box_y", "box_side")
_LISTED = 20  # reasons in a summary, to keep it on one screen


@dataclass(frozen=True)
class ClipReport:
    """One clip: kept, dropped (with the reason), or excluded by its subject.

    Attributes:
      reason: why it was dropped; for a kept clip, what is odd about it.
      box: the crop in pixels of the source frames; None where the whole frame is stored.
      frames: the numbers of the stored frames, in order.
      lengths: the size of each of their records in bytes.
      apex: the frame number of a pair's apex; `frames` holds its onset.
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


@dataclass(frozen=True, kw_only=True)
class SetReport(Lines, ABC):
    """The outcome of one `mubert prepare`; print it, or take `lines()`.

    Attributes:
      already_complete: nothing was done, the folder was complete.
      passed: what the input holds besides clips.
      mended: dropped clips whose files have changed since.
    """

    already_complete: bool = False
    passed: PassedOver = field(default_factory=PassedOver)
    mended: tuple[str, ...] = ()

    @property
    @abstractmethod
    def dropped_clips(self) -> list[str]:
        """Names of the dropped clips."""


@dataclass(frozen=True)
class PrepareReport(SetReport):
    """The outcome of one `mubert prepare` of a `frames` set.

    Attributes:
      output: the data-set folder.
      kept: the number of clips stored, which `frames` and `bytes` are over.
      dropped: (clip, reason) of each clip left out, except those of excluded subjects.
      noted: (clip, what is odd) of clips stored, such as videos that end early.
      excluded: the number of clips left out with their subject.
      subjects: who is in the data set, sorted.
    """

    output: Path
    kept: int
    frames: int
    bytes: int
    subjects: tuple[str, ...]
    dropped: tuple[tuple[str, str], ...] = ()
    noted: tuple[tuple[str, str], ...] = ()
    excluded: int = 0

    def lines(self) -> list[str]:
        """The summary, one fact per line."""
        lines = [
            f"{self.output}: "
            + ("already complete, nothing to do" if self.already_complete else "done"),
            f"{count(self.kept, 'clip')}, {count(self.frames, 'frame')} of "
            f"{count(len(self.subjects), 'subject')}, "
            f"{self.bytes / 1e6:,.1f} MB",
        ]
        if self.excluded:
            lines.append(f"{count(self.excluded, 'clip')} left out by --exclude-subjects")
        for what, clips in (("dropped", self.dropped), ("kept, but odd", self.noted)):
            if clips:
                lines.append(
                    f"{count(len(clips), 'clip')} {what} (all in {self.output / REPORT_FILE}):"
                )
                reasons = by_reason(clips)
                lines += reasons[:_LISTED]
                if len(reasons) > _LISTED:
                    lines.append(f"  and {len(reasons) - _LISTED} more reasons")
        if self.already_complete and self.dropped:
            lines.append(not_retried(self.mended))
        return lines + self.passed.lines()

    @property
    def dropped_clips(self) -> list[str]:
        return [name for name, _ in self.dropped]

    @classmethod
    def load(cls, output: Path) -> "PrepareReport":
        """The report of a complete data set, from its report.csv."""
        with open(output / REPORT_FILE, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        kept = [row for row in rows if row["status"] == "kept"]
        return cls(
            output=output,
            kept=len(kept),
            frames=sum(int(row["frames"]) for row in kept),
            bytes=shard_bytes(output),
            subjects=tuple(sorted({row["subject"] for row in kept})),
            dropped=tuple((r["clip"], r["reason"]) for r in rows if r["status"] == "dropped"),
            noted=tuple((r["clip"], r["reason"]) for r in kept if r["reason"]),
            excluded=sum(row["status"] == "excluded" for row in rows),
        )


def shard_bytes(output: Path) -> int:
    """The size of all shards in a folder."""
    return sum(path.stat().st_size for path in output.glob("[!.]*.tfrecord-*"))


def count(number: int, noun: str) -> str:
    """`number` with its noun: "1 clip", "1,200 clips"."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def by_reason(clips: Sequence[tuple[str, str]]) -> list[str]:
    """One line per reason, with its first clip and how many more there are; most frequent first.

    Reasons that differ only in paths and numbers are one.
    """
    alike: dict[str, list[tuple[str, str]]] = {}
    for name, reason in clips:
        kind = re.sub(r"\S*/\S*|\d+", "", reason)
        alike.setdefault(kind, []).append((name, reason))
    return [
        f"  {group[0][0]}{f' and {len(group) - 1:,} more' if len(group) > 1 else ''}: {group[0][1]}"
        for group in sorted(alike.values(), key=len, reverse=True)
    ]


def not_retried(mended: Sequence[str]) -> str:
    """The line on dropped clips staying dropped, and on which of them have other files now."""
    if not mended:
        return "Dropped clips are not tried again here; for that prepare into a new --output"
    more = f" and {len(mended) - 1:,} more" if len(mended) > 1 else ""
    return (
        f"Dropped clips are not tried again here, though files of {mended[0]}{more} have changed "
        "since; prepare into a new --output to take them in"
    )


def write_report(output: Path, clips: Sequence[ClipReport]) -> None:
    """Writes report.csv: clip, subject, status, frames, reason, and the crop's box."""
    with (
        replacing(output / REPORT_FILE) as temporary,
        open(temporary, "w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        for clip in clips:
            box = clip.box or ("", "", "")
            frames = len(clip.frames)
            writer.writerow([clip.name, clip.subject, clip.status, frames, clip.reason, *box])


def write_page(output: Path, report: PrepareReport) -> None:
    """Writes report.md, the summary with every clip that was dropped or is odd."""
    lines = [f"# {report.lines()[1]}"]
    for heading, clips in (("Dropped", report.dropped), ("Kept, but odd", report.noted)):
        if clips:
            lines += ["", f"## {heading}", "", *(f"- {name}: {why}" for name, why in clips)]
    lines += passed_section(report.passed)
    write_text(output / MARKDOWN_FILE, "\n".join(lines) + "\n")


def passed_section(passed: PassedOver) -> list[str]:
    """Lines of a Markdown page on what the input holds besides clips."""
    words = [f"- {line}" for line in passed.words()]
    return ["", "## Passed over, with the first of each kind", "", *words] if words else []
