"""Action units are recognized one by one, of people who were left out, where the sheet is sure."""

import csv
import json

import cv2
import numpy as np
import pandas as pd
import pytest
from conftest import tiny_config, write_config_file

from mubert_jax.cli import main
from mubert_jax.recognition import networks
from mubert_jax.recognition.action_units import UnitScore, mean_f1

# Nearest mean of what has changed: learns without a gradient.
NEAREST = """
import numpy as np

from mubert_jax.recognition.cross_validation import Learned
from mubert_jax.recognition.network import Network


class Nearest(Network):
    reads = ("frames",)
    folds_at_once = 0

    def init(self, key, inputs):
        return {}

    def logits(self, params, inputs):
        raise NotImplementedError

    def learner(self, inputs, seed):
        onset, apex = np.moveaxis(self.read(inputs, seed)["frames"][0].astype(float), 1, 0)
        change_PxF = (apex - onset).reshape(len(inputs.label), -1)

        def learn(fold_K, train_KxP, weight_decay_K, watched_KxT=None):
            logits = []
            for train in train_KxP:
                of_class = (change_PxF[train & (inputs.label == c)] for c in range(self.classes))
                means = np.stack([change.mean(0) for change in of_class])
                logits.append(-np.square(change_PxF[:, None] - means).mean(-1) / 100)
            return Learned(np.array(logits, np.float32), np.zeros((len(fold_K), 1)), {})

        return learn
"""
# By clip of a person; 4 is a change above, 12 one below.
UNITS = ("4", "4+12", "12", "12", "?", "4 or 7")


@pytest.fixture
def sheet(tmp_path):
    """Images and a table of 6 people × 6 clips; 7 is never shown for sure."""
    random, rows = np.random.default_rng(0), []
    for person in range(6):
        for clip, units in enumerate(UNITS):
            onset = random.integers(80, 120, (32, 32, 3)).astype(np.uint8)
            apex = onset + random.integers(0, 8, onset.shape).astype(np.uint8)
            apex[4:12, 8:24] += 60 * ("4" in units)
            apex[20:28, 8:24] += 60 * ("12" in units)
            names = [f"{person}-{clip}-{moment}.png" for moment in ("onset", "apex")]
            for name, image in zip(names, (onset, apex), strict=True):
                cv2.imwrite(str(tmp_path / name), image)
            rows.append((*names, ("one", "two")[clip % 2], f"s{person}", f"c{clip}", units))
    with open(tmp_path / "mine.csv", "w", newline="") as file:
        csv.writer(file).writerows([("onset", "apex", "label", "subject", "clip", "AU"), *rows])
    return tmp_path / "mine.csv"


@pytest.fixture
def start(drop, sheet, tmp_path):
    drop(networks, "nearest", NEAREST)
    words = [f"--annotation={sheet}", f"--output={tmp_path / 'pairs'}", "--size=32", "--crop=none"]
    assert main(["prepare", "pairs", *words]) == 0
    values = tiny_config(
        data__path=str(tmp_path / "pairs"),
        loss__agreement="none",
        recognition__network="nearest",
        recognition__target="action_units",
        recognition__seeds=(0,),
        recognition__weight_decay=(0.01,),
    )
    config = write_config_file(tmp_path / "config.py", values)
    return ["finetune", f"--config={config}", f"--workdir={tmp_path / 'run'}"]


def test_units_that_people_show_are_recognized_of_others(start, tmp_path, capsys):
    assert main(start) == 0
    table = pd.read_csv(tmp_path / "run" / "action_units.csv")
    assert table["unit"].tolist() == [4, 12]
    assert table["clips"].tolist() == [12, 18] and (table["people"] == 6).all()
    scores = table.set_index("unit")
    assert (scores["f1"] == 1.0).all()
    np.testing.assert_allclose(scores.loc[4, "always"], 2 * 0.5 / 1.5, atol=1e-6)
    predictions = pd.read_csv(tmp_path / "run" / "AU4" / "predictions.csv")
    assert len(predictions) == 24, "clips of which it is not known are not tested"
    assert set(predictions["truth"]) == {"shown", "not shown"}
    assert (predictions["fold"] == predictions["subject"]).all()
    facts = json.loads((tmp_path / "run" / "AU4" / "recognition.json").read_text())
    assert any("12 clips whose action units are not known" in x for x in facts["warnings"])
    assert len(pd.read_csv(tmp_path / "run" / "AU12" / "predictions.csv")) == 30
    said = capsys.readouterr().out
    assert "Mean F1: 1.00" in said
    assert main([*start, "--config.recognition.protocol=2-fold"]) == 2
    assert "AU4 holds a fine-tuning of another recognition.protocol" in capsys.readouterr().err


def test_sides_are_no_further_units_of_the_mean():
    scores = [UnitScore(unit, 9, 5, f1, *[0.0] * 5) for unit, f1 in (("12", 0.4), ("L12", 0.0))]
    assert mean_f1([*scores, UnitScore("4", 9, 5, 0.8, *[0.0] * 5)]) == pytest.approx(0.6)


def test_units_that_nobody_shows_are_said(start, sheet, tmp_path, capsys):
    rows = list(csv.reader(sheet.open()))
    with sheet.open("w", newline="") as file:
        csv.writer(file).writerows([rows[0], *([*row[:-1], "?"] for row in rows[1:])])
    other = tmp_path / "others"
    words = [f"--annotation={sheet}", f"--output={other}", "--size=32", "--crop=none"]
    assert main(["prepare", "pairs", *words]) == 0
    capsys.readouterr()
    assert main([*start, f"--config.data.path={other}"]) == 2
    error = capsys.readouterr().err
    assert "no action unit is shown by 5 people or more" in error and error.count("\n") == 1
