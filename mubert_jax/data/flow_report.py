"""What became of every clip whose flow was asked for, and what the maps are."""

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mubert_jax.data.files import replacing, write_text
from mubert_jax.data.flow_set import FlowInfo
from mubert_jax.data.flow_sources import FlowClips
from mubert_jax.data.report import (
    MARKDOWN_FILE,
    REPORT_FILE,
    ClipReport,
    SetReport,
    by_reason,
    count,
    not_retried,
    passed_section,
)
from mubert_jax.data.sets import megc2019

_COLUMNS = ("clip", "dataset", "subject", "class", "status", "reason")
_LISTED = 12  # notes or reasons in a summary, to keep it on one screen


@dataclass(frozen=True)
class FlowReport(SetReport):
    """The outcome of one `mubert prepare flow`; print it, or take `lines()`.

    Attributes:
      output: the folder of the set.
      rows: one per clip, as in report.csv; `status` is "kept" or "dropped".
      classes: names, in label order.
      published, published_subjects, notes: as in `FlowClips`.
    """

    output: Path
    rows: Sequence[Mapping[str, str]]
    classes: Sequence[str]
    published: Mapping[str, int]
    published_subjects: int | None
    notes: Sequence[str] = ()

    @classmethod
    def load(cls, output: Path, found: FlowClips) -> "FlowReport":
        """The report of a complete set, from its report.csv."""
        with open(output / REPORT_FILE, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        return cls(
            output,
            rows,
            found.clips.classes,
            found.published,
            found.published_subjects,
            tuple(found.notes),
            passed=found.passed,
        )

    @property
    def kept(self) -> list[Mapping[str, str]]:
        """The rows of the clips in the set."""
        return [row for row in self.rows if row["status"] == "kept"]

    @property
    def dropped_clips(self) -> list[str]:
        return [row["clip"] for row in self.rows if row["status"] == "dropped"]

    @property
    def subjects(self) -> tuple[tuple[str, str], ...]:
        """(data set, subject) of everybody in the set, sorted."""
        return tuple(sorted({(row["dataset"], row["subject"]) for row in self.kept}))

    @property
    def class_counts(self) -> dict[str, int]:
        """Class -> clips, in label order."""
        counts = Counter(row["class"] for row in self.kept)
        return {name: counts[name] for name in self.classes}

    def lines(self) -> list[str]:
        """The summary, one fact per line."""
        state = "already complete, nothing to do" if self.already_complete else "done"
        dropped, odd = self._reasons("dropped"), self._reasons("kept")
        lines = [
            f"{self.output}: {state}",
            f"{count(len(self.rows), 'clip')} found, {len(self.kept):,} kept"
            + _beside(len(self.kept), sum(self.published.values()) or None)
            + f", {len(dropped)} dropped; {count(len(self.subjects), 'subject')}"
            + _beside(len(self.subjects), self.published_subjects),
            "  ".join(
                f"{name} {clips}{_beside(clips, self.published.get(name))}"
                for name, clips in self.class_counts.items()
            ),
        ]
        if len(self._data_sets()) > 1:
            lines.append("  ".join(f"{name} {sum(row)}" for name, row in self._data_sets().items()))
        lines += [f"warning: no clip of class {x}" for x, n in self.class_counts.items() if not n]
        lines += self.notes[:_LISTED]
        if len(self.notes) > _LISTED:
            lines.append(f"  and {len(self.notes) - _LISTED} more of this (all in {MARKDOWN_FILE})")
        for what, clips in (("dropped", dropped), ("kept, but odd", odd)):
            if clips:
                page = self.output / MARKDOWN_FILE
                lines.append(f"{count(len(clips), 'clip')} {what} (all in {page}):")
                lines += by_reason(clips)[:_LISTED]
        if self.already_complete and dropped:
            lines.append(not_retried(self.mended))
        return lines + self.passed.lines()

    def markdown(self, info: FlowInfo, how: Sequence[str], picture: str = "") -> str:
        """The whole report as a Markdown page.

        Args:
          how: further lines on how the input was made.
          picture: the file of the picture beside it, if there is one.
        """
        lines = [f"# Flow: {count(len(self.kept), 'clip')}, {len(self.classes)} classes", ""]
        if picture:
            lines += [f"![u, v and optical strain]({picture})", ""]
        version = f" (version {info.version})" if info.version else ""
        said = [f"method: {info.method}{version}", f"values: {info.normalise}"]
        lines += [f"- {line}" for line in (*said, f"input: {info.input}", *how)]
        lines += ["", "## Clips", ""]
        lines += _table(("data set", *self.classes, "clips", "subjects"), self._counts())
        lines += [f"\n{note[0].upper()}{note[1:]}." for note in self.notes]
        for heading, clips in (
            ("Dropped", self._reasons("dropped")),
            ("Kept, but odd", self._reasons("kept")),
        ):
            if clips:
                lines += ["", f"## {heading}", "", *(f"- {name}: {why}" for name, why in clips)]
        return "\n".join(lines + passed_section(self.passed)) + "\n"

    def _reasons(self, status: str) -> list[tuple[str, str]]:
        found = (row for row in self.rows if row["status"] == status and row["reason"])
        return [(row["clip"], row["reason"]) for row in found]

    def _data_sets(self) -> dict[str, list[int]]:
        """Data set -> clips of each class."""
        cells = Counter((row["dataset"], row["class"]) for row in self.kept)
        names = sorted({name for name, _ in cells})
        return {name: [cells[name, each] for each in self.classes] for name in names}

    def _counts(self) -> list[tuple[str, ...]]:
        people = Counter(dataset for dataset, _ in self.subjects)
        published = {}
        if self.published:
            published = {
                member.name: member.scheme(len(self.classes)) for member in megc2019.SET.members
            }
        rows = []
        for name, clips in self._data_sets().items():
            scheme = published.get(name)
            counts = scheme.published if scheme else {}
            of_class = (_beside(n, counts.get(x)) for n, x in zip(clips, self.classes, strict=True))
            cells = [f"{n}{said}" for n, said in zip(clips, of_class, strict=True)]
            total = _beside(sum(clips), sum(counts.values()) or None)
            rows.append((name, *cells, f"{sum(clips)}{total}", str(people[name])))
        total = [f"{n}{_beside(n, self.published.get(x))}" for x, n in self.class_counts.items()]
        clips = f"{len(self.kept)}{_beside(len(self.kept), sum(self.published.values()) or None)}"
        subjects = f"{len(self.subjects)}{_beside(len(self.subjects), self.published_subjects)}"
        return [*rows, ("all", *total, clips, subjects)]


def save_report(
    output: Path,
    reports: Sequence[ClipReport],
    found: FlowClips,
    info: FlowInfo,
    picture: str = "",
) -> None:
    """Writes report.csv and report.md.

    Args:
      reports: what became of the clips of `found`, in their order.
      picture: the file of the picture, if there is one.
    """
    clips = found.clips
    rows = [
        (report.name, dataset, who, clips.classes[label], report.status, report.reason)
        for report, dataset, who, label in zip(
            reports, clips.dataset, clips.subject, clips.label, strict=True
        )
    ]
    rows += [
        (one.name, one.person.partition("/")[0], one.person, one.emotion, "dropped", one.reason)
        for one in found.dropped
    ]
    with (
        replacing(output / REPORT_FILE) as temporary,
        open(temporary, "w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        writer.writerows(rows)
    page = FlowReport.load(output, found).markdown(info, found.how, picture)
    write_text(output / MARKDOWN_FILE, page)


def _beside(here: int, published: int | None) -> str:
    return "" if published in (None, here) else f" (published: {published})"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]
