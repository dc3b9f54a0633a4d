"""How a process becomes one of a pod, past proxies and with GPUs of its own; how it leaves."""

import errno
import os
import socket
import subprocess
import sys
import time

import jax
import pytest

from mubert_jax.errors import DiskFull, PassingError, UserError
from mubert_jax.training import pod

NOWHERE = "http://10.255.255.1:3128"
PROXIES = {
    "http_proxy": NOWHERE,
    "https_proxy": NOWHERE,
    "HTTPS_PROXY": NOWHERE,
    "ALL_PROXY": NOWHERE,
    "grpc_proxy": NOWHERE,
    "no_proxy": "example.org",
}
JOIN = """
import jax
from jax._src import config
from mubert_jax.training import pod
pod.join()
print(jax.process_count(), config.config._read("jax_cuda_visible_devices"))
"""


def joined(**environment):
    return subprocess.Popen(
        [sys.executable, "-c", JOIN],
        env=os.environ | PROXIES | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_behind_a_proxy_two_processes_of_a_node_join_and_share_its_gpus():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    slurm = {
        "SLURM_JOB_ID": "77",
        "SLURM_STEP_NODELIST": "localhost",
        "SLURM_NTASKS": "2",
        "SLURM_STEP_NUM_NODES": "1",
        "JAX_COORDINATOR_PORT": str(port),
        "CUDA_VISIBLE_DEVICES": "0,1,2,3",
    }
    processes = [
        joined(**slurm, SLURM_PROCID=number, SLURM_LOCALID=number) for number in ("0", "1")
    ]
    said = [process.communicate(timeout=240) for process in processes]
    assert [out for out, _ in said] == ["2 0,1\n", "2 2,3\n"], said
    assert not any("proxy" in error for _, error in said), "JAX's advice to unset them"


@pytest.fixture
def initialised(monkeypatch):
    """What JAX is called with, and the proxies it then sees."""
    calls = []

    def initialize(**arguments):
        proxies = {name: value for name, value in os.environ.items() if "proxy" in name.lower()}
        calls.append((arguments, proxies))

    monkeypatch.setattr(jax.distributed, "initialize", initialize)
    for name, value in PROXIES.items():
        monkeypatch.setenv(name, value)
    return calls


def test_the_user_keeps_the_proxies_for_all_else(initialised):
    pod.join()
    assert initialised[0][1] == {}
    assert {name: os.environ[name] for name in PROXIES} == PROXIES | {"grpc_proxy": ""}


def test_they_are_back_after_a_join_that_failed(initialised, monkeypatch):
    monkeypatch.setenv("JAX_NUM_PROCESSES", "two")
    with pytest.raises(UserError, match="JAX_COORDINATOR_ADDRESS"):
        pod.join()
    assert os.environ["https_proxy"] == NOWHERE


def test_the_user_names_the_devices(initialised, monkeypatch):
    monkeypatch.setenv("JAX_LOCAL_DEVICE_IDS", "1,2")
    pod.join()
    assert initialised[0][0]["local_device_ids"] is None


@pytest.mark.parametrize(
    "error, kind",
    [
        (jax.errors.JaxRuntimeError("DEADLINE_EXCEEDED: nobody came"), PassingError),
        (ConnectionRefusedError(111, "Connection refused"), PassingError),
        (ValueError("coordinator_address should be defined."), UserError),
    ],
)
def test_others_that_are_not_there_yet_are_no_mistake(monkeypatch, error, kind):
    def fail(**_):
        raise error

    monkeypatch.setenv("grpc_proxy", "")
    monkeypatch.setattr(jax.distributed, "initialize", fail)
    with pytest.raises(UserError) as raised:
        pod.join()
    assert type(raised.value) is kind and "--pod" in str(raised.value)


class Ended(BaseException):
    pass


@pytest.mark.parametrize(
    "error, code, said",
    [
        (UserError("bad data"), 2, "bad data"),
        (DiskFull("full"), 73, "full"),
        (OSError(errno.ENOSPC, "No space left on device"), 73, "No space left"),
        (OSError(errno.EIO, "Input/output error"), 75, "the same command goes on"),
        (jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory"), 2, "batch_size"),
        (jax.errors.JaxRuntimeError("UNAVAILABLE: gone"), pod.LOST, "has lost another"),
        (ZeroDivisionError(), 1, "ZeroDivisionError"),
    ],
)
def test_a_process_that_fails_ends_at_once_with_the_code_of_its_failure(
    monkeypatch, capsys, error, code, said
):
    def end(code):
        raise Ended(code)

    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(os, "_exit", end)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    with pytest.raises(Ended) as ended, pod.ending_as_one():
        raise error
    assert ended.value.args == (code,)
    assert said in capsys.readouterr().err
