"""Every clip is tested once, by what never saw its subject; what was finished is kept."""

import dataclasses
import errno
import os
from functools import partial
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from conftest import tiny_config
from rich.console import Console

from mubert_jax.data.folder import subjects_of
from mubert_jax.data.people import SYNTHETIC, Person
from mubert_jax.errors import UserError
from mubert_jax.interop.opening import open_trained
from mubert_jax.models.images import normalise
from mubert_jax.models.micron_bert import build_model, init_params
from mubert_jax.recognition import contamination, finetune
from mubert_jax.recognition import inputs as recognition_inputs
from mubert_jax.recognition.backbone import Backbone
from mubert_jax.recognition.cross_validation import (
    Learned,
    check_folds,
    cross_validate,
    fit_all,
)
from mubert_jax.recognition.inputs import Inputs
from mubert_jax.recognition.kept_folds import KeptFolds
from mubert_jax.recognition.metrics import score
from mubert_jax.recognition.networks import make_network
from mubert_jax.recognition.networks.linear_probe import LinearProbe
from mubert_jax.recognition.networks.micron_bert import FullFineTuning
from mubert_jax.training.contamination import Seen

QUIET = Console(quiet=True)
CONFIG = tiny_config(
    loss__agreement="none",
    model__recognizer__classes=3,
    model__recognizer__reads="movement",
    recognition__epochs=100,
    recognition__copies=1,
    recognition__seeds=(0, 1),
    recognition__weight_decay=(0.001, 0.01),
)


@pytest.fixture(scope="module")
def backbone():
    model = build_model(CONFIG)
    key = jax.random.key(CONFIG.training.seed)
    return Backbone(model, jax.jit(lambda: init_params(model, key))())


def crossed(config, backbone, pairs, workdir):
    """As `mubert finetune` puts it together."""
    network, recognition = make_network(config, backbone), config.recognition
    kept = KeptFolds(workdir, finetune._plan(config, backbone, pairs))
    inputs = Inputs(pairs, backbone, recognition, workdir / "inputs")
    folds = recognition.protocol, recognition.seeds, recognition.weight_decay
    make_learner, at_once = partial(network.learner, inputs), network.folds_at_once
    return cross_validate(make_learner, pairs, *folds, kept, QUIET, at_once).predictions


class Pairs(SimpleNamespace):
    """As `LabelledPairs`, drawn."""

    def __len__(self):
        return len(self.label)


def pairs(planted=True):
    """8 subjects × 6 clips; if `planted`, where a clip moves is its class."""
    random = np.random.default_rng(0)
    label = np.tile([0, 0, 0, 1, 1, 2], 8)
    onset = random.integers(40, 215, (48, 32, 32, 3)).astype(np.uint8)
    apex = onset.copy()
    for row, place in enumerate(label if planted else random.integers(0, 3, 48)):
        rows = slice(2 + 10 * place, 10 + 10 * place)
        apex[row, rows, 8:24] = np.roll(onset[row, rows, 8:24], 2, axis=1)
    subject = [f"made/s{number // 6}" for number in range(48)]
    return Pairs(
        onset=onset,
        apex=apex,
        label=label,
        classes=["low", "middle", "high"],
        subject=subject,
        clip=[f"c{number % 6}" for number in range(48)],
        dataset=["made"] * 48,
    )


@pytest.fixture(scope="module")
def run(backbone, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("run")
    return workdir, crossed(CONFIG, backbone, pairs(), workdir)


def uf1(predictions):
    return score(predictions.truth, predictions.prediction, predictions.classes).uf1


def test_a_planted_signal_is_found_and_every_clip_is_tested_once_a_seed(run):
    _, predictions = run
    assert uf1(predictions) > 0.8
    table = predictions.table
    assert len(table) == 96 and not table.duplicated(["seed", "subject", "clip"]).any()
    assert (table["fold"] == table["subject"]).all()


def test_labels_without_a_signal_give_chance(backbone, tmp_path):
    found = crossed(CONFIG, backbone, pairs(planted=False), tmp_path / "run")
    assert uf1(found) < 0.5


def test_finished_folds_are_kept_and_the_others_go_on(run, backbone, monkeypatch):
    workdir, before = run
    (workdir / "folds" / "seed1-fold003.npz").unlink()
    learnt, learner = [], LinearProbe.learner

    def watched(*arguments):
        learn = learner(*arguments)
        return lambda folds, *rest: (learnt.extend(folds), learn(folds, *rest))[1]

    def forbidden(*arguments):
        raise AssertionError("what is read lies on the disk")

    monkeypatch.setattr(LinearProbe, "learner", watched)
    monkeypatch.setattr(Inputs, "_computed", forbidden)
    after = crossed(CONFIG, backbone, pairs(), workdir)
    assert set(learnt) == {3}
    assert (after.table["prediction"] == before.table["prediction"]).all()
    (workdir / "folds" / "seed1-fold003.npz").write_bytes(b"half")
    with pytest.raises(UserError, match="fold003.npz is damaged; delete it"):
        crossed(CONFIG, backbone, pairs(), workdir)
    (workdir / "folds" / "seed1-fold003.npz").unlink()


@pytest.mark.parametrize("code", [errno.EIO, errno.EACCES])
def test_a_fold_that_cannot_be_read_now_is_not_called_damaged(code, run, backbone, monkeypatch):
    def refuse(path):
        raise OSError(code, os.strerror(code), str(path))

    monkeypatch.setattr(np, "load", refuse)
    with pytest.raises(OSError, match=os.strerror(code)):
        crossed(CONFIG, backbone, pairs(), run[0])


def test_folds_of_a_learning_backbone_are_kept_however_many_are_one_program(backbone, tmp_path):
    """The learner is replaced by one that knows the truth: groups and files are what is tested."""
    seen = []

    def oracle(network, inputs, seed):
        def learn(folds, train, decays, watched=None):
            seen.append(list(folds))
            for fold, marks in zip(folds, train, strict=True):
                assert marks.any() and not marks[6 * fold : 6 * fold + 6].any(), "a leak"
            logits = np.tile(10.0 * np.eye(3)[inputs.label], (len(folds), 1, 1))
            return Learned(logits, np.ones((len(folds), 2)), {})

        return learn

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FullFineTuning, "learner", oracle)
        for at_once, lost in ((3, ()), (2, (1, 2, 5))):
            seen.clear()
            for number in lost:
                (tmp_path / "run" / "folds" / f"seed0-fold{number:03d}.npz").unlink()
            config = set_recognition(network="micron_bert", folds_at_once=at_once)
            found = crossed(config, backbone, pairs(), tmp_path / "run")
            assert {number for group in seen for number in group} == set(lost or range(8))
            assert max(map(len, seen)) == at_once
    assert uf1(found) == 1


def set_recognition(**keys):
    return dataclasses.replace(CONFIG, recognition=dataclasses.replace(CONFIG.recognition, **keys))


def test_rates_and_epochs_are_varied_in_all_combinations():
    asked = set_recognition(
        learning_rate=0.01, epochs=7, learning_rate_factors=(1.0, 20.0), epochs_factors=(0.01, 1.0)
    )
    found = [(one.learning_rate, one.epochs) for one in finetune.variants(asked.recognition)]
    assert found == [(0.01, 1), (0.01, 7), (0.2, 1), (0.2, 7)]


def test_a_loss_that_is_not_finite_is_no_finished_fold(backbone, tmp_path):
    config = set_recognition(learning_rate=float("inf"), weight_decay=(0.1,))
    with pytest.raises(UserError, match="not finite; lower config.recognition.learning_rate"):
        crossed(config, backbone, pairs(), tmp_path / "run")
    assert not list((tmp_path / "run" / "folds").iterdir())


def test_another_config_or_other_pairs_are_refused(run, backbone):
    workdir, _ = run
    with pytest.raises(UserError, match="another recognition.epochs.*100 there, 7 now"):
        crossed(set_recognition(epochs=7), backbone, pairs(), workdir)
    renamed = pairs()
    renamed.subject[5], renamed.subject[6] = renamed.subject[6], renamed.subject[5]
    for other in (pairs(planted=False), renamed):
        with pytest.raises(UserError, match="another pairs and pretrained weights"):
            crossed(CONFIG, backbone, other, workdir)


def test_the_recognizer_to_keep_names_all_clips(backbone):
    data, network = pairs(), make_network(CONFIG, backbone)
    inputs = Inputs(data, backbone, CONFIG.recognition)
    trained = fit_all(partial(network.learner, inputs), data, 0, CONFIG.recognition.weight_decay)
    kept = network.weights(trained)
    shapes = [jax.tree.map(np.shape, x) for x in (kept, backbone.params)]
    assert shapes[0] == shapes[1]
    logits = backbone.model.apply(
        {"params": kept}, normalise(data.onset), normalise(data.apex), method="logits"
    )
    assert (np.asarray(logits).argmax(-1) == data.label).mean() > 0.9


def test_a_backbone_that_saw_a_tested_subject_is_refused():
    known, stranger = Person.of("casme2", "sub01"), Person.of("casme2", "sub99")
    tested = {"casme2/sub01": known, "casme2/sub99": stranger}
    seen = Seen.of([known, Person.of("smic", "s99")])
    with pytest.raises(UserError, match="1 of the 2 tested subjects \\(casme2/sub01 first"):
        contamination.stamps(seen, "runs/mine", tested, allow=False)
    (stamp,) = contamination.stamps(seen, "runs/mine", tested, allow=True)
    assert stamp.startswith("LEAK")
    assert contamination.stamps(seen, "runs/mine", {"casme2/sub99": stranger}, allow=False) == []
    assert contamination.stamps(Seen(), "", tested, allow=False) == []
    later = seen | Seen(unknown=("official.pth",))
    (unknown,) = contamination.stamps(later, "runs/mine", {"casme2/sub99": stranger}, allow=False)
    assert unknown.startswith("NOT CHECKED: official.pth, which runs/mine comes from")
    assert len(contamination.stamps(later, "runs/mine", tested, allow=True)) == 2


def test_people_of_data_without_a_name_are_a_doubt_that_names_both_sides(trained_run, frames_set):
    seen = open_trained(str(trained_run)).seen
    (name, *_) = subjects_of(frames_set)
    tested = {f"mine/{name}": Person.of("mine", name), "mine/b": Person.of("mine", "b")}
    (stamp,) = contamination.stamps(seen, "runs/mine", tested, allow=False)
    assert stamp.startswith("POSSIBLE CONTAMINATION: runs/mine")
    assert (
        f"1 of the 2 tested subjects, by their names: mine/{name} may be '{name}' of the" in stamp
    )


def test_the_shipped_weights_know_synthetic_people_alone():
    shipped = open_trained("shipped").seen
    real = {f"smic/s{n:02d}": Person.of("smic", f"s{n:02d}") for n in range(1, 21)}
    real |= {name: Person.of("mine", name) for name in ("s1", "S01", "s000001", "1")}
    assert contamination.stamps(shipped, "shipped", real, allow=False) == []
    synthetic = {"controlled/s000007": Person.elsewhere(f"{SYNTHETIC}0", "s000007")}
    with pytest.raises(UserError, match="shipped was trained on 1 of the 1"):
        contamination.stamps(shipped, "shipped", synthetic, allow=False)


@pytest.mark.parametrize("backend, at_once, found", [("cpu", 0, 1), ("gpu", 0, 8), ("cpu", 7, 7)])
def test_how_many_folds_are_one_program(backbone, monkeypatch, backend, at_once, found):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    full = set_recognition(network="micron_bert", folds_at_once=at_once)
    assert make_network(full, backbone).folds_at_once == found
    assert make_network(CONFIG, backbone).folds_at_once == 0, "all"


def test_only_who_is_tested_counts(backbone):
    data = pairs()
    data.dataset = ["a"] * 24 + ["b"] * 24
    for protocol, tested in (("cross:b", [False] * 24 + [True] * 24), ("loso", [True] * 48)):
        assert check_folds(data, protocol, (0, 1), (0.1,)).tolist() == tested


def test_one_subject_to_learn_from_is_too_few_to_choose_by_and_the_remedy_is_named():
    data = pairs()
    data.subject = ["made/s0"] * 24 + ["made/s1"] * 24
    with pytest.raises(UserError, match="--config.recognition.weight_decay=0.01"):
        check_folds(data, "loso", (0, 1), (0.001, 0.01))
    assert check_folds(data, "loso", (0, 1), (0.01,)).all()


@pytest.mark.parametrize("reads", ["farneback/face", "flow_maps/farneback", "flow_maps/pixels"])
def test_other_weights_of_a_motion_map_are_another_run(backbone, monkeypatch, reads):
    drawn, known, plans = pairs(), recognition_inputs.motion_map("farneback"), []
    for version in ("", "small", "large", "large"):
        newer = dataclasses.replace(known, version=lambda version=version: version)
        monkeypatch.setattr(recognition_inputs, "motion_map", lambda name, newer=newer: newer)
        plans.append(finetune._plan(CONFIG, backbone, drawn, (reads,)))
    assert plans[0] == finetune._plan(CONFIG, backbone, drawn)
    assert plans[0] != plans[1] != plans[2] == plans[3]
