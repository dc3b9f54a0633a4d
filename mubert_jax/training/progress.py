"""The live line of a run, and the rates on it."""

import contextlib
import time

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mubert_jax.config import Config
from mubert_jax.training.flops import flops_per_pair


class Meter:
    """Pairs a second, data-wait share and model FLOP utilisation, smoothed over recent steps."""

    def __init__(self, config: Config, peak_flops: float, smoothing: float = 0.9):
        self._batch = config.training.batch_size
        self._flops_per_pair = flops_per_pair(config)
        self._peak = peak_flops
        self._smoothing = smoothing
        self._waited = 0.0
        self._last = None
        self._seconds = self._wait = None

    @contextlib.contextmanager
    def waiting_for_data(self):
        start = time.perf_counter()
        yield
        self._waited += time.perf_counter() - start

    def step(self) -> dict[str, float]:
        """Rates after one more step; empty for the first, which compiles."""
        now = time.perf_counter()
        if self._last is None:
            self._last, self._waited = now, 0.0
            return {}
        seconds, self._last = now - self._last, now
        self._seconds = self._smooth(self._seconds, seconds)
        self._wait = self._smooth(self._wait, self._waited)
        self._waited = 0.0
        pairs_per_second = self._batch / self._seconds
        return {
            "seconds_per_step": self._seconds,
            "pairs_per_second": pairs_per_second,
            "data_wait": min(1.0, self._wait / self._seconds),
            "model_flops_utilisation": pairs_per_second * self._flops_per_pair / self._peak,
        }

    def _smooth(self, old, new):
        return new if old is None else self._smoothing * old + (1 - self._smoothing) * new


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
