"""Several processes that train as one, coordinated by JAX's own runtime."""

import contextlib
import os
import sys
import time
import traceback
from collections.abc import Generator
from typing import Any, NoReturn

import jax
from jax.experimental import multihost_utils

from mubert_jax.errors import AGAIN, PassingError, UserError, kind_of, readable
from mubert_jax.training.local_gpus import local_gpus
from mubert_jax.training.preemption import Preempted

# A process that is silent for so long counts as lost, and the others stop. Less finds a loss
# sooner; more forgives a machine that stalls.
HEARTBEAT_SECONDS = 20
# How long the others wait at the end for the first process, which draws the figure and measures the
# scale of the maps: a bound against waiting for ever.
LAST_SECONDS = 3600
LOST = 76  # EX_PROTOCOL
VARIABLES = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")


def join() -> None:
    """Makes this process one of a pod; to be called before JAX is used.

    JAX finds the other processes by itself under SLURM, on GKE and on Cloud TPU; elsewhere the
    environment variables `VARIABLES` name them.

    Raises:
      UserError: the others are not known, or the GPUs do not divide among the processes of a node.
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
    """Keeps gRPC from using a proxy between the processes, within the block and afterwards.

    Behind a proxy, a pod waits for minutes and then gives up, even on a single machine. The user's
    variables are restored afterwards, for whatever else this process starts.
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
    """Whether this process is the one that prints and writes metrics and pictures."""
    return jax.process_index() == 0


def together(tree: Any) -> Any:
    """The tree, in a pod with its arrays gathered into whole NumPy arrays in every process."""
    if jax.process_count() == 1:
        return tree
    return multihost_utils.process_allgather(tree, tiled=True)


@contextlib.contextmanager
def ending_as_one() -> Generator[None]:
    """Ends a process that fails in a pod at once, with a message; the others then end, too.

    An orderly exit would wait for the others, which wait for this process in a collective or at a
    checkpoint. A process whose collective fails has lost another one, and reports that. The rest
    are ended by JAX's runtime within `HEARTBEAT_SECONDS`; it names the lost process (`tasks are
    unhealthy`). `Preempted` is no failure: all processes raise it at the same step.
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


def _end(code: int, why: str) -> NoReturn:
    _say(why)
    os._exit(code)


def _say(text: str):
    me = f"mubert pretrain: process {jax.process_index()} of {jax.process_count()}"
    print(f"{me}: {text}", file=sys.stderr, flush=True)
