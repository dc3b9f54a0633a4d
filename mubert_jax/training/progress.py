"""The live line of a run, and the rates on it."""

import contextlib
import json
import time
from pathlib import Path

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
        self._start = time.perf_counter()
        self._spent = {"data": 0.0, "checkpoints": 0.0}
        self._waited_before = 0.0
        self._last = self._compiled = None
        self._seconds = self._wait = None
        self._steps = 0

    @contextlib.contextmanager
    def timing(self, what: str):
        """Adds to the time spent on "data" or "checkpoints"."""
        start = time.perf_counter()
        yield
        self._spent[what] += time.perf_counter() - start

    def step(self) -> dict[str, float]:
        """Rates after one more step; empty for the first, which compiles."""
        now = time.perf_counter()
        waited = self._spent["data"] - self._waited_before
        self._waited_before = self._spent["data"]
        if self._last is None:
            self._last, self._compiled = now, now - self._start
            self._at_compiled = dict(self._spent)
            return {}
        self._steps += 1
        seconds, self._last = now - self._last, now
        self._seconds = self._smooth(self._seconds, seconds)
        self._wait = self._smooth(self._wait, waited)
        pairs_per_second = self._batch / self._seconds
        return {
            "seconds_per_step": self._seconds,
            "pairs_per_second": pairs_per_second,
            "data_wait": min(1.0, self._wait / self._seconds),
            "model_flops_utilisation": pairs_per_second * self._flops_per_pair / self._peak,
        }

    def summarise(self, workdir: Path, console):
        """Prints what the time went to, and writes it to summary.json.

        The first step, which compiles, is apart. Goodput is the share of the whole time in which
        steps were made and nobody waited for data, a checkpoint or the compiler.
        """
        if not self._steps:
            return
        whole = time.perf_counter() - self._start
        after = whole - self._compiled
        spent = {name: value - self._at_compiled[name] for name, value in self._spent.items()}
        rate = self._steps * self._batch / after
        summary = {
            "steps": self._steps + 1,
            "pairs_per_second": rate,
            "model_flops_utilisation": rate * self._flops_per_pair / self._peak,
            "seconds": whole,
            "compiling_seconds": self._compiled,
            "data_wait_seconds": spent["data"],
            "checkpoint_seconds": spent["checkpoints"],
            "goodput": (after - sum(spent.values())) / whole,
        }
        (workdir / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
        console.print(
            f"{summary['steps']} steps in {whole / 60:.1f} min: {rate:.1f} pairs/s, "
            f"MFU {summary['model_flops_utilisation']:.0%}, first step {self._compiled:.0f} s, "
            f"data wait {spent['data']:.1f} s, checkpoints {spent['checkpoints']:.1f} s, "
            f"goodput {summary['goodput']:.0%}",
            highlight=False,
            soft_wrap=True,
        )

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
