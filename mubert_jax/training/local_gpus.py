"""Which GPUs of a node belong to this process, where a scheduler starts several per node."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from mubert_jax.errors import UserError

# The variables by which JAX's own cluster detection recognises a job. The last one of SLURM and
# the first one of Open MPI are the number of this process on its node.
SLURM = ("SLURM_JOB_ID", "SLURM_STEP_NODELIST", "SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID")
OPEN_MPI = ("OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE")


def local_gpus(environment: Mapping[str, str] = os.environ) -> list[int] | None:
    """Indices of this process's GPUs among those visible to it; [] for all of them.

    By default JAX gives every process that SLURM or Open MPI starts the one GPU with the number of
    that process on its node, so that one process per node uses one GPU only. None leaves the choice
    to JAX: the user has made it in JAX_LOCAL_DEVICE_IDS, or the number of GPUs is unknown.

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
    if seen <= share or seen == 0:  # only its own are visible, by --gpus-per-task or --gpu-bind
        return []
    if share == 0 or seen < count * share:
        if environment.get("JAX_PLATFORMS") == "cpu":
            return []
        raise UserError(
            f"--pod: {count} processes on this node, and {seen} GPUs to be seen by each, do not "
            "go together; start one process per node, or one per GPU (--ntasks-per-node)"
        )
    return list(range(number * share, (number + 1) * share))


def _place_on_node(environment: Mapping[str, str]) -> tuple[int, int]:
    """The number of this process on its node and the count of them; (0, 1) if neither is set."""
    if all(name in environment for name in SLURM):
        return int(environment["SLURM_LOCALID"]), _slurm_tasks(environment)
    if all(name in environment for name in OPEN_MPI):
        number, count = (int(environment[name]) for name in OPEN_MPI)
        return number, count
    return 0, 1


def _slurm_tasks(environment: Mapping[str, str]) -> int:
    """The number of tasks of the job step on this node."""
    counts = _expanded(environment.get("SLURM_STEP_TASKS_PER_NODE", ""))
    node = int(environment.get("SLURM_NODEID", 0))
    if node < len(counts):
        return counts[node]
    if environment.get("SLURM_NTASKS_PER_NODE", "").isdigit():
        return int(environment["SLURM_NTASKS_PER_NODE"])
    nodes = int(environment.get("SLURM_STEP_NUM_NODES", 1))
    return -(-int(environment["SLURM_NTASKS"]) // nodes)


def _expanded(text: str) -> list[int]:
    """The counts in SLURM's notation: [2, 2, 1] for `2(x2),1`."""
    counts = re.findall(r"(\d+)(?:\(x(\d+)\))?", text)
    return [int(count) for count, times in counts for _ in range(int(times or 1))]


def _seen(environment: Mapping[str, str]) -> int | None:
    """The number of GPUs visible to this process; None where only CUDA itself could tell."""
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return len([*Path("/proc/driver/nvidia/gpus").glob("*")]) or None
    names = [name.strip() for name in visible.split(",")]
    valid = [bool(re.fullmatch(r"\d+|(GPU|MIG)-.+", name)) for name in names]
    return (valid + [False]).index(False)  # CUDA stops at the first invalid entry


def _share(environment: Mapping[str, str], seen: int, count: int) -> int:
    """GPUs per process, as requested from SLURM or in equal parts; 0 if they do not divide."""
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
