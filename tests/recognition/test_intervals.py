"""Intervals over people: the plain loop gives the same, and a likely truth lies within."""

import numpy as np
import pandas as pd

from mubert_jax.recognition import intervals
from mubert_jax.recognition.intervals import over_subjects
from mubert_jax.recognition.metrics import score
from mubert_jax.recognition.predictions import Predictions

CLASSES = ("negative", "positive", "surprise")


def synthetic(people, seeds=2, clips=6):
    random = np.random.default_rng(3)
    rows = []
    for seed in range(seeds):
        for person in range(people):
            skill = person / people
            for clip in range(clips):
                truth = CLASSES[clip % 2]
                named = truth if random.random() < skill else CLASSES[random.integers(3)]
                rows.append(["set", f"{person:02d}", str(clip), seed, str(person), truth, named])
    columns = ["dataset", "subject", "clip", "seed", "fold", "truth", "prediction"]
    return Predictions(pd.DataFrame(rows, columns=columns), CLASSES)


def test_a_plain_loop_over_the_same_draws_agrees(monkeypatch):
    monkeypatch.setattr(intervals, "RESAMPLINGS", 150)
    predictions = synthetic(8)
    found = over_subjects(predictions)
    drawn = np.random.default_rng(0).integers(8, size=(150, 8))
    runs = [predictions.of_seed(seed) for seed in predictions.seeds]
    values = []
    for people in drawn:
        rows = np.concatenate([np.arange(6) + 6 * person for person in people])
        scores = [score(run.truth[rows], run.prediction[rows], CLASSES) for run in runs]
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
