"""Progress over clips and their frames: a bar on a terminal, a line now and then in a log."""

import threading
import time

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

_SECONDS_BETWEEN_LINES = 10.0  # often enough to see it live, rare enough for a log


class ClipProgress:
    """Counts clips and frames from many threads; a context manager.

    Args:
      console: where to draw.
      expected: clip name -> number of frames that it announces.
      noun: what is counted, if not frames.
      work: how long all that is done with a frame takes, in multiples of what `frame` stands for.
    """

    def __init__(
        self, console: Console, expected: dict[str, int], noun: str = "frames", work: float = 1.0
    ):
        self._console, self._noun = console, noun
        self._expected = {name: max(1, count) * work for name, count in expected.items()}
        self._lock = threading.Lock()
        self._frames = self._clips = 0
        self._total = sum(self._expected.values())
        self._start = self._last_line = time.monotonic()
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.fields[text]}"),
            BarColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task = self._bar.add_task("", total=self._total, text="")

    def __enter__(self) -> "ClipProgress":
        self._show()
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()

    def frame(self) -> None:
        """One frame is stored."""
        with self._lock:
            self._frames += 1
        self._bar.advance(self._task)
        self._show()

    def further(self, frames: float) -> None:
        """More is done with frames that were counted, which takes as long as so many `frame`s."""
        self._bar.advance(self._task, frames)
        self._show()

    def clip(self, name: str, frames: float) -> None:
        """A clip is finished, after `frame` and `further` have counted so many for it."""
        with self._lock:
            self._clips += 1
        self._bar.advance(self._task, self._expected[name] - frames)
        self._show()

    def skip(self, name: str) -> None:
        """A clip was stored by an earlier run."""
        with self._lock:
            self._clips += 1
            self._total -= self._expected[name]
            self._bar.update(self._task, total=self._total)

    def _show(self) -> None:
        now = time.monotonic()
        rate = self._frames / max(now - self._start, 1e-9)
        text = (
            f"{self._clips}/{len(self._expected)} clips  {self._frames:,} {self._noun}  "
            f"{rate:,.0f} {self._noun}/s"
        )
        self._bar.update(self._task, text=text)
        with self._lock:
            due = not self._console.is_terminal and now - self._last_line > _SECONDS_BETWEEN_LINES
            if due:
                self._last_line = now
        if due:
            self._console.print(text, highlight=False)
