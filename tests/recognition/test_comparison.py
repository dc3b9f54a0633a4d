"""Recognizers side by side: their own scores, and differences of the same people."""

import csv

import numpy as np
import pandas as pd
import pytest

from mubert_jax.cli import main
from mubert_jax.errors import UserError
from mubert_jax.recognition.comparison import compare
from mubert_jax.recognition.metrics import over_subjects, summarise
from mubert_jax.recognition.predictions import Predictions

PEOPLE, CLIPS, SEEDS = 20, 6, 2
NAMES = ("anger", "happiness")
COLUMNS = ["dataset", "subject", "clip", "seed", "fold", "truth", "prediction"]


@pytest.fixture
def runs(tmp_path):
    """Folders of runs that are right as often as asked; hard people are hard for all of them."""

    def make(name, skill, people=PEOPLE, seeds=SEEDS):
        random = np.random.default_rng(len(name))
        hard = np.random.default_rng(0).uniform(0, 1, people)
        rows = [
            ["set", f"{person:02d}", f"{clip}", seed, "0", NAMES[clip % 2], NAMES[wrong]]
            for seed in range(seeds)
            for person in range(people)
            for clip in range(CLIPS)
            for wrong in [(clip + (random.random() > skill * hard[person])) % 2]
        ]
        folder = tmp_path / name
        folder.mkdir()
        pd.DataFrame(rows, columns=COLUMNS).to_csv(folder / "predictions.csv", index=False)
        return folder

    return make


def test_scores_are_those_of_each_run_and_the_first_is_compared_with_itself(runs):
    folders = [runs("a", 0.9), runs("bb", 0.4)]
    first, second = compare(folders)
    for folder, found in zip(folders, (first, second), strict=True):
        predictions = Predictions.load(folder / "predictions.csv")
        assert found.name == folder.name
        assert found.uf1 == pytest.approx(summarise(predictions).values("uf1").mean())
        np.testing.assert_allclose(found.interval, over_subjects(predictions)["uf1"])
    assert first.difference == 0 and first.of_difference == (0, 0)
    assert second.difference == pytest.approx(second.uf1 - first.uf1)
    assert second.of_difference[0] < second.difference < second.of_difference[1] < 0


def test_a_copy_differs_in_nobody_although_its_own_interval_is_wide(runs):
    _, copy = compare([runs("a", 0.9), runs("c", 0.9)])
    assert np.ptp(copy.interval) > 0.1 and copy.of_difference == (0, 0)


@pytest.mark.filterwarnings("error")
def test_one_person_says_nothing_about_others(runs):
    for found in compare([runs("a", 0.9, people=1), runs("bb", 0.4, people=1)]):
        assert np.isnan([*found.interval, *found.of_difference]).all() and found.uf1 > 0


def test_one_seed_has_no_spread(runs, capsys):
    assert main(["evaluate", "--compare", str(runs("a", 0.9, seeds=1))]) == 0
    shown = capsys.readouterr().out
    assert "nan" not in shown and "±" not in shown.split("recognizer")[1].split("│")[2]


def test_other_clips_are_refused(runs, tmp_path):
    first = runs("a", 0.9)
    with pytest.raises(UserError, match="not those of"):
        compare([first, runs("fewer", 0.9, people=PEOPLE - 1)])
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="empty: no predictions.csv"):
        compare([first, tmp_path / "empty"])


def test_the_command(runs, tmp_path, capsys):
    folders = [str(runs("a", 0.9)), str(runs("bb", 0.4))]
    assert main(["evaluate", "--compare", *folders, f"--output={tmp_path / 'out'}"]) == 0
    shown = capsys.readouterr().out
    rows = list(csv.DictReader((tmp_path / "out" / "comparison.csv").open()))
    assert [row["recognizer"] for row in rows] == ["a", "bb"]
    for row in rows:
        assert f"{float(row['uf1']):.2f} ± {float(row['deviation']):.2f} [" in shown
    assert f"{float(rows[1]['difference']):+.2f} [" in shown and "less a" in shown
    assert main(["evaluate", "--compare", *folders, "--published=casme2-5"]) == 2
    assert "--published does not go with --compare" in capsys.readouterr().err
