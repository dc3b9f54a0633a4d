"""The blocks of the tutorial and of other pages run, with a smaller network and fewer people."""

import runpy
import shlex

import numpy as np
import pytest

from mubert_jax.cli import main

from .pages import README, ROOT, blocks, example

TUTORIAL = ROOT / "docs" / "tutorial.md"
SMALLER = {
    "--size=64": "--size=32",
    "--subjects=60": "--subjects=3",
    "--subjects=6": "--subjects=3",
    "--clips=4": "--clips=2",
    "--clips=8": "--clips=5",
    "--frames=16": "--frames=12",
}
SHORTER = ["epochs=2", "copies=0", "seeds=(0,)", "weight_decay=(0.01,)"]
SHORTER = [f"--config.recognition.{value}" for value in SHORTER]
SHORT = """

def get_config(of_the_page=get_config):
    config = of_the_page()
    config.model.image_size = 32
    config.swapping.min_block = 2
    config.model.depth = config.model.decoder.depth = 1
    config.loss.expectation_weight = config.loss.warp_weight = 0.0
    config.training.batch_size = 4
    config.training.steps = 3
    del config.evaluation["motion_maps"]
    return config
"""


def run_line(line: str):
    program, *words = shlex.split(line)
    assert program == "mubert"
    words = [SMALLER.get(word, word) for word in words]
    assert main([*words, *(SHORTER if words[0] == "finetune" else ())]) == 0, line


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A folder outside of the checkout, where `configs/` are those of the package."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_tutorial(elsewhere, capsys):
    names = {}
    for block in blocks(TUTORIAL):
        if block.language == "bash":
            for line in block.text.replace("\\\n", " ").splitlines():
                run_line(line)
        elif block.file:
            (elsewhere / block.file).write_text(block.text + SHORT)
        else:
            exec(block.text, names)
    assert (elsewhere / "maps.png").exists() and (elsewhere / "maps.npz").exists()
    assert (elsewhere / "runs" / "emotions" / "results.html").exists()
    assert names["maps"].dma.shape == (1, 4, 4)


def test_the_config_of_the_tutorial_is_one(elsewhere):
    from mubert_jax.config_files import load_config

    (elsewhere / "small.py").write_text(example(TUTORIAL, "small.py"))
    config = load_config("small.py", [])
    assert config.model.grid == 8 and config.evaluation["motion_maps"]["every"] == 100


def test_python_on_the_front_page(capsys):
    (block,) = blocks(README, "python")
    names: dict = {}
    exec(block.text, names)
    assert names["maps"].dma_poi.shape == (1, 14, 14)
    assert names["truth"].displacement.shape == (10, 10) and names["truth"].displacement.max() > 0


def test_python_of_the_method():
    (block,) = blocks(ROOT / "docs" / "method.md", "python")
    onset, apex = np.random.default_rng(0).integers(0, 255, (2, 1, 112, 112, 3), np.uint8)
    names = {"onset": onset, "apex": apex}
    exec(block.text, names)
    assert names["seen"].dma_features.shape == (1, 196, 128)


def test_the_config_with_evaluators(tmp_path):
    (block,) = blocks(ROOT / "docs" / "commands.md", "python")
    (tmp_path / "config.py").write_text(block.text)
    config = runpy.run_path(str(tmp_path / "config.py"))["get_config"]()
    assert set(config.evaluation) == {"motion_maps", "validation_loss"}
