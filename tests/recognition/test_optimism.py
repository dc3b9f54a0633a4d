"""Picking an epoch on the test clips: what is watched changes nothing, and is of the test clips."""

import numpy as np
import pandas as pd
import pytest
from recognition.test_cross_validation import EPOCHS, people, run
from recognition.test_cross_validation import told as told
from recognition.test_light_networks import TRAIN, clips, network_of

from mubert_jax.config import RecognitionConfig
from mubert_jax.errors import UserError
from mubert_jax.recognition import linear_probe
from mubert_jax.recognition.cross_validation import named_rows
from mubert_jax.recognition.inputs import Inputs
from mubert_jax.recognition.metrics import score
from mubert_jax.recognition.optimism import Optimism, best_epoch
from mubert_jax.recognition.predictions import Predictions

FOLDS, DECAYS = np.arange(2), np.array([0.01, 0.1])
WATCHED = np.stack([np.flatnonzero(~marks)[:3] for marks in TRAIN[:2]])


def learnt(name, watched, epochs=3):
    network = network_of(name, epochs=epochs, learning_rate=0.02, batch_size=18)
    learn = network.learner(Inputs(clips(), None, network.config.recognition), 0)
    return learn(FOLDS, TRAIN[:2], DECAYS, watched)


def last_named(learned):
    return np.take_along_axis(learned.logits.argmax(-1), WATCHED, axis=1)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["small", "ststnet"])
def test_what_is_watched_changes_nothing_and_is_what_each_epoch_says(name):
    plain, watched = learnt(name, None), learnt(name, WATCHED)
    assert plain.named is None and watched.named.shape == (2, 3, 3)
    np.testing.assert_array_equal(plain.logits, watched.logits)
    np.testing.assert_array_equal(plain.losses, watched.losses)
    np.testing.assert_array_equal(watched.named[:, -1], last_named(watched))
    assert (watched.named != watched.named[:, :1]).any(), "else nothing is told apart here"


@pytest.mark.slow
def test_an_epoch_says_what_a_training_of_so_many_epochs_would():
    """At a constant rate, that is; STSTNet takes what a step sees before it learns."""
    longer = learnt("ststnet", WATCHED)
    for epochs in (1, 2):
        shorter = learnt("ststnet", WATCHED, epochs)
        np.testing.assert_array_equal(longer.named[:, :epochs], shorter.named)
        np.testing.assert_array_equal(longer.named[:, epochs - 1], last_named(shorter))


def test_heads_are_watched_alike():
    random, label = np.random.default_rng(0), np.arange(24) % 3
    features = random.normal(size=(2, 24, 4)) + label[:, None]
    config = RecognitionConfig(epochs=20)
    shared = features, label, TRAIN[:2], DECAYS, 3, config
    heads, losses = linear_probe.fit(*shared)
    same, same_losses, everything = linear_probe.fit_named(*shared)
    named = named_rows(everything, WATCHED)
    np.testing.assert_array_equal(losses, same_losses)
    np.testing.assert_array_equal(heads.kernel, same.kernel)
    assert named.shape == (2, 20, 3) and (named != named[:, :1]).any()
    assert named[:, 0].any(), "before it has learnt anything, a head names the first class"
    for fold, rows in enumerate(WATCHED):
        logits = features[0, rows] @ heads.kernel[fold] + heads.bias[fold]
        np.testing.assert_array_equal(named[fold, -1], logits.argmax(-1))


def test_each_fold_is_picked_the_earliest_epoch_that_suits_its_own_test_clips(told, tmp_path):
    """Five people in two folds of 9 and 6 clips; the kept epochs are right, others name less."""
    pairs, given = people(5), []

    def named(numbers, watched):
        if watched is None:
            return None
        given.extend(map(set, watched.tolist()))
        found = np.repeat(1 - pairs.label[watched][:, None], EPOCHS, axis=1)
        for number in numbers:
            for epoch, wrong in ((20 + number, 0), (90, 1)):
                found[number, epoch] = pairs.label[watched[number]]
                found[number, epoch, wrong] ^= 1
        return found

    told.named = named
    found, _ = run(told, pairs, tmp_path, protocol="2-fold", optimism=True)
    honest, picked = found.predictions.table, found.picked.table
    assert (honest["prediction"] == honest["truth"]).all()
    columns = ["dataset", "subject", "clip", "seed", "fold", "truth"]
    pd.testing.assert_frame_equal(honest[columns], picked[columns])
    assert sorted(map(len, given)) == [6, 9]
    for rows in given:
        (fold,) = set(honest["fold"].iloc[sorted(rows)])
        wrong = picked[(picked["fold"] == fold) & (picked["prediction"] != picked["truth"])]
        assert wrong.index.tolist() == [min(rows)], "the later epoch is as good, and not taken"
    again, said = run(told, pairs, tmp_path, protocol="2-fold", optimism=True)
    assert said == "", "all is kept"
    pd.testing.assert_frame_equal(picked, again.picked.table)
    without, _ = run(told, pairs, tmp_path, protocol="2-fold")
    assert without.picked is None


def test_folds_that_were_kept_without_are_trained_again(told, tmp_path):
    run(told, people(), tmp_path)
    (tmp_path / "folds" / "seed3-fold002.npz").unlink()
    told.asked.clear()
    told.named = lambda numbers, watched: np.zeros((len(numbers), EPOCHS, 3), int)
    _, said = run(told, people(), tmp_path, optimism=True)
    assert said.splitlines()[0].startswith("seed 3: 5 folds were kept without")
    assert [numbers for numbers, *_ in told.asked] == [[0, 1, 2, 3, 4, 5]]
    told.asked.clear()
    run(told, people(), tmp_path, optimism=True)
    assert told.asked == []


def test_the_epoch_with_most_clips_right():
    named = np.array([[0, 0, 0], [0, 1, 1], [1, 1, 0], [2, 2, 2]])
    assert best_epoch(named, np.array([1, 1, 1])) == 1
    assert best_epoch(named, np.array([2, 2, 0])) == 3


def predictions(seeds=(0, 1), right=4):
    truth = ["low", "high", "low", "high", "low", "high"]
    named = truth[:right] + ["low"] * (6 - right)
    rows = [
        ("made", f"s{i}", f"c{i}", seed, f"s{i}", truth[i], named[i])
        for seed in seeds
        for i in range(6)
    ]
    columns = ["dataset", "subject", "clip", "seed", "fold", "truth", "prediction"]
    return Predictions(pd.DataFrame(rows, columns=columns), ("low", "high"))


def test_a_file_is_what_was_saved_and_of_its_predictions(tmp_path):
    path, honest = tmp_path / "optimism.csv", predictions()
    saved = Optimism.of(honest, predictions(right=6))
    saved.save(path)
    head, first, *others = path.read_text().splitlines()
    expected = score(honest.truth[:6], honest.prediction[:6], ("low", "high"))
    assert head == "seed,score,honest,picked" and first == f"0,uf1,{expected.uf1:.6f},1.000000"
    assert [line.split(",")[:2] for line in others] == [["0", "uar"], ["1", "uf1"], ["1", "uar"]]
    found = Optimism.load(path, honest)
    np.testing.assert_allclose(found.honest["uar"], expected.uar, atol=1e-6)
    np.testing.assert_array_equal(found.picked["uf1"], [1.0, 1.0])
    for other in (predictions(seeds=(0,)), predictions(right=6)):
        with pytest.raises(UserError, match="honest scores are not those of the predictions"):
            Optimism.load(path, other)
    for text in ("", "seed,score\n0,uf1\n", head + "\n0,uf1,x,y\n", f"{head}\n{first}\n"):
        path.write_text(text)
        with pytest.raises(UserError, match="no table of seed, score, honest, picked"):
            Optimism.load(path, honest)
