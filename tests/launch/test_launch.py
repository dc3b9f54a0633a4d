"""The launch scripts and manifests, as far as they can be checked without a cluster."""

import copy
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest
import yaml

from mubert_jax.errors import DiskFull, PassingError, UserError
from mubert_jax.training.pod import LOST
from mubert_jax.training.preemption import EXIT_CODE

LAUNCH = Path(__file__).parents[2] / "launch"
DOCS = LAUNCH.parent / "docs"
SCRIPTS = sorted(LAUNCH.glob("*.sh"))
MANIFESTS = sorted(LAUNCH.glob("gke/*.yaml"))
# Another start would repeat what ends with these.
FINAL = [UserError.exit_code, DiskFull.exit_code]
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
    assert rule["onExitCodes"]["values"] == FINAL


def fake(folder: Path, name: str, text: str):
    path = folder / name
    path.write_text(f"#!/usr/bin/env bash\n{text}\n")
    path.chmod(0o755)


def slurm(folder, **environment):
    """`slurm.sh` with stand-ins: what it ends with, and what it says."""
    fake(folder, "scontrol", 'echo "scontrol $*"')
    return subprocess.run(
        ["bash", LAUNCH / "slurm.sh", "--config=a.py", "--workdir=b c"],
        capture_output=True,
        text=True,
        env={
            "PATH": f"{folder}:{Path(shutil.which('bash')).parent}:/usr/bin:/bin",
            "SLURM_SUBMIT_DIR": str(folder),
            "SLURM_JOB_ID": "7",
            "MUBERT": str(folder / "mubert"),
            **environment,
        },
    )


@pytest.mark.parametrize(
    "code, ends, requeued",
    [
        (0, 0, False),
        (UserError.exit_code, 2, False),
        (DiskFull.exit_code, 73, False),
        (PassingError.exit_code, 0, True),
        (LOST, 0, True),
        (134, 0, True),
    ],
)
def test_slurm_starts_again_what_another_start_can_finish(tmp_path, code, ends, requeued):
    fake(tmp_path, "srun", 'shift 2; echo "cpus $SRUN_CPUS_PER_TASK"; "$@"')
    fake(tmp_path, "mubert", f'printf "<%s>" "$@"; exit {code}')
    found = slurm(tmp_path, SLURM_CPUS_PER_TASK="12")
    assert found.returncode == ends, found.stdout + found.stderr
    assert "<pretrain><--pod><--config=a.py><--workdir=b c>" in found.stdout
    assert "cpus 12" in found.stdout
    assert ("scontrol requeue 7" in found.stdout) is requeued
    assert not list(tmp_path.glob(".mubert*"))


@pytest.mark.parametrize("code, requeued", [(2, False), (73, False), (75, True)])
def test_what_srun_killed_does_not_hide_why_it_did(tmp_path, code, requeued):
    """srun ends with the highest code, and that is the one of those whom it killed."""
    fake(tmp_path, "srun", 'shift 2; "$@"; exit 137')
    fake(tmp_path, "mubert", f"exit {code}")
    found = slurm(tmp_path)
    assert found.returncode == (0 if requeued else code)
    assert ("scontrol requeue 7" in found.stdout) is requeued


def test_slurm_gives_up_at_last(tmp_path):
    fake(tmp_path, "srun", "exit 75")
    found = slurm(tmp_path, SLURM_RESTART_COUNT="100")
    assert found.returncode == 75 and "scontrol" not in found.stdout


def test_a_step_that_is_told_to_stop_saves_first(tmp_path):
    """SLURM's signal reaches bash and mubert; bash waits."""
    step = 'shift 2; setsid "$@" & step=$!; sleep 1; kill -TERM -- -$step; wait $step'
    fake(tmp_path, "srun", step)
    fake(tmp_path, "mubert", "trap 'sleep 0.3; echo saved; exit 75' TERM; sleep 20 & wait")
    assert "saved\nmubert ended with 75;" in slurm(tmp_path).stdout


@pytest.mark.parametrize(
    "codes, ends", [((0, 0), 0), ((134, 2), 2), ((2, 76), 2), ((76, 73), 73), ((75, 75), 75)]
)
def test_a_local_pod_ends_with_what_went_wrong_first(tmp_path, codes, ends):
    fake(
        tmp_path,
        "mubert",
        f'codes=({" ".join(map(str, codes))}); exit "${{codes[JAX_PROCESS_ID]}}"',
    )
    found = subprocess.run(
        ["bash", LAUNCH / "local_pod.sh", "2", "1", "pretrain"],
        env=os.environ | {"MUBERT": str(tmp_path / "mubert"), "PORT": "1"},
    )
    assert found.returncode == ends


@pytest.mark.parametrize("workdir", ["--workdir=gs://bucket/run", "--workdir gs://bucket/run"])
def test_a_bucket_is_refused_before_anything_is_installed(tmp_path, workdir):
    fake(tmp_path, "gcloud", 'echo "gcloud $*"')
    found = subprocess.run(
        ["bash", LAUNCH / "tpu_vm.sh", "name", "zone", "--config=a.py", *workdir.split()],
        capture_output=True,
        text=True,
        env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"},
    )
    assert found.returncode == 2 and "gs://bucket/run" in found.stderr
    assert "gcloud" not in found.stdout


def test_no_script_nor_page_names_a_bucket_for_a_folder():
    pages = (LAUNCH / "README.md", LAUNCH.parent / "README.md", *DOCS.glob("*.md"))
    for path in (*SCRIPTS, *MANIFESTS, *pages):
        assert not re.search(r"--[\w.]+[= ](gs|s3)://", path.read_text()), path


def test_the_table_of_exit_codes_has_them_all():
    table = (DOCS / "commands.md").read_text()
    for code in (0, UserError.exit_code, DiskFull.exit_code, EXIT_CODE, LOST):
        assert re.search(rf"^\| {code}\b", table, re.MULTILINE), code
    assert PassingError.exit_code == EXIT_CODE
