"""What the installed command does to its process, and what `main` leaves as it was."""

import ast
import errno
import logging
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import mubert_jax
from mubert_jax import cli
from mubert_jax.errors import DiskFull, PassingError, UserError

PACKAGE = Path(mubert_jax.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
COMMAND = [sys.executable, "-c", "import sys; from mubert_jax.cli import command; "]
COMMAND[-1] += "sys.exit(command())"


@pytest.fixture
def failing(monkeypatch):
    """Makes `mubert bench step` raise an error, and says how main then ends."""

    def run(error):
        def fail(*_):
            raise error

        monkeypatch.setattr("mubert_jax.cli.bench.run", fail)
        return cli.main(["bench", "step"])

    return run


@pytest.mark.parametrize(
    "error, code",
    [
        (UserError("mistake"), 2),
        (DiskFull("full"), 73),
        (PassingError("passing"), 75),
        (OSError(errno.ENOSPC, "No space left on device", "/run"), 73),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), 73),
        (OSError(errno.EIO, "Input/output error", "/run"), 75),
        (TimeoutError("timed out"), 75),
        (PermissionError(errno.EACCES, "Permission denied", "/run"), 2),
    ],
)
def test_one_line_and_the_code_of_its_kind(failing, capsys, error, code):
    assert failing(error) == code
    said = capsys.readouterr().err
    assert said.startswith("mubert bench: ") and said.count("\n") == 1


def test_a_fault_of_the_program_is_not_hidden(failing):
    with pytest.raises(ZeroDivisionError):
        failing(ZeroDivisionError())


def test_other_libraries_log_as_before(failing):
    logger = logging.getLogger("absl")
    before = logger.level
    cli.main([])
    assert failing(UserError("mistake")) == 2
    assert logger.level == before != logging.CRITICAL


# What would change the process of those who use the package as a library.
MEDDLING = re.compile(
    r"matplotlib\.use|plt\.switch_backend|\.setLevel|basicConfig|filterwarnings|simplefilter"
    r"|signal\.signal|setNumThreads|sys\.\w*hook|\bjax\.config|setrlimit|\.seed\b"
)


def test_imports_leave_the_process_alone():
    own = (ast.FunctionDef, ast.ClassDef)
    for path in FILES:
        for statement in ast.parse(path.read_text()).body:
            text = "" if isinstance(statement, own) else ast.unparse(statement)
            assert not MEDDLING.search(text), f"{path}: {text}"


def test_the_level_of_a_log_is_set_in_one_place_which_puts_it_back():
    assert [path.name for path in FILES if ".setLevel(" in path.read_text()] == ["quiet.py"]


def test_ctrl_c_is_one_line_and_ends_the_shells_loop_too(tmp_path):
    """While a config is read, which here waits."""
    slow = tmp_path / "slow.py"
    slow.write_text("import time\nprint('waiting', flush=True)\ntime.sleep(60)\n")
    process = subprocess.Popen(
        [*COMMAND, "bench", "step", f"--config={slow}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell's job in the background is born deaf to Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout.readline() == "waiting\n"
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=240)[1]
    assert process.returncode == -signal.SIGINT and said == "mubert: stopped\n"


def test_a_reader_that_has_gone_is_no_traceback():
    reader, writer = os.pipe()
    os.close(reader)
    buffered = os.environ | {"PYTHONUNBUFFERED": ""}
    found = subprocess.run(COMMAND, stdout=writer, stderr=subprocess.PIPE, text=True, env=buffered)
    os.close(writer)
    assert found.returncode == 141 and found.stderr == ""
