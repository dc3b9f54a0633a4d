"""What cross-validation asks of a learner, and what it writes: the learner is a stand-in.

It knows every clip's class and notes what it is given, so that nothing is compiled.
"""

import functools
import io
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from mubert_jax.errors import UserError
from mubert_jax.recognition.cross_validation import (
    Learned,
    check_folds,
    choose,
    clips_of,
    cross_validate,
    fit_all,
)
from mubert_jax.recognition.kept_folds import Fitted, KeptFolds
from mubert_jax.recognition.protocols import split

EPOCHS = 250


class Pairs(SimpleNamespace):
    """As `LabelledPairs`."""

    def __len__(self):
        return len(self.label)


def people(count=6, clips=3):
    """`count` subjects × `clips` clips of two classes, without pictures."""
    total = count * clips
    return Pairs(
        label=np.arange(total) % 2,
        classes=["low", "high"],
        subject=[f"s{row // clips}" for row in range(total)],
        clip=[f"c{row % clips}" for row in range(total)],
        dataset=["made"] * total,
    )


@pytest.fixture
def told():
    """What learners were given: `begun` (seed), `asked` (numbers, train_KxP, decay_K) in order.

    `make(pairs)` gives what makes one.
    """
    told = SimpleNamespace(begun=[], asked=[], named=lambda numbers, watched: None)

    def make_learner(pairs, seed):
        told.begun.append(seed)

        def learn(numbers, train, decays, watched=None):
            told.asked.append((numbers.tolist(), train.copy(), decays.tolist()))
            logits = np.tile(4.0 * np.eye(2)[pairs.label], (len(train), 1, 1))
            # Worse the farther the decay is from the one that fits this fold.
            best = np.where(numbers % 2 == 0, 0.01, 0.1)
            logits /= 1 + np.abs(np.log10(decays / best))[:, None, None]
            losses = np.arange(EPOCHS) + 1000.0 * numbers[:, None]
            params = {"head": np.arange(3.0) + train.sum(1)[:, None]}
            return Learned(logits, losses, params, told.named(numbers, watched))

        return learn

    told.make = lambda pairs: functools.partial(make_learner, pairs)
    return told


def run(told, pairs, workdir, protocol="loso", seeds=(3,), decays=(0.1,), **options):
    said = io.StringIO()
    kept, console = KeptFolds(workdir, {}), Console(file=said, width=200)
    make_learner = told.make(pairs)
    found = cross_validate(make_learner, pairs, protocol, seeds, decays, kept, console, **options)
    return found, said.getvalue()


def test_every_clip_is_written_once_a_seed_with_its_probabilities(told, tmp_path):
    pairs = people()
    found, said = run(told, pairs, tmp_path, seeds=(3, 5))
    table = found.predictions.table
    assert table.index.tolist() == list(range(36))
    assert found.predictions.classes == ("low", "high")
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


def test_a_fold_learns_from_all_but_its_subject(told, tmp_path):
    run(told, people(), tmp_path)
    ((numbers, train, decays),) = told.asked
    assert numbers == list(range(6)) and decays == [0.1] * 6
    np.testing.assert_array_equal(train, np.arange(18) // 3 != np.arange(6)[:, None])


def test_the_decay_is_chosen_without_the_tested_subject(told, tmp_path):
    run(told, people(), tmp_path, decays=(0.01, 0.1))
    *tried, (_, train, chosen) = told.asked
    assert chosen == [0.01, 0.1] * 3
    assert [decays for _, _, decays in tried] == [[0.01] * 6, [0.1] * 6]
    for _, inner, _ in tried:
        assert (inner.sum(1) >= 3).all() and (inner.sum(1) < train.sum(1)).all()
        assert not (inner & ~train).any()


def test_a_hundred_points_of_every_curve(told, tmp_path):
    found, _ = run(told, people(), tmp_path)
    curves = found.curves
    assert curves.columns.tolist() == ["seed", "fold", "epoch", "loss"]
    epochs = np.linspace(1, EPOCHS, 100).astype(int)
    for number, (name, curve) in enumerate(curves.groupby("fold", sort=False)):
        assert name.endswith(f"s{number}")
        assert curve["epoch"].tolist() == epochs.tolist()
        np.testing.assert_allclose(curve["loss"], epochs - 1 + 1000 * number)


def test_one_fold_is_enough(told, tmp_path):
    pairs = people()
    pairs.dataset = ["made"] * 9 + ["other"] * 9
    found, said = run(told, pairs, tmp_path, protocol="cross:other")
    assert len(found.predictions.table) == 9 and said == "seed 3: 1 of 1 folds\n"


@pytest.mark.parametrize(
    "options, groups",
    [
        ({}, [list(range(18))]),
        ({"folds_at_once": 0}, [list(range(18))]),
        ({"folds_at_once": 1}, [[number] for number in range(18)]),
        ({"folds_at_once": 7}, [list(range(7)), list(range(7, 14)), list(range(14, 18))]),
    ],
)
def test_how_many_folds_learn_at_once(told, tmp_path, options, groups):
    _, said = run(told, people(18, 2), tmp_path, **options)
    assert [numbers for numbers, _, _ in told.asked] == groups
    done = np.cumsum([len(group) for group in groups])
    assert said.splitlines() == [f"seed 3: {number} of 18 folds" for number in done]


def test_what_is_finished_is_counted_and_left(told, tmp_path):
    before, _ = run(told, people(), tmp_path)
    for number in (1, 4):
        (tmp_path / "folds" / f"seed3-fold00{number}.npz").unlink()
    told.asked.clear()
    after, said = run(told, people(), tmp_path)
    assert [numbers for numbers, _, _ in told.asked] == [[1, 4]]
    assert said == "seed 3: 6 of 6 folds\n"
    pd.testing.assert_frame_equal(before.predictions.table, after.predictions.table)
    told.begun.clear()
    run(told, people(), tmp_path)
    assert told.begun == [], "nothing is missing: no features are computed"


def test_the_recognizer_to_keep_learns_from_everybody(told):
    pairs = people()
    kept = fit_all(told.make(pairs), pairs, 5, (0.1,))
    ((numbers, train, decays),) = told.asked
    assert told.begun == [5] and numbers == [0] and decays == [0.1]
    assert train.shape == (1, 18) and train.all()
    np.testing.assert_array_equal(kept["head"], np.arange(3) + 18)


def test_what_a_reader_should_know_is_listed_once(told, tmp_path):
    pairs = people()
    pairs.label = (np.arange(18) < 3).astype(int)
    found, _ = run(told, pairs, tmp_path, seeds=(1, 2))
    expected = split("loso", clips_of(pairs)).warnings
    assert len(expected) == 1 and found.warnings == expected


def test_who_is_tested():
    pairs = people()
    pairs.dataset = ["made"] * 9 + ["other"] * 9
    for protocol, tested in (("cross:other", [False] * 9 + [True] * 9), ("loso", [True] * 18)):
        assert check_folds(pairs, protocol, (3,), (0.1,)).tolist() == tested


def test_folds_of_two_people_can_learn_but_not_choose():
    pairs = people(2, 3)
    with pytest.raises(UserError, match="fold made/s0 trains on 1 subject"):
        check_folds(pairs, "loso", (3,), (0.01, 0.1))
    assert check_folds(pairs, "loso", (3,), (0.1,)).all()


def test_the_decay_with_the_least_loss_on_the_validation_is_chosen():
    label = np.array([0, 0, 1, 1])

    def learn(folds, train, decays):
        """Right with certainty where the decay is that of the fold's own."""
        best = np.where(folds == 0, 0.1, 0.01)
        sure = np.where(np.isclose(decays, best), 5.0, -5.0)
        return Learned(sure[:, None, None] * np.eye(2)[label][None], None, None)

    validation = np.ones((2, 4), bool)
    shared = np.arange(2), ~validation, validation, label, (0.01, 0.1)
    learner, decay = choose([learn], *shared)
    np.testing.assert_allclose(decay, [0.1, 0.01])
    np.testing.assert_array_equal(learner, [0, 0])

    def surer(folds, train, decays):
        """Of the second fold."""
        learned = learn(folds, train, decays)
        return learned._replace(logits=learned.logits * np.where(folds == 1, 3, 0.1)[:, None, None])

    learner, decay = choose([learn, surer], *shared)
    np.testing.assert_array_equal(learner, [0, 1])
    np.testing.assert_allclose(decay, [0.1, 0.01])


def test_another_plan_is_refused_and_an_older_one_lacks_what_is_new(tmp_path):
    plan = {"recognition.network": "'micron_bert'", "recognition.epochs": "40"}
    (tmp_path / "finetune.json").write_text(
        '{"recognition.backbone": "\'full\'", "recognition.epochs": "40"}'
    )
    KeptFolds(tmp_path, plan | {"recognition.options": "{}"}, {"recognition.options": "{}"})
    with pytest.raises(UserError, match="another recognition.epochs .40 there, 7 now"):
        KeptFolds(tmp_path, plan | {"recognition.epochs": "7"}, {"recognition.epochs": "7"})


def test_a_fold_is_kept_as_it_is_or_not_at_all(tmp_path):
    kept, numbers = KeptFolds(tmp_path, {}), np.random.default_rng(0).normal(size=(3, 2))
    fitted = Fitted(numbers, numbers[:, 0], np.float64(0.1))
    assert kept.load(2, 7) is None
    kept.save(2, 7, fitted)
    found = KeptFolds(tmp_path, {}).load(2, 7)
    for name, value in vars(fitted).items():
        np.testing.assert_array_equal(getattr(found, name), value)
    for name in ("logits", "losses"):
        broken = replace(fitted, **{name: np.full(3, np.nan)})
        with pytest.raises(UserError, match="seed 2, fold 8: the loss is not finite; lower"):
            kept.save(2, 8, broken)
    (file,) = (tmp_path / "folds").iterdir()
    assert file.name == "seed2-fold007.npz"
    file.write_bytes(file.read_bytes()[:50])
    with pytest.raises(UserError, match="seed2-fold007.npz is damaged; delete it"):
        kept.load(2, 7)


def test_a_new_folder_is_made_for_a_run(tmp_path):
    KeptFolds(tmp_path / "of" / "a run", {"recognition.epochs": "40"})
    assert (tmp_path / "of" / "a run" / "folds").is_dir()
    with pytest.raises(UserError, match="another recognition.epochs .40 there, 7 now"):
        KeptFolds(tmp_path / "of" / "a run", {"recognition.epochs": "7"})


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(UserError, match="holds another run; take another --workdir"):
        KeptFolds(tmp_path, {})
    (tmp_path / "finetune.json").write_text("{")
    with pytest.raises(UserError, match="finetune.json is damaged"):
        KeptFolds(tmp_path, {})
    assert not (tmp_path / "folds").exists()


def test_each_fold_chooses_its_learner_without_the_tested_subject(told, tmp_path):
    """The first learner is surer of folds with even numbers, the other, of more epochs, of odd."""
    pairs, asked = people(), {"first": [], "other": []}

    def maker(name, epochs):
        def learn(numbers, train, decays, watched=None):
            asked[name].append((numbers.tolist(), train))
            suits = (numbers % 2 == 0) == (name == "first")
            logits = np.where(suits, 4.0, 1.0)[:, None, None] * np.eye(2)[pairs.label]
            params = {"name": np.full(len(numbers), name == "other")}
            return Learned(logits, np.ones((len(numbers), epochs)), params)

        return lambda seed: learn

    makers = maker("first", 5), maker("other", 9)
    kept, console = KeptFolds(tmp_path, {}), Console(quiet=True)
    folds = pairs, "loso", (3,), (0.1,), kept, console
    found = cross_validate(makers[0], *folds, others=makers[1:])
    for name, own in (("first", [0, 2, 4]), ("other", [1, 3, 5])):
        (everybody, inner), (numbers, train) = asked[name]
        assert everybody == list(range(6)) and numbers == own
        tested = np.arange(18) // 3 == np.arange(6)[:, None]
        assert not (inner & tested).any() and not (train & tested[own]).any()
        assert (inner.sum(1) < 15).all() and (train.sum(1) == 15).all()
    chosen = found.chosen
    assert chosen.columns.tolist() == ["seed", "fold", "weight_decay", "learner"]
    assert chosen["learner"].tolist() == [0, 1] * 3 and set(chosen["weight_decay"]) == {0.1}
    assert found.curves.groupby("fold", sort=False)["epoch"].max().tolist() == [5, 9] * 3
    again = cross_validate(makers[0], *folds, others=makers[1:])
    pd.testing.assert_frame_equal(again.chosen, chosen)
    assert len(asked["first"]) == 2, "all is kept"
    assert not fit_all(makers[0], pairs, 3, (0.1,), makers[1:])["name"]
    with pytest.raises(UserError, match="trains on 1 subject; .* weight decays, learning rates or"):
        check_folds(people(2, 3), "loso", (3,), (0.1,), learners=2)
