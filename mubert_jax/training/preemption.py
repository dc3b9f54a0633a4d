"""SIGTERM and Ctrl-C: finish the step, save, say how to continue."""

import contextlib
import signal
from collections.abc import Generator
from pathlib import Path
from types import FrameType

import jax
from jax.experimental import multihost_utils

EXIT_CODE = 75  # EX_TEMPFAIL: run the same command again


class Preempted(Exception):
    """The run was asked to stop and its state is saved."""

    def __init__(self, step: int, workdir: Path):
        super().__init__(f"stopped at step {step}, saved in {workdir}; the same command goes on")


class StopSignal:
    """Within the block, SIGTERM and SIGINT set `requested` instead of killing the process.

    A second SIGINT interrupts at once. In a pod JAX's runtime listens for SIGTERM in every process
    and tells the others, up to the last step.
    """

    def __init__(self):
        self.requested = False
        self._previous = {}

    def __enter__(self):
        if jax.process_count() == 1:
            self._listen()
        return self

    def __exit__(self, *_: object):
        for signum, handler in self._previous.items():
            if handler is not None:  # not installed from Python, which cannot restore it
                signal.signal(signum, handler)

    def after(self, step: int, last: bool) -> bool:
        """Whether to stop after this step: one answer for all processes, asked once per step.

        After the `last` step there is no further agreement, and each process of a pod listens for
        itself; JAX's runtime would wait minutes for the others' next step.
        """
        if jax.process_count() == 1:
            return self.requested
        stopping = multihost_utils.reached_preemption_sync_point(step)
        if last:
            self._listen()
        return stopping

    def _listen(self):
        for signum in (signal.SIGTERM, signal.SIGINT):
            self._previous[signum] = signal.signal(signum, self._request)

    def _request(self, signum: int, _: FrameType | None):
        if self.requested and signum == signal.SIGINT:
            raise KeyboardInterrupt
        self.requested = True


@contextlib.contextmanager
def sigterm_as_interrupt() -> Generator[None]:
    """Lets SIGTERM raise KeyboardInterrupt within the block, as Ctrl-C does."""
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
