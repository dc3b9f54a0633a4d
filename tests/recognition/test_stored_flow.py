"""A network that reads flow maps is cross-validated on a flow set; others say what is lacking."""

import json

import numpy as np
import pandas as pd
import pytest
from conftest import tiny_config, write_config_file

from mubert_jax.cli import main
from mubert_jax.data.flow_set import FlowInfo, write_flow_set
from mubert_jax.data.labelled_clips import LabelledClips
from mubert_jax.data.people import Person
from mubert_jax.recognition import networks
from mubert_jax.training.contamination import Seen

# Nearest mean: learns without a gradient, so nothing is compiled.
NEAREST = """
from dataclasses import dataclass

import numpy as np

from mubert_jax.recognition.cross_validation import Learned
from mubert_jax.recognition.network import Network


@dataclass(frozen=True)
class Options:
    reads: str = "flow_maps"


class Nearest(Network):
    Options = Options
    folds_at_once = 0

    @property
    def reads(self):
        return (self.options.reads,)

    def init(self, key, inputs):
        return {}

    def logits(self, params, inputs):
        raise NotImplementedError

    def learner(self, inputs, seed):
        maps_PxF = self.read(inputs, seed)[self.options.reads][0].reshape(len(inputs.label), -1)

        def learn(fold_K, train_KxP, weight_decay_K, watched_KxT=None):
            logits = []
            for train in train_KxP:
                of_class = (maps_PxF[train & (inputs.label == c)] for c in range(self.classes))
                means = np.stack([maps.mean(0) for maps in of_class])
                logits.append(-np.square(maps_PxF[:, None] - means).mean(-1) / 100)
            named = None
            if watched_KxT is not None:  # of two epochs; the one that is kept knows the truth
                named = np.stack([inputs.label[watched_KxT], 0 * watched_KxT], axis=1)
            return Learned(np.array(logits, np.float32), np.zeros((len(fold_K), 2)), {}, named)

        return learn
"""


def flow_set(folder, normalise="per-channel", side=28, changed=False, seen=None, planted=150):
    """4 people × 3 classes: where u is large is the class."""
    folder.mkdir()
    label = np.tile([0, 1, 2], 4)
    flow = np.random.default_rng(0).uniform(0, 60, (12, side, side, 3)).astype(np.float32)
    for row, maps in zip(label, flow, strict=True):
        maps[2 + 8 * row : 8 + 8 * row, 5:20, 0] += planted
    flow[0, 0, 0, 0] += changed
    people = [f"sub{number // 3 + 1:02d}" for number in range(12)]
    columns = ["casme2"] * 12, [f"casme2/{who}" for who in people], [f"c{n % 3}" for n in range(12)]
    clips = LabelledClips(folder, ["low", "middle", "high"], label.tolist(), *columns)
    info = FlowInfo("dis", "", normalise, "x", None, ("a note",), seen)
    write_flow_set(folder, flow, clips, info)
    return folder


@pytest.fixture
def finetune(drop, tmp_path):
    """(folder, flags) -> the exit code of a cross-validation, in `tmp_path`/run."""
    drop(networks, "nearest", NEAREST)
    values = tiny_config(
        recognition__network="nearest",
        recognition__seeds=(0,),
        recognition__weight_decay=(0.01,),
        training__init_from="shipped",
    )
    config = write_config_file(tmp_path / "config.py", values)
    start = ["finetune", f"--config={config}", f"--workdir={tmp_path / 'run'}"]
    return lambda folder, *flags: main([*start, f"--config.data.path={folder}", *flags])


def test_it_is_cross_validated_without_a_backbone(finetune, tmp_path, capsys):
    assert finetune(flow_set(tmp_path / "flow")) == 0
    table = pd.read_csv(tmp_path / "run" / "predictions.csv")
    assert (table["truth"] == table["prediction"]).all() and table["fold"].nunique() == 4
    assert set(table["subject"]) == {f"casme2/sub{n:02d}" for n in range(1, 5)}
    facts = json.loads((tmp_path / "run" / "recognition.json").read_text())
    assert facts["stamps"] == [] and facts["warnings"] == ["a note"]
    assert not (tmp_path / "run" / "checkpoints").exists()
    assert finetune(flow_set(tmp_path / "other", changed=True)) == 2
    said = capsys.readouterr().err
    assert "of another pairs and pretrained weights" in said, "other flow is another run"


def test_what_picking_the_epoch_would_have_reported_is_apart(finetune, tmp_path, capsys):
    """`NEAREST` knows the truth after its first epoch, and not after the one that is kept."""
    folder, run = flow_set(tmp_path / "flow", planted=0), tmp_path / "run"
    assert finetune(folder) == 0
    left = ("predictions.csv", "results.csv", "curves.csv", "recognition.json")
    honest = [(run / name).read_bytes() for name in left]
    assert not (run / "optimism.csv").exists()
    capsys.readouterr()
    assert finetune(folder, "--config.recognition.optimism=True") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "4 folds were kept without their epochs' predictions, and are trained again" in said
    assert honest == [(run / name).read_bytes() for name in left]
    table = pd.read_csv(run / "optimism.csv")
    assert table.columns.tolist() == ["seed", "score", "honest", "picked"]
    assert table["score"].tolist() == ["uf1", "uar"] and (table["picked"] == 1).all()
    scores = pd.read_csv(run / "results.csv").iloc[0]
    assert table["honest"].tolist() == scores[["UF1", "UAR"]].tolist() and scores["UF1"] < 0.9
    assert main(["evaluate", f"--workdir={run}"]) == 0
    first, second = capsys.readouterr().out.split("What picking the epoch")
    assert "100.00" not in first and "100.00" in second
    for name in ("results.md", "results.html"):
        first, second = (run / name).read_text().split("What picking the epoch would have reported")
        assert first.count("Scores") == 1 and "100.00" in second
    assert finetune(folder, "--config.recognition.optimism=True") == 0
    assert "trained again" not in capsys.readouterr().out
    assert finetune(folder) == 0 and not (run / "optimism.csv").exists()


def test_what_each_fold_chose_is_written(finetune, tmp_path, capsys):
    """Nothing that is varied is read by `NEAREST`: all are as good, and the first is taken."""
    folder, run = flow_set(tmp_path / "flow"), tmp_path / "run"
    assert finetune(folder, "--config.recognition.epochs_factors=(0.5, 2.0)") == 0
    chosen = pd.read_csv(run / "chosen.csv")
    assert chosen.columns.tolist() == ["seed", "fold", "weight_decay", "epochs"]
    assert (chosen["epochs"] == 150).all() and (chosen["weight_decay"] == 0.01).all()
    assert finetune(folder) == 2
    assert "another recognition.epochs_factors ((0.5, 2.0) there, (1.0,) now" in (
        capsys.readouterr().err
    )
    assert finetune(folder, "--config.recognition.epochs_factors=(0.0, 2.0)") == 2
    assert "it takes different numbers above 0" in capsys.readouterr().err


@pytest.mark.parametrize(
    "made, flags, said",
    [
        ({}, ["network=linear_probe"], "holds flow, no frames; config.recognition.network "),
        ({}, ["network=micron_bert"], "holds flow, no frames; config.recognition.network"),
        ({}, ["options.reads=frames"], "holds flow that is found already, no frames to find"),
        ({"side": 14}, [], "holds maps of 14x14 cells, networks read 28x28"),
        ({}, ["options.reads=flow_maps/pixels"], "holds flow that is per-channel, not in pixels"),
    ],
)
def test_what_does_not_fit_is_one_line(finetune, tmp_path, capsys, made, flags, said):
    code = finetune(
        flow_set(tmp_path / "flow", **made), *(f"--config.recognition.{x}" for x in flags)
    )
    error = capsys.readouterr().err
    assert code == 2 and said in error and error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_whom_the_weights_have_seen_by_which_flow_was_found_is_not_tested(
    finetune, tmp_path, capsys
):
    folder = flow_set(tmp_path / "flow", seen=Seen.of([Person("casme2", "3")]).to_json())
    assert finetune(folder) == 2
    said = capsys.readouterr().err
    assert f"dis of {folder} was trained on 1 of the 4 tested subjects (casme2/sub03 first)" in said
    assert finetune(folder, "--allow-contamination") == 0
    facts = json.loads((tmp_path / "run" / "recognition.json").read_text())
    assert facts["stamps"][0].startswith("LEAK: dis of ")
    folder = flow_set(tmp_path / "broken", seen={"groups": 3})
    assert finetune(folder) == 2 and "is damaged (seen)" in capsys.readouterr().err


def test_a_damaged_flow_set_stops_before_the_run(finetune, tmp_path, capsys):
    folder = flow_set(tmp_path / "flow")
    (folder / "flow.npy").write_bytes(b"half")
    assert finetune(folder) == 2
    assert "flow.npy is damaged" in capsys.readouterr().err and not (tmp_path / "run").exists()
