"""Several processes that train as one, through JAX's own runtime."""

import contextlib
import os
import sys
import time
import traceback

import jax
from jax.experimental import multihost_utils

from mubert_jax.errors import AGAIN, PassingError, UserError, kind_of, readable
from mubert_jax.training.local_gpus import local_gpus
from mubert_jax.training.preemption import Preempted

# A process that has said nothing for so many seconds is gone; the others then stop.
HEARTBEAT_SECONDS = 20
# So long do the others wait at the end for the first, which draws and measures.
LAST_SECONDS = 3600
LOST = 76  # EX_PROTOCOL
VARIABLES = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")


def join():
    """Makes this process one of a pod; to be called before JAX is used.

    SLURM, GKE and Cloud TPU tell JAX where the others are; elsewhere `VARIABLES` do.

    Raises:
      UserError: nothing tells, or its GPUs do not divide among the processes of this node.
      PassingError: the others cannot be reached.
    """
    address, count, number = (os.environ.get(name) for name in VARIABLES)
    try:
        with _no_proxies():
            jax.distributed.initialize(
                coordinator_address=address,
                num_processes=int(count) if count else None,
                process_id=int(number) if number else None,
                local_device_ids=local_gpus(),
                heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
                shutdown_timeout_seconds=LAST_SECONDS,
            )
    except (jax.errors.JaxRuntimeError, OSError) as error:
        raise PassingError(
            f"--pod: the others cannot be reached ({_first_line(error)}); {AGAIN}"
        ) from error
    except (ValueError, RuntimeError) as error:
        raise UserError(
            f"--pod: this process cannot join the others ({_first_line(error)}); start it by "
            f"SLURM, GKE or on a Cloud TPU, or set {', '.join(VARIABLES)}"
        ) from error


@contextlib.contextmanager
def _no_proxies():
    """While entered, no proxy stands between the processes; gRPC takes none afterwards either.

    Behind one, a pod waits for minutes and then gives up, on one machine too. Whatever else this
    process starts finds the user's variables.
    """
    hidden = {name: os.environ.pop(name) for name in [*os.environ] if _is_proxy(name)}
    try:
        yield
    finally:
        os.environ.update(hidden)
        os.environ["grpc_proxy"] = ""  # gRPC reads it before https_proxy and http_proxy


def _is_proxy(name: str) -> bool:
    return name.lower().endswith("_proxy")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__


def leads() -> bool:
    """Whether this process writes what is written once: metrics, pictures, what is printed."""
    return jax.process_index() == 0


def together(tree):
    """Global arrays, sharded over processes or not, as whole NumPy arrays in every process."""
    if jax.process_count() == 1:
        return tree
    return multihost_utils.process_allgather(tree, tiled=True)


@contextlib.contextmanager
def ending_as_one():
    """Whoever fails in a pod says so and ends at once; the others then end, too.

    To leave in order is to wait for the others, who wait for this process: in a collective, or at
    a checkpoint. A process whose collective fails has lost another, and says that. The rest are
    ended by JAX's runtime within `HEARTBEAT_SECONDS`; it names the process that is gone (`tasks
    are unhealthy`). What all processes do at the same step (`Preempted`) is no failure.
    """
    try:
        yield
    except Exception as error:
        if jax.process_count() == 1 or isinstance(error, Preempted):
            raise
        if failure := readable(error):
            _end(kind_of(failure).exit_code, str(failure))
        if "RESOURCE_EXHAUSTED" in str(error):
            _end(
                UserError.exit_code,
                f"too large for the memory of its devices ({_first_line(error)}); lower "
                "config.training.batch_size, or raise config.training.micro_batches",
            )
        if not isinstance(error, jax.errors.JaxRuntimeError):
            traceback.print_exc()
            _end(1, "ended by the error above")
        _say(
            f"has lost another ({_first_line(error)}); its name follows. The last "
            "checkpoint is kept: the same command goes on"
        )
        time.sleep(2 * HEARTBEAT_SECONDS)
        os._exit(LOST)


def _end(code: int, why: str):
    _say(why)
    os._exit(code)


def _say(text: str):
    me = f"mubert pretrain: process {jax.process_index()} of {jax.process_count()}"
    print(f"{me}: {text}", file=sys.stderr, flush=True)
