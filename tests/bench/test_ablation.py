"""`mubert ablate`: every config and seed once, restartable, one table and one picture."""

import csv
import re
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from conftest import tiny_config, write_config_file

from mubert_jax.bench import ablation
from mubert_jax.cli import main
from mubert_jax.perception import benchmark
from mubert_jax.perception.scores import Estimate
from mubert_jax.training.checkpoints import Weights


@pytest.fixture(scope="module")
def ablation_run(tmp_path_factory, frames_set):
    folder = tmp_path_factory.mktemp("ablation")
    short = {"training__steps": 2, "runtime__checkpoint_every": 2, "loss__agreement": "none"}
    short |= {"model__depth": 1}
    config = tiny_config(**short, model__dma__projection="shared")
    files = [str(write_config_file(folder / "shared.py", config))]
    arguments = ["ablate", "--configs", *files, f"--workdir={folder / 'runs'}"]
    arguments += ["--subjects=3", "--conditions", "clean", f"--config.data.path={frames_set}"]
    assert main(arguments) == 0
    return folder / "runs", arguments


def test_every_seed_is_a_run(ablation_run, tmp_path, monkeypatch):
    """Of a training that is not carried out again."""
    _, arguments = ablation_run
    asked = {}

    def pretrain(config, folder, console):
        folder.mkdir(parents=True)
        asked[folder.name] = config.training.seed

    monkeypatch.setattr(ablation, "pretrain", pretrain)
    one = {"condition": "clean", "method": "DMA", "score": "auc_in_face", "value": 0.5}
    monkeypatch.setattr(ablation, "_score", lambda *_: [one | {"low": 0.4, "high": 0.6}])
    monkeypatch.setattr(ablation, "_baselines", lambda *_: [])
    where = [x if "workdir" not in x else f"--workdir={tmp_path / 'runs'}" for x in arguments]
    assert main([*where, "--seeds=2"]) == 0
    assert asked == {"shared-seed0": 0, "shared-seed1": 1}


def test_every_config_is_a_run_and_a_row(ablation_run):
    runs, _ = ablation_run
    folders = {path.name for path in runs.iterdir() if path.is_dir()}
    assert folders == {"shared-seed0"}
    rows = list(csv.DictReader((runs / "results.csv").open()))
    scored = {(row["config"], row["seed"], row["method"]) for row in rows}
    assert ("shared", "0", "DMA × POI") in scored and ("shared", "0", "POI") in scored
    assert ("no training, 32 px, align=none", "0", "difference") in scored
    assert ("shared", "0", "features") in scored
    scores = {row["score"] for row in rows if row["method"] == "features"}
    assert scores == {"UF1"}


def test_rows_without_learning_are_registered_like_the_learned_ones(monkeypatch):
    """Under a condition of its own, since a benchmark keeps its pairs."""
    asked = []
    monkeypatch.setattr(ablation.emotions, "labelled_pairs", lambda *_: None)
    monkeypatch.setattr(ablation.emotions, "pixel_changes", lambda _: None)
    nothing = Estimate(np.zeros(2))
    monkeypatch.setattr(ablation.emotions, "recognition", lambda *_: nothing)

    def counted(how, image, template):
        asked.append(how)
        return image

    monkeypatch.setattr(benchmark, "aligned", counted)
    rows = list(ablation._baselines(32, 8, "robust", ablation.Benchmark(("noise",), 3)))
    assert asked == ["robust"] * 12
    assert {row["config"] for row in rows} == {"no training, 32 px, align=robust"}
    assert {row["method"] for row in rows} == set(ablation.NO_TRAINING)


def test_without_dma_the_features_alone_are_scored(monkeypatch, tmp_path):
    config = tiny_config(model__dma__kind="none", model__poi__enabled=False)
    monkeypatch.setattr(ablation, "load_weights", lambda _: (config, Weights({"encoder": {}})))
    monkeypatch.setattr(ablation.emotions, "token_changes", lambda *_: lambda labelled: None)
    monkeypatch.setattr(ablation.emotions, "recognition", lambda *_: Estimate(np.zeros(2)))
    benchmark = SimpleNamespace(labelled=lambda size: None)
    rows = list(ablation._score(tmp_path, config, benchmark))
    assert [row["method"] for row in rows] == ["features"]


def test_the_table_and_the_picture(ablation_run):
    runs, _ = ablation_run
    table = (runs / "results.md").read_text()
    assert re.search(r"AUC inside the face.*\| shared \| DMA \| 0\.\d{3} \|", table, re.S)
    assert "| shared | features |" in table and "five emotions" in table
    assert cv2.imread(str(runs / "results.png")) is not None


def test_the_deviation_is_that_of_a_sample_and_of_one_seed_there_is_none(tmp_path):
    common = {"condition": "clean", "method": "DMA", "score": "auc_in_face", "low": 0, "high": 1}
    values = {"two": (0.7, 0.9), "three": (0.6, 0.7, 0.8), "alone": (0.8,)}
    rows = [
        {"config": config, "seed": seed, "value": value, **common}
        for config, seeds in values.items()
        for seed, value in enumerate(seeds)
    ]
    ablation.write_results(rows, tmp_path)
    table = (tmp_path / "results.md").read_text()
    assert "| two | DMA | 0.800 ± 0.141 |" in table and "| three | DMA | 0.700 ± 0.100 |" in table
    assert "| alone | DMA | 0.800 |" in table


def test_started_again_it_takes_what_is_finished(ablation_run, monkeypatch):
    runs, arguments = ablation_run

    def again(*_):
        raise AssertionError("trained again")

    before = (runs / "results.csv").read_text()
    monkeypatch.setattr(ablation, "pretrain", again)
    assert main(arguments) == 0
    assert (runs / "results.csv").read_text() == before


def test_refuses(ablation_run, tmp_path, capsys):
    _, arguments = ablation_run
    file = arguments[2]
    common = [f"--workdir={tmp_path / 'runs'}"]
    assert main(["ablate", "--configs", file, file, *common]) == 2
    assert "twice" in capsys.readouterr().err
    assert main(["ablate", "--configs", file, *common]) == 2
    assert "shared, seed 0: config.data.path is empty" in capsys.readouterr().err
    assert main(["ablate", "--configs", file, *common, "--conditions", "fog"]) == 2
    assert "choose from clean" in capsys.readouterr().err
    assert main(["ablate", "--configs", file, *common, "--subjects=2"]) == 2
    assert "needs 3 or more" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
