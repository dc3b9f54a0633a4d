"""The live line of a run."""

import time

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class ProgressLine:
    """A live line on a terminal; on anything else one plain line every few seconds."""

    def __init__(self, console, start: int, total: int, plain_every: float = 10.0):
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

    def __exit__(self, *_):
        self._progress.stop()

    def update(self, step: int, values: dict[str, float], rates: dict[str, float]):
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
