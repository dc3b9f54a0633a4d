"""The progress line of a run."""

import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class ProgressLine:
    """A live line on a terminal; elsewhere a plain line every `plain_every` seconds, for logs."""

    def __init__(self, console: Console, start: int, total: int, plain_every: float = 10.0):
        self._console, self._total = console, total
        self._plain_every, self._printed = plain_every, 0.0
        self._progress = Progress(
            TextColumn("step"),
            MofNCompleteColumn(),
            BarColumn(bar_width=20),
            TextColumn("{task.description}"),
            TextColumn("ETA"),
            TimeRemainingColumn(compact=True),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("compiling", total=total, completed=start)

    def __enter__(self):
        self._progress.start()
        return self

    def __exit__(self, *_: object):
        self._progress.stop()

    def update(self, step: int, values: dict[str, float], rates: dict[str, float]) -> None:
        """Shows the loss in `values` and the `rates` of `Meter.step`."""
        line = f"loss {values['loss']:.4f}"
        if rates:
            line += (
                f"  {rates['pairs_per_second']:.1f} pairs/s"
                f"  data wait {rates['data_wait']:.0%}"
                f"  MFU {rates['model_flops_utilisation']:.0%}"
            )
        self._progress.update(self._task, completed=step, description=line)
        due = time.monotonic() - self._printed > self._plain_every or step == self._total
        if not self._console.is_terminal and due:
            self._printed = time.monotonic()
            if rates:
                line += f"  ETA {(self._total - step) * rates['seconds_per_step'] / 60:.1f} min"
            self._console.print(f"step {step}/{self._total}  {line}", highlight=False)
