"""What `mubert prepare synthetic --long` has made."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from mubert_jax.data.files import write_text
from mubert_jax.data.report import MARKDOWN_FILE, SetReport, count
from mubert_jax.spotting.videos import EVENTS_FILE, VIDEOS_FILE
from mubert_jax.synthetic.events import EXPRESSIONS, KINDS


@dataclass(frozen=True)
class LongReport(SetReport):
    """The outcome of one `mubert prepare synthetic --long`.

    Attributes:
      output: the folder.
      videos, subjects: how many there are.
      minutes: how long all of them last.
      bytes: the size of all files.
      codec: how frames are stored.
      events: condition -> kind -> how many there are.
    """

    output: Path
    videos: int
    subjects: int
    minutes: float
    bytes: int
    codec: str
    events: dict[str, Counter]

    @classmethod
    def load(cls, output: Path) -> "LongReport":
        """The report of a complete folder, from its tables and files."""
        videos = pd.read_csv(output / VIDEOS_FILE, dtype={"subject": str, "video": str})
        events = pd.read_csv(output / EVENTS_FILE, dtype={"subject": str, "video": str})
        condition = dict(zip(videos["video"], videos["condition"], strict=True))
        counts: dict[str, Counter] = {name: Counter() for name in condition.values()}
        for video, kind in zip(events["video"], events["kind"], strict=True):
            counts[condition[video]][kind] += 1
        files = [output / name for name in videos["file"]]
        return cls(
            output=output,
            videos=len(videos),
            subjects=videos["subject"].nunique(),
            minutes=float((videos["frames"] / videos["fps"]).sum() / 60),
            bytes=sum(_size(path) for path in files),
            codec="folders of PNG" if files[0].is_dir() else f"FFV1, {files[0].suffix}",
            events=counts,
        )

    @property
    def dropped_clips(self) -> list[str]:
        """No video is left out."""
        return []

    def lines(self) -> list[str]:
        """The summary, one fact per line."""
        state = "already complete, nothing to do" if self.already_complete else "done"
        lines = [
            f"{self.output}: {state}",
            f"{count(self.videos, 'video')} of {count(self.subjects, 'subject')}, "
            f"{self.minutes:,.1f} minutes, {self.bytes / 1e6:,.1f} MB "
            f"({self.bytes / 1e6 / self.minutes:,.1f} MB per minute; {self.codec})",
        ]
        for condition, counts in self.events.items():
            told = ", ".join(f"{kind} {counts[kind]}" for kind in KINDS if counts[kind])
            lines.append(f"{condition}: {told or 'nothing happens'}")
        if not any(counts[kind] for counts in self.events.values() for kind in EXPRESSIONS):
            lines.append(
                "warning: nobody expresses anything; `mubert evaluate --spotting` needs a video in "
                "which somebody does"
            )
        return lines

    def save(self) -> None:
        """Writes report.md."""
        first, *rest = self.lines()[1:]
        text = "\n".join([f"# {first}", "", *(f"- {line}" for line in rest)])
        write_text(self.output / MARKDOWN_FILE, f"{text}\n")


def _size(path: Path) -> int:
    files: Sequence[Path] = list(path.iterdir()) if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files)
