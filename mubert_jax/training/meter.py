"""How a run spends its time: rates while it trains, a summary at the end."""

import contextlib
import json
import time
from collections.abc import Generator
from pathlib import Path

from rich.console import Console

from mubert_jax.data.files import write_text

TIMED = ("data", "checkpoints", "evaluation")


class Meter:
    """Pairs per second, data-wait share and model FLOP utilisation, smoothed over recent steps.

    Attributes:
      steps: the number of steps so far.

    Args:
      smoothing: The weight of the past in the moving average. 0.9 averages over about 10 steps;
        more is steadier, less follows a change sooner.
    """

    def __init__(
        self, batch_size: int, flops_per_pair: float, peak_flops: float, smoothing: float = 0.9
    ):
        self._batch = batch_size
        self._flops_per_pair = flops_per_pair
        self._peak = peak_flops
        self._smoothing = smoothing
        self._start = time.perf_counter()
        self._spent = dict.fromkeys(TIMED, 0.0)
        self._waited_before = 0.0
        self._first = self._last = self._start
        self._compiling = 0.0
        self._seconds: float | None = None
        self._wait: float | None = None
        self.steps = 0

    @contextlib.contextmanager
    def timing(self, what: str) -> Generator[None]:
        """Adds the time of the block to that spent on `what`, one of `TIMED`."""
        start = time.perf_counter()
        yield
        self._spent[what] += time.perf_counter() - start

    def step(self) -> dict[str, float]:
        """Counts a step and returns the rates; {} for the first step, which compiles."""
        now = time.perf_counter()
        waited = self._spent["data"] - self._waited_before
        self._waited_before = self._spent["data"]
        self.steps += 1
        if self.steps == 1:
            self._last = self._first = now
            self._compiling = now - self._start - sum(self._spent.values())
            return {}
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

    def summarise(self, workdir: Path, console: Console) -> None:
        """Prints how the time since the start of the command was spent; writes summary.json.

        The first step, which compiles, is listed separately; the rates are over the steps after it
        and include their waits. Goodput is the share of the whole time that was spent on steps and
        not on waiting for data, a checkpoint, the compiler or an evaluation.
        """
        whole = time.perf_counter() - self._start
        training = self._last - self._first
        rate = (self.steps - 1) * self._batch / training if training else 0.0
        summary = {
            "steps": self.steps,
            "pairs_per_second": rate,
            "model_flops_utilisation": rate * self._flops_per_pair / self._peak,
            "seconds": whole,
            "compiling_seconds": self._compiling,
            "data_wait_seconds": self._spent["data"],
            "checkpoint_seconds": self._spent["checkpoints"],
            "evaluation_seconds": self._spent["evaluation"],
            "goodput": 1 - (self._compiling + sum(self._spent.values())) / whole,
        }
        write_text(workdir / "summary.json", json.dumps(summary, indent=1) + "\n")
        console.print(
            f"{self.steps} steps in {whole / 60:.1f} min: {rate:.1f} pairs/s, "
            f"MFU {summary['model_flops_utilisation']:.0%}, first step {self._compiling:.0f} s, "
            f"data wait {self._spent['data']:.1f} s, "
            f"checkpoints {self._spent['checkpoints']:.1f} s, "
            f"evaluation {self._spent['evaluation']:.1f} s, goodput {summary['goodput']:.0%}",
            highlight=False,
            soft_wrap=True,
        )

    def _smooth(self, old: float | None, new: float) -> float:
        return new if old is None else self._smoothing * old + (1 - self._smoothing) * new
