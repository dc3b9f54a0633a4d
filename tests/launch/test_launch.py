"""The launch scripts and manifests, as far as they can be checked without a cluster."""

import copy
import shutil
import subprocess
import sys
from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest
import yaml

LAUNCH = Path(__file__).parents[2] / "launch"
SCRIPTS = sorted(LAUNCH.glob("*.sh"))
MANIFESTS = sorted(LAUNCH.glob("gke/*.yaml"))
SHELLCHECK = Path(sys.prefix) / "bin" / "shellcheck"


def test_they_are_all_there():
    names = {path.name for path in (*SCRIPTS, *MANIFESTS)}
    assert {
        "slurm.sh",
        "tpu_vm.sh",
        "local_pod.sh",
        "bench_gpu.sh",
        "gpu.yaml",
        "tpu.yaml",
    } <= names


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_shellcheck_finds_nothing(script):
    found = subprocess.run(
        [SHELLCHECK, "-x", script], capture_output=True, text=True, cwd=LAUNCH.parent
    )
    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: path.name)
def test_the_jobs_of_a_manifest_fit_the_schema_of_kubernetes(manifest):
    (jobset,) = yaml.safe_load_all(manifest.read_text())
    (replicated,) = jobset["spec"]["replicatedJobs"]
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": jobset["metadata"]}
    job["spec"] = replicated["template"]["spec"]
    kubernetes_validate.validate(job, "1.33", strict=True)
    job["spec"]["template"]["spec"]["containers"][0]["imagge"] = "misspelt"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(job, "1.33", strict=True)


def closed(required=(), **properties) -> dict:
    """The schema of an object with these fields and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


# What v1alpha2 of JobSet takes outside of its Jobs, after jobset.x-k8s.io_jobsets.yaml, and the
# reasons that its webhook admits.
NAMES = {"type": "array", "items": {"type": "string"}}
REASON = {
    "enum": [
        "BackoffLimitExceeded",
        "DeadlineExceeded",
        "FailedIndexes",
        "MaxFailedIndexesExceeded",
        "PodFailurePolicy",
    ]
}
RULE = closed(
    ["name", "action"],
    name={"type": "string", "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"},
    action={"enum": ["FailJobSet", "RestartJobSet", "RestartJobSetAndIgnoreMaxRestarts"]},
    onJobFailureReasons={"type": "array", "items": REASON},
    targetReplicatedJobs=NAMES,
)
JOBSET = closed(
    ["apiVersion", "kind", "metadata", "spec"],
    apiVersion={"const": "jobset.x-k8s.io/v1alpha2"},
    kind={"const": "JobSet"},
    metadata={"type": "object", "required": ["name"]},
    spec=closed(
        ["replicatedJobs"],
        coordinator=closed(
            ["replicatedJob"],
            replicatedJob={"type": "string"},
            jobIndex={"type": "integer"},
            podIndex={"type": "integer"},
        ),
        failurePolicy=closed(
            maxRestarts={"type": "integer"},
            restartStrategy={"enum": ["Recreate", "BlockingRecreate"]},
            rules={"type": "array", "items": RULE},
        ),
        network=closed(
            enableDNSHostnames={"type": "boolean"},
            publishNotReadyAddresses={"type": "boolean"},
            subdomain={"type": "string"},
        ),
        replicatedJobs={
            "type": "array",
            "items": closed(
                ["name", "template"],
                name={"type": "string"},
                groupName={"type": "string"},
                replicas={"type": "integer"},
                template=closed(["spec"], metadata={"type": "object"}, spec={"type": "object"}),
            ),
        },
        startupPolicy=closed(startupPolicyOrder={"enum": ["AnyOrder", "InOrder"]}),
        successPolicy=closed(operator={"enum": ["All", "Any"]}, targetReplicatedJobs=NAMES),
        suspend={"type": "boolean"},
        ttlSecondsAfterFinished={"type": "integer", "minimum": 0},
    ),
)


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: path.name)
def test_what_is_around_the_jobs_fits_the_schema_of_jobset(manifest):
    jobset = yaml.safe_load(manifest.read_text())
    jsonschema.validate(jobset, JOBSET)
    for place, value in (("action", "Fail"), ("name", "a-b"), ("onJobFailureReason", ["any"])):
        wrong = copy.deepcopy(jobset)
        wrong["spec"]["failurePolicy"]["rules"][0][place] = value
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, JOBSET)


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: path.name)
def test_a_manifest_starts_what_mubert_takes_and_waits_for_a_checkpoint(manifest):
    from mubert_jax.cli import _parser

    (jobset,) = yaml.safe_load_all(manifest.read_text())
    job = jobset["spec"]["replicatedJobs"][0]["template"]["spec"]
    pod = job["template"]["spec"]
    (container,) = pod["containers"]
    words = [*container["command"], *container["args"]]
    assert words[0] == "mubert"
    args, rest = _parser()[0].parse_known_args(words[1:])
    assert args.pod and all(word.startswith("--config.") for word in rest)
    assert (LAUNCH.parent / args.config).exists()
    assert job["parallelism"] == job["completions"] and job["completionMode"] == "Indexed"
    assert pod["terminationGracePeriodSeconds"] >= 60
    (rule,) = job["podFailurePolicy"]["rules"]
    assert rule["onExitCodes"]["containerName"] == container["name"]
    assert rule["onExitCodes"]["values"] == [2]


def fake(folder: Path, name: str, text: str):
    path = folder / name
    path.write_text(f"#!/usr/bin/env bash\n{text}\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    "code, ends, requeued", [(0, 0, False), (2, 2, False), (75, 0, True), (134, 0, True)]
)
def test_slurm_starts_again_what_another_start_can_finish(tmp_path, code, ends, requeued):
    fake(tmp_path, "srun", f'echo "srun $*"; exit {code}')
    fake(tmp_path, "scontrol", 'echo "scontrol $*"')
    found = subprocess.run(
        ["bash", LAUNCH / "slurm.sh", "--config=a.py", "--workdir=b"],
        capture_output=True,
        text=True,
        env={
            "PATH": f"{tmp_path}:{Path(shutil.which('bash')).parent}:/usr/bin:/bin",
            "SLURM_SUBMIT_DIR": str(tmp_path),
            "SLURM_JOB_ID": "7",
        },
    )
    assert found.returncode == ends, found.stdout + found.stderr
    assert "pretrain --pod --config=a.py --workdir=b" in found.stdout
    assert ("scontrol requeue 7" in found.stdout) is requeued
