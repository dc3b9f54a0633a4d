"""What cross-validation asks of a learner, and what it writes: the learner is a stand-in.

It knows every clip's class and notes what it is given, so that nothing is compiled.
"""

import dataclasses
import io
from types import SimpleNamespace

import jax
import numpy as np
import pandas as pd
import pytest
from conftest import tiny_config
from rich.console import Console

from mubert_jax.errors import UserError
from mubert_jax.recognition import cross_validation
from mubert_jax.recognition.cross_validation import check_folds, cross_validate, fit_all
from mubert_jax.recognition.facts import Facts
from mubert_jax.recognition.protocols import split

EPOCHS = 250


class Pairs(SimpleNamespace):
    """As `LabelledPairs`."""

    def __len__(self):
        return len(self.label)


def people(count=6, clips=3):
    """`count` subjects × `clips` clips of two classes, without pictures to speak of."""
    total = count * clips
    return Pairs(
        onset=np.zeros((total, 1, 1, 3), np.uint8),
        apex=np.zeros((total, 1, 1, 3), np.uint8),
        label=np.arange(total) % 2,
        classes=["low", "high"],
        subject=[f"s{row // clips}" for row in range(total)],
        clip=[f"c{row % clips}" for row in range(total)],
        dataset=["made"] * total,
    )


@pytest.fixture
def told(monkeypatch):
    """What learners were given: `begun` (seed), `asked` (numbers, train_KxP, decay_K) in order."""
    told = SimpleNamespace(begun=[], asked=[])

    def learner(model, params, pairs, recognition, seed):
        told.begun.append(seed)

        def learn(numbers, train, decays):
            told.asked.append((numbers.tolist(), train.copy(), decays.tolist()))
            logits = np.tile(4.0 * np.eye(2)[pairs.label], (len(train), 1, 1))
            # Worse the farther the decay is from the one that fits this fold.
            best = np.where(numbers % 2 == 0, 0.01, 0.1)
            logits /= 1 + np.abs(np.log10(decays / best))[:, None, None]
            losses = np.arange(EPOCHS) + 1000.0 * numbers[:, None]
            return logits, losses, {"head": np.arange(3.0) + train.sum(1)[:, None]}

        return learn

    for backbone in ("frozen", "full"):
        monkeypatch.setitem(cross_validation.LEARNERS, backbone, learner)
    return told


def config(**recognition):
    keys = {"weight_decay": (0.1,), "seeds": (3,), **recognition}
    plain = tiny_config(loss__agreement="none")
    return dataclasses.replace(plain, recognition=dataclasses.replace(plain.recognition, **keys))


def run(config, pairs, workdir, stamps=()):
    said = io.StringIO()
    console = Console(file=said, width=200)
    found = cross_validate(config, None, {"w": np.ones(1)}, pairs, workdir, list(stamps), console)
    return found, said.getvalue()


def test_every_clip_is_written_once_a_seed_with_its_probabilities(told, tmp_path):
    pairs = people()
    found, said = run(config(seeds=(3, 5), published="casme2-3"), pairs, tmp_path, ["LEAK: said"])
    table = pd.read_csv(tmp_path / "predictions.csv", dtype={"subject": str, "clip": str})
    assert found.table.index.tolist() == list(range(36))
    assert table["seed"].tolist() == [3] * 18 + [5] * 18
    assert table["clip"].tolist() == 2 * pairs.clip
    assert (table["truth"] == table["prediction"]).all()
    assert table["truth"].tolist() == 2 * [pairs.classes[label] for label in pairs.label]
    probabilities = table[[name for name in table if name.endswith(("low", "high"))]].to_numpy()
    decays = np.repeat([0, 1, 0, 1, 0, 1], 3)  # how far 0.1 is from each fold's best
    sure = 1 / (1 + np.exp(-4.0 / (2 - decays)))
    np.testing.assert_allclose(probabilities.max(1), np.tile(sure, 2), rtol=1e-5)
    assert told.begun == [3, 5], "features are computed once a seed"
    assert said.splitlines() == ["seed 3: 6 of 6 folds", "seed 5: 6 of 6 folds"]
    facts = Facts.load(tmp_path)
    assert (facts.published, facts.stamps, facts.protocol) == ("casme2-3", ("LEAK: said",), "loso")
    assert facts.classes == ("low", "high")


def test_a_fold_learns_from_all_but_its_subject(told, tmp_path):
    run(config(), people(), tmp_path)
    ((numbers, train, decays),) = told.asked
    assert numbers == list(range(6)) and decays == [0.1] * 6
    np.testing.assert_array_equal(train, np.arange(18) // 3 != np.arange(6)[:, None])


def test_the_decay_is_chosen_without_the_tested_subject(told, tmp_path):
    run(config(weight_decay=(0.01, 0.1)), people(), tmp_path)
    *tried, (_, train, chosen) = told.asked
    assert chosen == [0.01, 0.1] * 3
    assert [decays for _, _, decays in tried] == [[0.01] * 6, [0.1] * 6]
    for _, inner, _ in tried:
        assert (inner.sum(1) >= 3).all() and (inner.sum(1) < train.sum(1)).all()
        assert not (inner & ~train).any()


def test_a_hundred_points_of_every_curve(told, tmp_path):
    run(config(), people(), tmp_path)
    curves = pd.read_csv(tmp_path / "curves.csv")
    assert curves.columns.tolist() == ["seed", "fold", "epoch", "loss"]
    epochs = np.linspace(1, EPOCHS, 100).astype(int)
    for number, (name, curve) in enumerate(curves.groupby("fold", sort=False)):
        assert name.endswith(f"s{number}")
        assert curve["epoch"].tolist() == epochs.tolist()
        np.testing.assert_allclose(curve["loss"], epochs - 1 + 1000 * number)


def test_one_fold_is_enough(told, tmp_path):
    pairs = people()
    pairs.dataset = ["made"] * 9 + ["other"] * 9
    found, said = run(config(protocol="cross:other"), pairs, tmp_path)
    assert len(found.table) == 9 and said == "seed 3: 1 of 1 folds\n"


@pytest.mark.parametrize(
    "backend, at_once, groups",
    [
        ("cpu", 0, [[number] for number in range(18)]),
        ("gpu", 0, [list(range(8)), list(range(8, 16)), [16, 17]]),
        ("cpu", 7, [list(range(7)), list(range(7, 14)), list(range(14, 18))]),
    ],
)
def test_how_many_folds_learn_at_once(told, tmp_path, monkeypatch, backend, at_once, groups):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    _, said = run(config(backbone="full", folds_at_once=at_once), people(18, 2), tmp_path)
    assert [numbers for numbers, _, _ in told.asked] == groups
    done = np.cumsum([len(group) for group in groups])
    assert said.splitlines() == [f"seed 3: {number} of 18 folds" for number in done]


def test_what_is_finished_is_counted_and_left(told, tmp_path):
    before, _ = run(config(), people(), tmp_path)
    for number in (1, 4):
        (tmp_path / "folds" / f"seed3-fold00{number}.npz").unlink()
    told.asked.clear()
    after, said = run(config(), people(), tmp_path)
    assert [numbers for numbers, _, _ in told.asked] == [[1, 4]]
    assert said == "seed 3: 6 of 6 folds\n"
    pd.testing.assert_frame_equal(before.table, after.table)
    told.begun.clear()
    run(config(), people(), tmp_path)
    assert told.begun == [], "nothing is missing: no features are computed"


def test_the_recogniser_to_keep_learns_from_everybody(told):
    kept = fit_all(config(seeds=(5, 3)), None, {"w": np.ones(1)}, people())
    ((numbers, train, decays),) = told.asked
    assert told.begun == [5] and numbers == [0] and decays == [0.1]
    assert train.shape == (1, 18) and train.all()
    assert kept["w"] == 1
    np.testing.assert_array_equal(kept["head"], np.arange(3) + 18)


def test_what_a_reader_should_know_is_listed_once(told, tmp_path):
    pairs = people()
    pairs.label = (np.arange(18) < 3).astype(int)
    run(config(seeds=(1, 2)), pairs, tmp_path)
    expected = split("loso", cross_validation.clips_of(pairs)).warnings
    assert len(expected) == 1 and Facts.load(tmp_path).warnings == expected


def test_who_is_tested():
    pairs = people()
    pairs.dataset = ["made"] * 9 + ["other"] * 9
    for protocol, tested in (("cross:other", [False] * 9 + [True] * 9), ("loso", [True] * 18)):
        assert check_folds(config(protocol=protocol), pairs).tolist() == tested


def test_folds_of_two_people_can_learn_but_not_choose():
    pairs = people(2, 3)
    with pytest.raises(UserError, match="fold made/s0 trains on 1 subject"):
        check_folds(config(weight_decay=(0.01, 0.1)), pairs)
    assert check_folds(config(), pairs).all()
