"""Each pitfall, where what it does is planted: it raises a figure, and its honest reading stays."""

import json

import numpy as np
import pytest
from conftest import tiny_config

from mubert_jax.bench import pitfalls
from mubert_jax.bench.pitfalls import DECAYS, Clips
from mubert_jax.cli import main
from mubert_jax.config import RecognitionConfig
from mubert_jax.data.flow_set import FlowInfo, write_flow_set
from mubert_jax.data.labelled_clips import LabelledClips
from mubert_jax.recognition.networks import make_network

PEOPLE, PER_PERSON = 6, 6
RIDGE = RecognitionConfig(
    network="ridge", options={"normalise": "pixels", "cells": 4}, weight_decay=(0.01,)
)


def clips(of_person=0.0, people=PEOPLE, label=None):
    """Noise, in which a person may be known; what is learnt of it is of no use for others."""
    random = np.random.default_rng(1)
    person = np.arange(people * PER_PERSON) // PER_PERSON
    flow = random.normal(size=(len(person), 28, 28, 3))
    flow += of_person * np.repeat(random.normal(size=(people, 4, 4, 3)), 7, 1).repeat(7, 2)[person]
    label = person % 2 if label is None else label(len(person))
    names = [f"c{clip}" for clip in range(len(person))]
    columns = ["made"] * len(person), [f"s{who}" for who in person], names
    return Clips(flow.astype("f4"), label, *columns, classes=["low", "high"])


def right(given, named):
    return pitfalls._reading(given, named, "uf1")(np.arange(len(given)))


def test_people_on_both_sides_are_recognized_as_themselves():
    given = clips(of_person=1.0)
    honest = right(given, pitfalls._crossed(given, RIDGE, "3-fold"))
    alone = pitfalls.everybody_alone(given)
    leaky = right(given, pitfalls._crossed(alone, RIDGE, "3-fold"))
    assert len(set(alone.subject)) == len(given) and alone.label.tolist() == given.label.tolist()
    assert leaky > 0.9 and honest < 0.7


def test_copies_on_both_sides_are_recognized_whatever_their_labels():
    given = clips(label=lambda count: np.random.default_rng(0).integers(0, 2, count))
    more, count = pitfalls.with_copies(given), len(given)
    assert len(more) == 4 * count and set(more.subject) == set(given.subject)
    np.testing.assert_array_equal(more.flow[:count], given.flow)
    np.testing.assert_array_equal(more.label[count:], np.tile(given.label, 3))
    honest = right(given, pitfalls._crossed(more, RIDGE, "3-fold")[:count])
    alone = pitfalls.everybody_alone(more)
    leaky = right(given, pitfalls._crossed(alone, RIDGE, "3-fold")[:count])
    assert leaky > honest + 0.2 and honest < 0.7


def test_normalised_by_all_clips_means_by_those_of_the_test():
    given = clips()
    given.flow[:PER_PERSON] *= 50
    train = np.arange(len(given)) >= PER_PERSON
    means = given.flow.mean((1, 2))
    ridge, over_all = (
        network_of(make).moments(means, train)
        for make in (make_network, pitfalls.NormalisedOverAll)
    )
    np.testing.assert_allclose(ridge[1], means[train].std(0), atol=1e-5)
    np.testing.assert_allclose(over_all[1], means.std(0), atol=1e-5)
    logits = [
        pitfalls._cross_validated(given, RIDGE, "loso", make).predictions.probabilities
        for make in (make_network, pitfalls.NormalisedOverAll)
    ]
    assert np.abs(logits[0] - logits[1]).max() > 0.05


def network_of(make):
    recognition = {"network": "ridge", "weight_decay": (0.01,)}
    return make(tiny_config(model__recognizer__classes=2, recognition=recognition))


def test_scores_of_people_are_averaged_however_many_clips_they_have():
    """One of six clips and one of three; the second has one of its three wrong."""
    given = clips(people=2, label=lambda count: np.array([0] * 6 + [0, 1] * 3))
    columns = (column[:9] for column in (given.label, given.dataset, given.subject, given.clip))
    given = Clips(given.flow[:9], *columns, classes=given.classes)
    reading, own = pitfalls.averaged(given, np.zeros(9, int)), (1.0, 0.8 / 2)
    assert reading(np.arange(9)) == pytest.approx(np.mean(own))
    twice = np.concatenate([np.arange(9), np.arange(6)])
    assert reading(twice) == pytest.approx((2 * own[0] + own[1]) / 3)


@pytest.fixture
def flow_folder(tmp_path):
    def make(people=PEOPLE):
        folder, given = tmp_path / "flow", clips(0.5, people)
        folder.mkdir()
        same = given.dataset, given.subject, given.clip
        found = LabelledClips(folder, given.classes, given.label.tolist(), *same)
        info = FlowInfo("dis", "", "pixels", "x")
        write_flow_set(folder, given.flow, found, info)
        return folder

    return make


def test_what_cannot_be_measured_is_one_line(flow_folder, tmp_path, capsys):
    for folder, said in (
        (tmp_path, "not a finished flow set"),
        (flow_folder(3), "has 3 people; 5"),
    ):
        assert main(["bench", "pitfalls", f"--data={folder}"]) == 2
        error = capsys.readouterr().err
        assert said in error and error.count("\n") == 1


@pytest.mark.slow
def test_every_pitfall_is_a_row_with_labels_and_without(flow_folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(pitfalls, "DECAYS", DECAYS[::3])
    output = tmp_path / "rows.json"
    words = [f"--data={flow_folder()}", f"--output={output}", "--epochs=8"]
    assert main(["bench", "pitfalls", *words]) == 0
    rows = json.loads(output.read_text())
    assert len(rows) == 16 and len({row["wrong"] for row in rows}) == 8
    assert [row["labels"] for row in rows] == ["as they are"] * 8 + ["shuffled"] * 8
    for row in rows:
        assert row["difference"] == pytest.approx(row["leaky"] - row["honest"])
        assert row["difference low"] <= row["difference"] <= row["difference high"]
    leaks = {row["wrong"]: row for row in rows[8:]}
    for name in ("augmented copies of a clip in several folds", "epoch picked on the test subject"):
        assert leaks[name]["difference"] > 0.1, name
    assert leaks["weight decay chosen on the test people"]["difference"] >= 0
    said = capsys.readouterr().out
    assert "labels as they are" in said and "labels shuffled" in said
