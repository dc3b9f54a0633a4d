"""Several processes that train as one, through JAX's own runtime."""

import contextlib
import os
import sys

import jax
from jax.experimental import multihost_utils

from mubert_jax.errors import UserError

# A process that has said nothing for so many seconds is gone; the others then stop.
HEARTBEAT_SECONDS = 20
VARIABLES = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")


def join():
    """Makes this process one of a pod; to be called before JAX is used.

    SLURM, GKE and Cloud TPU tell JAX where the others are; elsewhere `VARIABLES` do.

    Raises:
      UserError: nothing tells, or the others cannot be reached.
    """
    address, count, number = (os.environ.get(name) for name in VARIABLES)
    try:
        jax.distributed.initialize(
            coordinator_address=address,
            num_processes=int(count) if count else None,
            process_id=int(number) if number else None,
            heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
        )
    except (ValueError, RuntimeError) as error:
        summary = str(error).splitlines()[0]
        raise UserError(
            f"--pod: this process cannot join the others ({summary}); start it by SLURM, GKE or on "
            f"a Cloud TPU, or set {', '.join(VARIABLES)}"
        ) from error


def leads() -> bool:
    """Whether this process writes what is written once: metrics, pictures, what is printed."""
    return jax.process_index() == 0


def together(tree):
    """Global arrays, sharded over processes or not, as whole NumPy arrays in every process."""
    if jax.process_count() == 1:
        return tree
    return multihost_utils.process_allgather(tree, tiled=True)


@contextlib.contextmanager
def stopping_when_one_is_gone():
    """Ends the process, by name of the one that is gone, if a collective fails for lack of it.

    The coordinator notices within `HEARTBEAT_SECONDS` and ends the rest in the same way.
    """
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if jax.process_count() == 1:
            raise
        print(
            f"mubert: process {jax.process_index()} of {jax.process_count()} lost "
            f"{_missing() or 'another'}: {str(error).splitlines()[0][:200]}. The last checkpoint "
            "is kept; the same command goes on",
            file=sys.stderr,
            flush=True,
        )
        os._exit(LOST_EXIT_CODE)


LOST_EXIT_CODE = 76  # EX_PROTOCOL: a peer is gone; run the same command again


def _missing() -> str:
    return ""
