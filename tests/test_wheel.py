"""A wheel has all that the package needs: it works in a fresh environment, outside a checkout."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PARTS = ("mubert_jax", "configs", "setup.cfg", "pyproject.toml", "README.md", "LICENSE")


def run(*words, folder: Path, code: int = 0) -> str:
    """What a command says; it runs in `folder`, which knows of no checkout."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def mubert(tmp_path_factory):
    """The command of an environment that has the wheel, and beside it what is installed here."""
    folder = tmp_path_factory.mktemp("wheel")
    source, wheels, fresh = folder / "source", folder / "wheels", folder / "venv"
    source.mkdir()
    wheels.mkdir()
    for part in PARTS:
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        kept = {"symlinks": True, "ignore": shutil.ignore_patterns("__pycache__")}
        copy(ROOT / part, source / part, **(kept if copy is shutil.copytree else {}))
    build = f"from setuptools import build_meta; build_meta.build_wheel({str(wheels)!r})"
    run(sys.executable, "-c", build, folder=source)
    (wheel,) = wheels.glob("mubert_jax-*.whl")
    venv.create(fresh, with_pip=False, symlinks=True)
    python = fresh / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps"]
    run(*pip, "--no-index", "--disable-pip-version-check", wheel, folder=folder)
    site = sysconfig.get_path("purelib", vars={"base": str(fresh)})
    (Path(site) / "installed_here.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return fresh / "bin" / "mubert"


def test_it_is_the_wheel_that_runs(mubert, tmp_path):
    code = "import mubert_jax; print(mubert_jax.__file__)"
    said = run(mubert.parent / "python", "-c", code, folder=tmp_path)
    assert said.startswith(str(mubert.parents[1]))
    assert "micro-expressions from unlabelled video" in run(mubert, "--help", folder=tmp_path)


def test_configs_are_in_it(mubert, tmp_path):
    words = ["--workdir=run", "--config.data.path=absent"]
    said = run(mubert, "pretrain", "--config=configs/demo.py", *words, folder=tmp_path, code=2)
    assert "absent" in said.splitlines()[-1] and "config file" not in said
    code = (
        "from mubert_jax.config_files import load_config\n"
        "for name in ('ablations/mb1', 'controlled', 'dem'):\n"
        "    print(load_config(f'configs/{name}.py', []).model.dim)\n"
    )
    said = run(mubert.parent / "python", "-c", code, folder=tmp_path, code=1)
    assert said.startswith("512\n128\n") and "configs/dem.py: no such config file" in said


def test_it_measures(mubert, tmp_path):
    words = ["--subjects=3", "--conditions", "clean", "--methods", "difference", "--size=32"]
    said = run(mubert, "bench", "perception", *words, folder=tmp_path)
    assert "difference" in said and not list(tmp_path.iterdir())


def test_it_has_its_weights_and_its_types(mubert, tmp_path):
    code = (
        "import pathlib, mubert_jax\n"
        "from mubert_jax.interop.opening import open_trained\n"
        "print(open_trained('shipped').config.model.dim)\n"
        "folder = pathlib.Path(mubert_jax.__file__).parent\n"
        "assert (folder / 'py.typed').exists() and (folder / 'recognition/report.html').exists()\n"
    )
    assert run(mubert.parent / "python", "-c", code, folder=tmp_path).strip() == "128"
