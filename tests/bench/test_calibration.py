"""`mubert bench calibration`: the scores of false alarms, by how many of them there are."""

import json

import pytest
from spotting.test_spot import Differences

from mubert_jax.bench import calibration
from mubert_jax.cli import main
from mubert_jax.spotting import spotter
from mubert_jax.spotting.calibration import CALIBRATIONS


def test_a_threshold_lets_as_many_false_alarms_through_as_it_says():
    scores = [9.0, 1.0, 7.0, 3.0, 5.0, 2.0, 8.0, 0.5]
    told = dict(calibration._last_let_through(scores, minutes=4.0))
    assert told == {1: 9.0, 2: 8.0, 3: 7.0, 4: 5.0, 8: 0.5}
    for count, score in told.items():
        assert sum(one >= score for one in scores) == count
    assert calibration._last_let_through(scores[:2], 4.0) == [(1, 9.0), (2, 1.0)]


def test_nobody_who_is_drawn_expresses_anything():
    for number in range(4):
        made = calibration._still(number, number, 32, 60.0)
        assert made.seed == 1 and {event.kind for event in made.events} == {"blink"}
        assert made.nuisances == calibration.NUISANCES[number]


def test_the_command_tells_scores_beside_those_that_ship(tmp_path, monkeypatch):
    monkeypatch.setattr(spotter, "ByMotionMap", Differences)
    output = tmp_path / "rows.json"
    words = ["bench", "calibration", "--method=difference", "--people=2", "--seconds=15"]
    assert main([*words, "--threshold=0.001", f"--output={output}"]) == 0
    rows = json.loads(output.read_text())
    assert rows and all(row["minutes"] == 0.5 and row["E at rest"] > 0 for row in rows)
    scores = [row["score"] for row in rows]
    assert scores == sorted(scores, reverse=True)
    for row in rows:
        shipped = CALIBRATIONS["difference"].threshold(row["false alarms per minute"])
        assert row["as shipped"] == pytest.approx(shipped)


def test_too_little_to_count_in_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(spotter, "ByMotionMap", Differences)
    words = ["bench", "calibration", "--method=difference", "--people=1", "--seconds=15"]
    assert main([*words, "--threshold=1e6"]) == 2
    assert "tell no rate" in capsys.readouterr().err
