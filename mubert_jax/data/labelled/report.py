"""What became of every annotated clip, and how the counts compare with the owners'."""

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mubert_jax.data.clips import Clip
from mubert_jax.data.files import replacing, write_text
from mubert_jax.data.labelled.annotation import NO_MOVEMENT
from mubert_jax.data.labelled.collected import Collected
from mubert_jax.data.report import (
    REPORT_FILE,
    ClipReport,
    SetReport,
    count,
    not_retried,
    passed_section,
    shard_bytes,
)

MARKDOWN_FILE = "report.md"
STATUSES = ("kept", "repaired", "dropped", "excluded")
_COLUMNS = (
    "clip",
    "subject",
    "row",
    "status",
    "class",
    "emotion",
    "onset",
    "apex",
    "offset",
    "apex_source",
    "reason",
    "box_x",
    "box_y",
    "box_side",
)
_LISTED = 12  # notes or reasons in a summary, to keep it on one screen


@dataclass(frozen=True)
class PairsReport(SetReport):
    """The outcome of one `mubert prepare` of a labelled set.

    Attributes:
      output: the data-set folder.
      rows: one per clip, as in report.csv; `status` is one of STATUSES; repaired ones are stored.
      classes, published, published_subjects, notes: as in `Collected`.
    """

    output: Path
    rows: Sequence[Mapping[str, str]]
    classes: tuple[str, ...]
    published: Mapping[str, int]
    published_subjects: int | None
    notes: Sequence[str] = ()

    @classmethod
    def load(cls, output: Path, collected: Collected) -> "PairsReport":
        """The report of a complete data set, from its report.csv."""
        with open(output / REPORT_FILE, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        return cls(
            output,
            rows,
            collected.classes,
            collected.published,
            collected.published_subjects,
            tuple(collected.notes),
            passed=collected.passed,
        )

    def with_status(self, *statuses: str) -> list[Mapping[str, str]]:
        """The rows with one of these statuses."""
        return [row for row in self.rows if row["status"] in statuses]

    @property
    def stored(self) -> list[Mapping[str, str]]:
        """The rows of the clips in the data set."""
        return self.with_status("kept", "repaired")

    @property
    def kept(self) -> int:
        """Clips in the data set."""
        return len(self.stored)

    @property
    def bytes(self) -> int:
        """The size of all shards."""
        return shard_bytes(self.output)

    @property
    def subjects(self) -> tuple[str, ...]:
        """Who is in the data set, sorted."""
        return tuple(sorted({row["subject"] for row in self.stored}))

    @property
    def dropped_clips(self) -> list[str]:
        return [row["clip"] for row in self.with_status("dropped")]

    @property
    def class_counts(self) -> dict[str, int]:
        """Class -> stored clips, in label order."""
        counts = Counter(row["class"] for row in self.stored)
        return {name: counts[name] for name in self.classes}

    @property
    def empty_classes(self) -> list[str]:
        """Classes without a clip."""
        return [name for name, clips in self.class_counts.items() if not clips]

    @property
    def still(self) -> list[Mapping[str, str]]:
        """The rows of stored clips whose onset and apex are the same."""
        return [row for row in self.stored if NO_MOVEMENT in row["reason"]]

    def _no_movement(self) -> list[str]:
        if not self.still:
            return []
        return [
            f"warning: {len(self.still)} of {count(self.kept, 'kept clip')} show"
            f"{'s' * (len(self.still) == 1)} no movement: {NO_MOVEMENT} "
            f"({_name(self.still[0])}{' first' * (len(self.still) > 1)})"
        ]

    def lines(self) -> list[str]:
        """The summary, one fact per line."""
        state = "already complete, nothing to do" if self.already_complete else "done"
        counts = Counter(row["status"] for row in self.rows)
        lines = [
            f"{self.output}: {state}",
            f"{count(len(self.rows), 'clip')} found, {self.kept:,} kept ({counts['repaired']} "
            f"repaired), {counts['dropped']} dropped; {count(len(self.subjects), 'subject')}"
            + _published(len(self.subjects), self.published_subjects)
            + f"; {self.bytes / 1e6:,.1f} MB",
            "  ".join(
                f"{name} {clips}{_published(clips, self.published.get(name))}"
                for name, clips in self.class_counts.items()
            ),
        ]
        lines += [f"warning: no clip of class {name}" for name in self.empty_classes]
        lines += [*self._no_movement(), *self.notes[:_LISTED]]
        if len(self.notes) > _LISTED:
            more = f"{len(self.notes) - _LISTED} more of this"
            lines.append(f"  and {more} (see {self.output / MARKDOWN_FILE})")
        if counts["excluded"]:
            lines.append(f"{count(counts['excluded'], 'clip')} left out by --exclude-subjects")
        for status in ("repaired", "dropped"):
            reasons = _by_reason(self.with_status(status))
            if reasons:
                lines.append(
                    f"{count(counts[status], 'clip')} {status} (see {self.output / MARKDOWN_FILE}):"
                )
                lines += reasons[:_LISTED]
            if len(reasons) > _LISTED:
                lines.append(f"  and {len(reasons) - _LISTED} more")
        if self.already_complete and counts["dropped"]:
            lines.append(not_retried(self.mended))
        return lines + self.passed.lines()

    def markdown(self, title: str) -> str:
        """The whole report as a Markdown page."""
        counts = Counter(row["status"] for row in self.rows)
        lines = [f"# {title}", ""]
        lines += _table(
            ("found", "kept", "of these repaired", "dropped", "excluded"),
            [(len(self.rows), self.kept, *(counts[status] for status in STATUSES[1:]))],
        )
        lines += ["", "## Classes", ""]
        lines += _table(
            ("class", "here", "published", "difference"),
            [
                _compared(name, clips, self.published.get(name))
                for name, clips in self.class_counts.items()
            ]
            + [_compared("all", self.kept, sum(self.published.values()) or None)]
            + [_compared("subjects", len(self.subjects), self.published_subjects)],
        )
        lines += [f"\n**Warning: no clip of class {name}.**" for name in self.empty_classes]
        lines += [f"\n{line[0].upper()}{line[1:]}." for line in (*self._no_movement(), *self.notes)]
        lines += ["", "## Subjects", ""]
        cells = Counter((row["subject"], row["class"]) for row in self.stored)
        lines += _table(
            ("subject", *self.classes, "all"),
            [
                (who, *(numbers := [cells[who, name] for name in self.classes]), sum(numbers))
                for who in self.subjects
            ],
        )
        noted = [row for row in self.with_status("kept") if row["reason"]]
        for heading, rows in (
            ("Repaired", self.with_status("repaired")),
            ("Dropped", self.with_status("dropped")),
            ("Kept, but odd", noted),
            ("Excluded by their subject", self.with_status("excluded")),
        ):
            if rows:
                lines += ["", f"## {heading}", ""]
                lines += _table(
                    ("clip", "row", "emotion", "why"),
                    [(_name(row), row["row"], row["emotion"], row["reason"]) for row in rows],
                )
        lines += passed_section(self.passed)
        return "\n".join(lines) + "\n"


def save_report(
    output: Path, title: str, collected: Collected, reports: Sequence[ClipReport]
) -> None:
    """Writes report.csv and report.md.

    Args:
      output: the data-set folder.
      title: the title of the page.
      collected: what was found.
      reports: what became of its clips.
    """
    clips = {clip.name: clip for clip in collected.clips}
    rows = [_row(clips[report.name], report) for report in reports]
    rows += [
        {
            "clip": clip.name,
            "subject": clip.person,
            "row": clip.row or "",
            "status": "dropped",
            "emotion": clip.emotion,
            "reason": clip.reason,
        }
        for clip in collected.dropped
    ]
    with (
        replacing(output / REPORT_FILE) as temporary,
        open(temporary, "w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.DictWriter(file, _COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    page = PairsReport.load(output, collected).markdown(title)
    write_text(output / MARKDOWN_FILE, page)


def _row(clip: Clip, report: ClipReport) -> dict[str, object]:
    (interval,) = clip.intervals
    status, reason = report.status, report.reason
    if status == "kept":
        status = "repaired" if interval.repairs else "kept"
        noted = (report.reason,) if report.reason and report.reason not in interval.notes else ()
        reason = "; ".join((*interval.repairs, *interval.notes, *noted))
    box = report.box or ("", "", "")
    return {
        "clip": report.name,
        "subject": report.subject,
        "row": interval.annotation.row or "",
        "status": status,
        "class": interval.class_name,
        "emotion": interval.annotation.emotion,
        "onset": interval.onset,
        "apex": report.apex if report.apex is not None else "",
        "offset": interval.offset,
        "apex_source": interval.apex_source,
        "reason": reason,
        **dict(zip(("box_x", "box_y", "box_side"), box, strict=True)),
    }


def _by_reason(rows: Sequence[Mapping[str, str]]) -> list[str]:
    """One line per reason, the ones of many clips first."""
    first: dict[str, str] = {}
    for row in rows:
        first.setdefault(row["reason"], _name(row))
    sizes = Counter(row["reason"] for row in rows)
    return [
        f"  {first[reason]}{f' and {size - 1} more' if size > 1 else ''}: {reason}"
        for reason, size in sizes.most_common()
    ]


def _name(row: Mapping[str, str]) -> str:
    return row["clip"] or f"row {row['row']}"


def _published(here: int, published: int | None) -> str:
    if published is None or here == published:
        return ""
    return f" (published: {published})"


def _compared(name: str, here: int, published: int | None) -> tuple[str, int, int | str, str]:
    if published is None:
        return name, here, "", ""
    return name, here, published, f"**{here - published:+d}**" if here != published else ""


def _table(header: Sequence[object], rows: Sequence[Sequence[object]]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(str(c).replace("|", "\\|") for c in line) + " |" for line in lines]
