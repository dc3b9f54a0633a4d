"""Several processes that train as one, through JAX's own runtime."""

import contextlib
import os
import sys
import time

import jax
from jax.experimental import multihost_utils

from mubert_jax.errors import UserError

# A process that has said nothing for so many seconds is gone; the others then stop.
HEARTBEAT_SECONDS = 20
LOST = 76  # EX_PROTOCOL
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
    """Says what happened when a collective fails because a process of the pod is gone.

    One that waits for the lost one to write a checkpoint is in no collective, and says nothing.
    JAX's runtime then ends this process within `HEARTBEAT_SECONDS` and names the one that is gone
    (`tasks are unhealthy`); if it does not, this process ends itself with `LOST`.
    """
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if jax.process_count() == 1:
            raise
        print(
            f"mubert: process {jax.process_index()} of {jax.process_count()} has lost another "
            f"({str(error).splitlines()[0][:160]}); its name follows. The last checkpoint is kept: "
            "the same command goes on",
            file=sys.stderr,
            flush=True,
        )
        time.sleep(2 * HEARTBEAT_SECONDS)
        os._exit(LOST)
