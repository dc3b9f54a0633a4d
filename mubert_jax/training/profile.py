"""A profiler trace of some steps, for TensorBoard or xprof."""

from pathlib import Path

import jax


class Profile:
    """Traces the steps of `runtime.profile_steps`, both included, into `workdir`/profile."""

    def __init__(self, steps: tuple[int, int], workdir: Path):
        self._first, self._last = steps
        self._folder = workdir / "profile"
        self._on = False

    def __enter__(self):
        return self

    def __exit__(self, *_: object):
        self._stop()

    def before(self, step: int) -> None:
        """Starts or stops the trace; to be called before each step."""
        if step == self._first:
            jax.profiler.start_trace(str(self._folder))
            self._on = True
        elif step > self._last:
            self._stop()

    def _stop(self):
        if self._on:
            jax.profiler.stop_trace()
            self._on = False
