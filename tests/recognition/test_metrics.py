"""UF1 and UAR against scikit-learn, the wrong ways to take them, and intervals over people."""

import ast
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    f1_score,
    precision_score,
    recall_score,
)

import mubert_jax
from mubert_jax.recognition import metrics
from mubert_jax.recognition.metrics import (
    FULL,
    by_subject,
    hardest,
    over_subjects,
    ratios,
    score,
    subsets,
    uf1,
)
from mubert_jax.recognition.predictions import Predictions

NAMES = ("negative", "positive", "surprise", "others", "disgust")


@st.composite
def labels(draw):
    """(truth, prediction, classes); some classes may be absent from either."""
    classes = draw(st.integers(1, len(NAMES)))
    clips = draw(st.integers(1, 40))
    one = st.lists(st.integers(0, classes - 1), min_size=clips, max_size=clips)
    return np.array(draw(one)), np.array(draw(one)), NAMES[:classes]


@settings(max_examples=150, deadline=None)
@given(labels())
def test_against_scikit_learn(drawn):
    truth, prediction, classes = drawn
    scores = score(truth, prediction, classes)
    present = np.unique(truth)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        f1 = f1_score(truth, prediction, labels=present, average="macro", zero_division=0)
        recall = recall_score(truth, prediction, labels=present, average="macro")
        every = range(len(classes))
        confusion = confusion_matrix(truth, prediction, labels=every)
        precision = precision_score(truth, prediction, labels=present, average="macro")
    np.testing.assert_allclose(
        [scores.uf1, scores.uar, scores.mean_precision], [f1, recall, precision]
    )
    np.testing.assert_allclose(scores.accuracy, accuracy_score(truth, prediction))
    np.testing.assert_array_equal(scores.confusion, confusion)
    assert scores.absent == tuple(classes[i] for i in every if i not in present)
    assert np.isnan(scores.f1).sum() == np.isnan(scores.recall).sum() == len(scores.absent)
    assert scores.clips == len(truth)


def test_a_class_absent_from_the_truth_is_left_out_but_its_errors_count():
    scores = score(np.array([0, 0, 1, 1]), np.array([0, 2, 1, 1]), NAMES[:3])
    assert scores.absent == ("surprise",)
    np.testing.assert_allclose(scores.uf1, (2 / 3 + 1) / 2)
    np.testing.assert_allclose(scores.uar, 0.75)


def test_many_tables_at_a_time_are_each_as_alone():
    """The draws of an interval, (R, S, C, C); a class of none divides nothing by 0."""
    random = np.random.default_rng(0)
    confusion = random.integers(1, 5, (2, 4, 3, 3))
    confusion[0, 0, 1], confusion[0, 0, :, 1] = 0, 0
    with np.errstate(all="raise"):
        f1, recall, accuracy = ratios(confusion)
    assert f1.shape == recall.shape == (2, 4, 3) and accuracy.shape == (2, 4)
    for place in np.ndindex(2, 4):
        truth, prediction = np.repeat(
            np.argwhere(confusion[place] >= 0), confusion[place].flat, 0
        ).T
        alone = score(truth, prediction, NAMES[:3])
        np.testing.assert_allclose(f1[place], alone.f1)
        np.testing.assert_allclose(recall[place], alone.recall)
        np.testing.assert_allclose(accuracy[place], (truth == prediction).mean())
    assert np.isnan(f1[0, 0]).tolist() == [False, True, False]


def test_there_is_one_uf1():
    """The mean over predicted classes, as scikit-learn has it by default, is another: 0.56."""
    truth, prediction = np.array(["a", "a", "b", "b"]), np.array(["a", "c", "b", "b"])
    np.testing.assert_allclose(uf1(truth, prediction), 5 / 6)
    np.testing.assert_allclose(f1_score(truth, prediction, average="macro"), 5 / 9)
    for path in Path(mubert_jax.__file__).parent.rglob("*.py"):
        names = {
            x.name
            for n in ast.walk(ast.parse(path.read_text()))
            if isinstance(n, ast.ImportFrom)
            for x in n.names
        }
        assert not names & {"f1_score", "recall_score", "classification_report"}, path


def test_one_class_only():
    scores = score(np.zeros(4, int), np.array([0, 0, 0, 1]), NAMES[:2])
    np.testing.assert_allclose([scores.uf1, scores.uar], [6 / 7, 0.75])
    assert scores.absent == ("positive",)


def test_the_traps_give_other_numbers():
    """Per-fold means, micro and weighted averages, and the misprinted formula."""
    truth = np.array([0, 0, 0, 0, 1, 0, 0, 0, 1, 2])
    prediction = np.array([0, 0, 0, 1, 1, 0, 0, 0, 0, 2])
    folds = (slice(0, 5), slice(5, 8), slice(8, 10))
    uf1 = score(truth, prediction, NAMES[:3]).uf1
    np.testing.assert_allclose(uf1, (2 * 6 / 14 + 2 * 1 / 4 + 1) / 3)
    averaged = np.mean([score(truth[f], prediction[f], NAMES[:3]).uf1 for f in folds])
    micro, weighted = (f1_score(truth, prediction, average=how) for how in ("micro", "weighted"))
    misprint = np.mean([6 / 8, 1 / 3, 1 / 1])
    for other in (averaged, micro, weighted, misprint):
        assert abs(other - uf1) > 0.01


def test_refuses_what_are_no_labels():
    of_two_axes = [[0, 1], [1, 0]]
    for truth, prediction in (
        ([], []),
        ([0, 1], [0]),
        ([0, 3], [0, 1]),
        ([0, 1], [0, 3]),
        ([-1], [0]),
        ([1], [-1]),
        (of_two_axes, of_two_axes),
    ):
        with pytest.raises(ValueError, match="labels"):
            score(np.array(truth, int), np.array(prediction, int), NAMES[:3])


def synthetic(people, seeds=2, clips=6):
    random = np.random.default_rng(3)
    rows = []
    for seed in range(seeds):
        for person in range(people):
            skill = person / people
            for clip in range(clips):
                truth = NAMES[:3][clip % 2]
                named = truth if random.random() < skill else NAMES[:3][random.integers(3)]
                rows.append(["set", f"{person:02d}", str(clip), seed, str(person), truth, named])
    columns = ["dataset", "subject", "clip", "seed", "fold", "truth", "prediction"]
    return Predictions(pd.DataFrame(rows, columns=columns), NAMES[:3])


def test_a_plain_loop_over_the_same_draws_agrees(monkeypatch):
    monkeypatch.setattr(metrics, "RESAMPLINGS", 150)
    predictions = synthetic(8)
    found = over_subjects(predictions)
    drawn = np.random.default_rng(0).integers(8, size=(150, 8))
    runs = [predictions.of_seed(seed) for seed in predictions.seeds]
    values = []
    for people in drawn:
        rows = np.concatenate([np.arange(6) + 6 * person for person in people])
        scores = [score(run.truth[rows], run.prediction[rows], NAMES[:3]) for run in runs]
        values.append(np.mean([[s.uf1, s.uar, s.accuracy] for s in scores], axis=0))
    low, high = np.percentile(values, (2.5, 97.5), axis=0)
    names = ("uf1", "uar", "accuracy")
    np.testing.assert_allclose([found[name][0] for name in names], low)
    np.testing.assert_allclose([found[name][1] for name in names], high)
    assert np.isnan(found["f1"][:, 2]).all() and np.isfinite(found["f1"][:, :2]).all()


def test_more_people_make_it_narrower_and_one_makes_none():
    widths = [np.diff(over_subjects(synthetic(people))["uf1"])[0] for people in (6, 60)]
    assert widths[1] < widths[0] / 2
    assert np.isnan(over_subjects(synthetic(1))["uf1"]).all()
    assert np.isfinite(over_subjects(synthetic(2))["uf1"]).all()


def test_one_data_set_is_not_a_subset_of_itself():
    (full,) = subsets(synthetic(3))
    assert full.name == FULL and full.subjects == 3 and full.clips == 18


def test_every_subject_is_scored_by_its_own_clips():
    predictions = synthetic(3)
    rows = predictions.table.groupby("subject")
    share = [(own["truth"] == own["prediction"]).mean() for _, own in rows]
    found = by_subject(predictions)
    assert [subject.name for subject in found] == ["set/00", "set/01", "set/02"]
    assert [(subject.clips, subject.subjects) for subject in found] == [(6, 1)] * 3
    np.testing.assert_allclose([subject.values("accuracy").mean() for subject in found], share)


def test_the_hardest_clips_are_a_dozen_unless_more_are_asked_for():
    backwards = synthetic(8).table[::-1].reset_index(drop=True)
    predictions = Predictions(backwards, NAMES[:3])
    table = backwards.assign(wrong=lambda rows: rows["truth"] != rows["prediction"])
    share = table.groupby(["subject", "clip"], sort=False)["wrong"].mean()
    expected = share[share > 0].sort_values(ascending=False, kind="stable")
    every = hardest(predictions, 100)
    assert [(clip.subject, clip.clip) for clip in every] == expected.index.tolist()
    assert [clip.wrong / clip.seeds for clip in every] == expected.tolist()
    assert [clip.confidence for clip in every] == expected.tolist()
    assert len(every) > 13 and hardest(predictions) == every[:12]
