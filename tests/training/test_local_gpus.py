"""One process per node uses every GPU of it, one per GPU its own: told by what SLURM sets."""

import pytest

from mubert_jax.errors import UserError
from mubert_jax.training.local_gpus import local_gpus

ALL = []
EIGHT = "0,1,2,3,4,5,6,7"


def slurm(local=0, **variables):
    """What a task of a step sees, beside what the caller gives."""
    return {
        "SLURM_JOB_ID": "77",
        "SLURM_STEP_NODELIST": "node[1-4]",
        "SLURM_NTASKS": "4",
        "SLURM_PROCID": str(local),
        "SLURM_LOCALID": str(local),
        "SLURM_STEP_NUM_NODES": "4",
        **variables,
    }


def a_node(tasks, local, visible=EIGHT, **variables):
    gpus = {"CUDA_VISIBLE_DEVICES": visible, "SLURM_GPUS_ON_NODE": "8"} if visible else {}
    return slurm(local, **{"SLURM_STEP_TASKS_PER_NODE": f"{tasks}(x4)", **gpus, **variables})


CASES = {
    "no scheduler": ({}, ALL),
    "a node": (a_node(1, 0), ALL),
    "a node, by the counts of old": (slurm(CUDA_VISIBLE_DEVICES=EIGHT), ALL),
    "a node, no GPUs named": (slurm(), ALL),
    "one node, one process": (slurm(SLURM_NTASKS="1", SLURM_STEP_NUM_NODES="1"), ALL),
    "a GPU": (a_node(8, 5), [5]),
    "a GPU, by the counts of old": (
        slurm(5, SLURM_NTASKS="32", CUDA_VISIBLE_DEVICES=EIGHT),
        [5],
    ),
    "half a node": (a_node(2, 1), [4, 5, 6, 7]),
    "half a node, first": (a_node(2, 0), [0, 1, 2, 3]),
    "some GPUs of a node": (a_node(2, 1, "2,3,6,7", SLURM_GPUS_ON_NODE="4"), [2, 3]),
    "GPUs by UUID": (a_node(2, 1, "GPU-a1,GPU-b2", SLURM_GPUS_ON_NODE="2"), [1]),
    "bound to one": (a_node(8, 5, "0"), ALL),
    "bound to one of another number": (a_node(8, 5, "5"), ALL),
    "bound to four": (a_node(2, 1, "0,1,2,3"), ALL),
    "bound to four, said to be the node's": (
        a_node(2, 1, "0,1,2,3", SLURM_GPUS_ON_NODE="4", SLURM_GPUS_PER_TASK="4"),
        ALL,
    ),
    "bound to four, of the job's eight": (
        a_node(2, 1, "0,1,2,3", SLURM_GPUS_ON_NODE="4", SLURM_JOB_GPUS=EIGHT),
        ALL,
    ),
    "two a task, all seen": (a_node(4, 3, SLURM_GPUS_PER_TASK="h100:2"), [6, 7]),
    "two a task in newer words": (
        a_node(4, 3, SLURM_TRES_PER_TASK="cpu=16,gres/gpu:h100=2"),
        [6, 7],
    ),
    "one a task, of more": (a_node(4, 3, SLURM_GPUS_PER_TASK="1"), [3]),
    "uneven steps, a node of one": (
        a_node(1, 0, SLURM_STEP_TASKS_PER_NODE="2(x2),1", SLURM_NODEID="2"),
        ALL,
    ),
    "uneven steps, a node of two": (
        a_node(1, 1, SLURM_STEP_TASKS_PER_NODE="2(x2),1", SLURM_NODEID="1"),
        [4, 5, 6, 7],
    ),
    "no GPU to be seen": (a_node(8, 5, "NoDevFiles"), ALL),
    "none, as CUDA says it": (a_node(8, 5, "-1"), ALL),
    "none, emptied": (a_node(8, 5, "", CUDA_VISIBLE_DEVICES=""), ALL),
    "the user's own": (a_node(8, 5, JAX_LOCAL_DEVICE_IDS="1,2"), None),
    "in a batch script, outside srun": ({"SLURM_JOB_ID": "7", "SLURM_LOCALID": "0"}, ALL),
    "mpirun, a node": (
        {"OMPI_COMM_WORLD_LOCAL_RANK": "0", "OMPI_COMM_WORLD_LOCAL_SIZE": "1"},
        ALL,
    ),
    "mpirun, half a node": (
        {
            "OMPI_COMM_WORLD_LOCAL_RANK": "1",
            "OMPI_COMM_WORLD_LOCAL_SIZE": "2",
            "CUDA_VISIBLE_DEVICES": EIGHT,
        },
        [4, 5, 6, 7],
    ),
}


@pytest.mark.parametrize("environment, gpus", CASES.values(), ids=CASES)
def test_a_process_uses_the_gpus_that_are_its_own(environment, gpus):
    assert local_gpus(environment) == gpus


@pytest.mark.parametrize("tasks, visible", [(3, EIGHT), (16, EIGHT), (8, "0,1,2,3")])
def test_gpus_that_do_not_divide_are_refused_but_where_they_are_not_used(tasks, visible):
    environment = a_node(tasks, 2, visible)
    with pytest.raises(UserError, match=f"--pod: {tasks} processes on this node"):
        local_gpus(environment)
    assert local_gpus(environment | {"JAX_PLATFORMS": "cpu"}) == ALL


@pytest.mark.parametrize("tasks, visible", [(1, EIGHT), (2, EIGHT), (4, EIGHT), (8, EIGHT)])
def test_every_gpu_of_a_node_is_used_once(tasks, visible):
    used = [gpu for i in range(tasks) for gpu in local_gpus(a_node(tasks, i)) or range(8)]
    assert used == list(range(8))
