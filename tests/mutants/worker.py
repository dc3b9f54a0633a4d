"""Runs tests against changed modules: `python -m mutants.worker`, one JSON request per line.

A request holds `module`, `source` (what is imported in its place), `tests` and `seconds`; the
answer says whether some test failed. Every request is a fork of a process that has imported the
libraries already, and none of the project.
"""

import importlib
import importlib.abc
import importlib.util
import json
import os
import signal
import sys
import time

LIBRARIES = (
    "jax jax.numpy flax.linen optax orbax.checkpoint ml_collections cv2 pandas scipy.stats"
    " rich.console pytest hypothesis"
)


class _Changed(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def __init__(self, module, source):
        self._module, self._source = module, source

    def find_spec(self, name, path, target=None):
        if name == self._module:
            return importlib.util.spec_from_loader(name, self)

    def exec_module(self, module):
        exec(compile(self._source, self._module, "exec"), module.__dict__)


def _run(request):
    import pytest

    sys.meta_path.insert(0, _Changed(request["module"], request["source"]))
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    options = ["-x", "-q", "-n", "0", "-p", "no:cacheprovider", "-p", "no:hypothesispytest"]
    failed = pytest.main([*options, *request["tests"]])
    os._exit(0 if failed == pytest.ExitCode.OK else 1)


def _outcome(child, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return "survived" if status == 0 else "killed"
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "killed by time"


def serve():
    for library in LIBRARIES.split():
        importlib.import_module(library)
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if not child:
            os.setsid()
            _run(request)
        print(json.dumps(_outcome(child, request["seconds"])), flush=True)


if __name__ == "__main__":
    serve()
