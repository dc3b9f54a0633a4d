"""Which of a node's GPUs are this process's, where a scheduler starts several processes a node."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from mubert_jax.errors import UserError

# Number of this process on its node, and what says how many there are; as JAX finds a cluster.
SLURM = ("SLURM_JOB_ID", "SLURM_STEP_NODELIST", "SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID")
OPEN_MPI = ("OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE")


def local_gpus(environment: Mapping[str, str] = os.environ) -> list[int] | None:
    """Places of this process's GPUs among those that it sees; [] for all of them.

    Left alone, JAX gives every process that SLURM or Open MPI starts the one GPU of its number on
    the node: one process per node then uses one GPU. None leaves the choice to JAX: the user has
    made it in JAX_LOCAL_DEVICE_IDS, or the number of GPUs cannot be told.

    Raises:
      UserError: the GPUs do not divide among the processes.
    """
    if environment.get("JAX_LOCAL_DEVICE_IDS"):
        return None
    number, count = _place_on_node(environment)
    if count == 1:
        return []
    seen = _seen(environment)
    if seen is None:
        return None
    share = _share(environment, seen, count)
    if seen <= share or seen == 0:  # its own alone, as --gpus-per-task and --gpu-bind make it
        return []
    if share == 0 or seen < count * share:
        if environment.get("JAX_PLATFORMS") == "cpu":
            return []
        raise UserError(
            f"--pod: {count} processes on this node, and {seen} GPUs to be seen by each, do not "
            "go together; start one process per node, or one per GPU (--ntasks-per-node)"
        )
    return list(range(number * share, (number + 1) * share))


def _place_on_node(environment) -> tuple[int, int]:
    """The number of this process on its node, and how many there are; (0, 1) if nothing says."""
    if all(name in environment for name in SLURM):
        return int(environment["SLURM_LOCALID"]), _slurm_tasks(environment)
    if all(name in environment for name in OPEN_MPI):
        return tuple(int(environment[name]) for name in OPEN_MPI)
    return 0, 1


def _slurm_tasks(environment) -> int:
    """Tasks of the step on this node."""
    counts = _expanded(environment.get("SLURM_STEP_TASKS_PER_NODE", ""))
    node = int(environment.get("SLURM_NODEID", 0))
    if node < len(counts):
        return counts[node]
    if environment.get("SLURM_NTASKS_PER_NODE", "").isdigit():
        return int(environment["SLURM_NTASKS_PER_NODE"])
    nodes = int(environment.get("SLURM_STEP_NUM_NODES", 1))
    return -(-int(environment["SLURM_NTASKS"]) // nodes)


def _expanded(text: str) -> list[int]:
    """[2, 2, 1] of SLURM's `2(x2),1`."""
    counts = re.findall(r"(\d+)(?:\(x(\d+)\))?", text)
    return [int(count) for count, times in counts for _ in range(int(times or 1))]


def _seen(environment) -> int | None:
    """How many GPUs CUDA shows this process; None where it cannot be told without starting it."""
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return len([*Path("/proc/driver/nvidia/gpus").glob("*")]) or None
    names = [name.strip() for name in visible.split(",")]
    valid = [bool(re.fullmatch(r"\d+|(GPU|MIG)-.+", name)) for name in names]
    return (valid + [False]).index(False)  # CUDA stops at the first that names none


def _share(environment, seen: int, count: int) -> int:
    """GPUs a process: as asked of SLURM, or an equal part of the node's; 0 if there is none."""
    asked = environment.get("SLURM_GPUS_PER_TASK") or ",".join(
        re.findall(r"gres/gpu[^,]*", environment.get("SLURM_TRES_PER_TASK", ""))
    )
    if numbers := re.findall(r"(\d+)(?:,|$)", asked):
        return sum(map(int, numbers))
    on_node = [seen]
    if environment.get("SLURM_GPUS_ON_NODE", "").isdigit():
        on_node.append(int(environment["SLURM_GPUS_ON_NODE"]))
    for name in ("SLURM_STEP_GPUS", "SLURM_JOB_GPUS"):
        on_node.append(len([gpu for gpu in environment.get(name, "").split(",") if gpu]))
    return max(on_node) // count if max(on_node) % count == 0 else 0
