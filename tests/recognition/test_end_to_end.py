"""From synthetic faces to the table: pretrained briefly, tested on people whom nothing has seen."""

import pandas as pd
import pytest
from conftest import write_config_file

from mubert_jax.cli import main
from mubert_jax.config import build
from mubert_jax.recognition import finetune

CONFIG = build(
    {
        "model": {
            "image_size": 112,
            "dim": 32,
            "depth": 1,
            "heads": 2,
            "decoder": {"dim": 32, "depth": 1, "heads": 2},
            "recognizer": {"reads": "displacement"},
        },
        "data": {"delta": [2, 5]},
        "training": {"batch_size": 4, "steps": 20},
        "recognition": {"copies": 1, "seeds": [0], "epochs": 200},
        "optimizer": {"learning_rate": 1e-3, "warmup_steps": 5},
        "runtime": {"mesh": [1, 1, 1], "reader_threads": 2, "checkpoint_every": 20},
    }
)
DRAWN = ["prepare", "synthetic", "--size=112", "--frames=8", "--align=robust"]


@pytest.fixture
def uf1(tmp_path, monkeypatch):
    """(name, --config.KEY=VALUE ...) -> UF1 with each of 12 people left out once."""
    faces, labelled, backbone = (tmp_path / name for name in ("faces", "labelled", "backbone"))
    monkeypatch.setattr(finetune, "HARDEST", 1)
    file = write_config_file(tmp_path / "config.py", CONFIG)
    strangers = ["--subjects=12", "--clips=4", "--first-subject=100", "--conditions", "lab"]
    assert main([*DRAWN, f"--output={faces}", "--subjects=4", "--clips=1"]) == 0
    assert main([*DRAWN, f"--output={labelled}", *strangers, "--classes=5"]) == 0
    start = [f"--config={file}", f"--workdir={backbone}", f"--config.data.path={faces}"]
    assert main(["pretrain", *start]) == 0

    def uf1(name, *overrides):
        workdir = tmp_path / name
        start = [f"--config={file}", f"--workdir={workdir}", f"--config.data.path={labelled}"]
        start += [f"--config.training.init_from={backbone}", *overrides]
        assert main(["finetune", *start]) == 0
        results = pd.read_csv(workdir / "results.csv")
        assert results["stamps"].isna().all()
        return float(results["UF1"][0])

    return uf1


@pytest.mark.slow
def test_movements_of_strangers_are_named(uf1):
    ours = uf1("ours")
    difference = uf1("difference", "--config.recognition.features=difference")
    chance = 1 / 5
    assert ours > 3 * chance and ours > difference + 0.05
