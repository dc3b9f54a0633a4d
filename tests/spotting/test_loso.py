"""A subject's threshold is chosen on the others, and its own truths have no say in it."""

import dataclasses
import json

import pytest

from mubert_jax.cli import main
from mubert_jax.errors import UserError
from mubert_jax.spotting.intervals import Interval, write_intervals
from mubert_jax.spotting.loso import leave_one_subject_out
from mubert_jax.spotting.scores import spotting_scores

# The true ones of a and b score above 5, their false alarms below; those of c ten times as much.
SCORES = {"a": ([6.0, 9.0], [4.0, 2.0]), "b": ([5.0, 8.0], [3.0, 1.0]), "c": ([90.0], [60.0, 40.0])}


def tables():
    truths, spotted = [], []
    for subject, (true, false) in SCORES.items():
        for place, score in enumerate(true):
            at = Interval(subject, "v", 100 * place, 100 * place + 20, kind="micro")
            truths.append(at)
            spotted.append(dataclasses.replace(at, score=score))
        for place, score in enumerate(false):
            spotted.append(Interval(subject, "v", 5000 + 100 * place, 5020 + 100 * place,
                                    kind="micro", score=score))  # fmt: skip
    return truths, spotted


def test_the_best_threshold_of_the_others_is_taken():
    truths, spotted = tables()
    left = leave_one_subject_out(truths, spotted)
    # Without c, 5 parts all true ones from all false ones; for a, b and c are best served by 5.
    assert left.thresholds == {"a": 5.0, "b": 6.0, "c": 5.0}
    kept = {name: [one.score for one in left.kept if one.subject == name] for name in SCORES}
    assert kept == {"a": [6.0, 9.0], "b": [8.0], "c": [90.0, 60.0, 40.0]}


def test_the_truths_of_a_subject_do_not_choose_its_threshold():
    truths, spotted = tables()
    other = [one for one in truths if one.subject != "c"]
    other += [Interval("c", "v", 5000, 5020, kind="micro")]
    one, changed = (leave_one_subject_out(x, spotted).thresholds for x in (truths, other))
    assert one["c"] == changed["c"]


def test_no_threshold_of_all_gives_what_one_per_subject_might():
    """Chosen on the others, F1 is not above that of the best threshold for all."""
    truths, spotted = tables()
    left = leave_one_subject_out(truths, spotted)
    best = max(
        spotting_scores(truths, [one for one in spotted if one.score >= at])[-1].counts.f1
        for at in {one.score for one in spotted}
    )
    assert spotting_scores(truths, left.kept)[-1].counts.f1 <= best


@pytest.mark.parametrize(
    "change, said",
    [
        ({"subject": ""}, "column subject"),
        ({"subject": "a"}, "two people or more"),
        ({"score": float("nan")}, "a score each"),
    ],
)
def test_what_has_nothing_to_choose_from_is_one_line(change, said):
    sides = [[dataclasses.replace(one, **change) for one in side] for side in tables()]
    with pytest.raises(UserError, match=said):
        leave_one_subject_out(*sides)


def test_the_command_says_what_was_chosen(tmp_path, capsys):
    truths, spotted = tables()
    for name, side in (("truth", truths), ("spotted", spotted)):
        write_intervals(tmp_path / f"{name}.csv", side)
    words = ["evaluate", f"--predictions={tmp_path / 'spotted.csv'}", f"--output={tmp_path / 'r'}"]
    assert main([*words, f"--spotting={tmp_path / 'truth.csv'}", "--loso"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "LOSO: the threshold of each of 3 subjects" in said and "5 to 6 (median 5)" in said
    assert "all: F1 0.7273" in said and "(TP 4, FP 2, FN 1)" in said
    facts = json.loads((tmp_path / "r/spotting.json").read_text())
    assert facts["threshold by subject"] == {"a": 5.0, "b": 6.0, "c": 5.0}
    assert main([*words, "--loso"]) == 2
    assert "--loso goes with --spotting" in capsys.readouterr().err
