"""What a training is watched by: measured when due, written beside the rest, the best one named."""

import cv2
import jax
import numpy as np
import pytest
from conftest import tiny_config, write_config_file

from mubert_jax import evaluators
from mubert_jax.cli import main
from mubert_jax.errors import UserError
from mubert_jax.evaluators import make_evaluations
from mubert_jax.objectives import make_objective
from mubert_jax.training.evaluator import Evaluation
from mubert_jax.training.writers import read_metrics

WEIGHT = '''
"""The mean size of a weight."""

from dataclasses import dataclass

import jax
import numpy as np

from mubert_jax.training.evaluator import Evaluator


@dataclass(frozen=True)
class Options:
    power: int = 1


class WeightSize(Evaluator):
    Options = Options
    headline = "mean"
    higher_is_better = False

    def __init__(self, options, config, objective):
        self.power = options.power

    def __call__(self, params, extra):
        sizes = [np.mean(np.abs(leaf)) ** self.power for leaf in jax.tree.leaves(params)]
        return {"mean": np.mean(sizes), "largest": np.max(sizes)}
'''


@pytest.fixture
def weight_size(drop):
    drop(evaluators, "weight_size", WEIGHT)


@pytest.fixture
def pretrain(tmp_path, frames_set):
    """(evaluation, further overrides) -> the exit code of a run of 5 steps."""

    def start(evaluation, *overrides):
        config = tiny_config(
            training__steps=5, runtime__log_every=3, loss__agreement="none", evaluation=evaluation
        )
        file = write_config_file(tmp_path / "config.py", config)
        arguments = [f"--config={file}", f"--workdir={tmp_path / 'run'}"]
        return main(["pretrain", *arguments, f"--config.data.path={frames_set}", *overrides])

    return start


def test_one_new_file_is_measured_when_it_is_due(weight_size, pretrain, tmp_path):
    assert pretrain({"weight_size": {"every": 2, "power": 2}}) == 0
    rows = {row["step"]: row for row in read_metrics(tmp_path / "run")}
    measured = [step for step, row in rows.items() if "weight_size/mean" in row]
    assert measured == [2, 4, 5], "every second step, and the last"
    assert rows.keys() == {1, 2, 3, 4, 5} and all("loss" in row for row in rows.values())
    assert rows[4]["weight_size/largest"] > rows[4]["weight_size/mean"] > 0
    table = (tmp_path / "run" / "metrics.csv").read_text().splitlines()
    assert "weight_size/mean" in table[0].split(",")
    assert cv2.imread(str(tmp_path / "run" / "training.png")) is not None


@pytest.mark.slow
def test_a_restart_may_be_watched_by_something_else(weight_size, pretrain, tmp_path):
    assert pretrain({}) == 0
    assert pretrain({"weight_size": {"every": 1}}) == 0


@pytest.mark.slow
def test_how_often_is_overridden_from_the_command_line(weight_size, pretrain, tmp_path):
    assert pretrain({"weight_size": {"every": 2}}, "--config.evaluation.weight_size.every=4") == 0
    rows = read_metrics(tmp_path / "run")
    assert [row["step"] for row in rows if "weight_size/mean" in row] == [4, 5]


def test_the_best_step_is_the_highest_or_the_lowest():
    class Lowest:
        headline, higher_is_better = "loss", False

    rows = [{"step": 1, "x/loss": 3.0}, {"step": 2}, {"step": 3, "x/loss": 1.0}, {"step": 4}]
    assert Evaluation("x", 1, Lowest()).best(rows)["step"] == 3
    Lowest.higher_is_better = True
    assert Evaluation("x", 1, Lowest()).best(rows)["step"] == 1
    assert Evaluation("y", 1, Lowest()).best(rows) is None
    broken = [{"step": 1, "x/loss": float("nan")}, *rows]
    assert Evaluation("x", 1, Lowest()).best(broken)["step"] == 1 and len(broken) == 5
    assert Evaluation("x", 1, Lowest()).best(broken[:1]) is None


@pytest.mark.parametrize(
    "evaluation, said",
    [
        ({"validation_los": {"every": 1}}, "did you mean 'validation_loss'?"),
        ({"validation_loss": {"every": 0, "path": "x"}}, "validation_loss.every is 0"),
        ({"validation_loss": {"path": "x"}}, "validation_loss.every is None"),
        ({"validation_loss": 3}, "it takes a section"),
        ({"validation_loss": {"every": 1}}, "validation_loss.path is empty"),
        ({"linear_probe": {"every": 1, "pth": "x"}}, "did you mean 'path'?"),
        ({"linear_probe": {"every": 1}}, "linear_probe.path is empty"),
        ({"motion_maps": {"every": 1, "subjects": 1}}, "subjects"),
        ({"motion_maps": {"every": 1, "condition": "al"}}, "al"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_the_training(
    evaluation, said, pretrain, tmp_path, capsys
):
    assert pretrain(evaluation) == 2
    assert said in capsys.readouterr().err and not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def labelled_set(tmp_path_factory):
    """Pairs of three synthetic people, 32×32."""
    folder = tmp_path_factory.mktemp("labelled") / "pairs"
    people = ["--size=32", "--subjects=3", "--clips=5", "--conditions", "lab"]
    assert main(["prepare", "synthetic", "--classes=5", f"--output={folder}", *people]) == 0
    return folder


def measured(config, seed=0):
    objective = make_objective(config)
    (evaluation,) = make_evaluations(config, objective)
    params = jax.jit(objective.init)(jax.random.key(seed))
    extra = objective.extra(params)
    found = evaluation(params, extra)
    assert found == evaluation(params, extra), "measured again, it is the same"
    return found


def test_the_validation_loss_is_the_objectives_own(frames_set):
    options = {"every": 1, "path": str(frames_set), "pairs": 8}
    found = measured(tiny_config(evaluation={"validation_loss": options}))
    assert found["validation_loss/loss"] == pytest.approx(
        found["validation_loss/reconstruction"] + found["validation_loss/agreement"], rel=1e-5
    )


def test_motion_maps_are_scored_on_strangers():
    config = tiny_config(
        loss__agreement="none",
        evaluation={"motion_maps": {"every": 1, "condition": "clean", "subjects": 3}},
    )
    found = measured(config)
    assert found.keys() == {"motion_maps/auc_in_face", "motion_maps/auc_frame"}
    assert all(0 <= value <= 1 for value in found.values())
    no_dma = tiny_config(
        loss__agreement="none",
        model__dma__kind="none",
        model__poi__enabled=False,
        evaluation={"motion_maps": {"every": 1}},
    )
    with pytest.raises(UserError, match="trains no DMA"):
        make_evaluations(no_dma, make_objective(no_dma))


def test_weights_that_are_not_finite_are_told_by_the_loss(pretrain, labelled_set, capsys):
    probe = {"linear_probe": {"every": 1, "path": str(labelled_set)}}
    assert pretrain(probe, "--config.optimizer.learning_rate=1e30") == 2
    assert "at step 2; the last good checkpoint is kept" in capsys.readouterr().err


def test_a_linear_probe_tests_every_pair(labelled_set):
    options = {"every": 1, "path": str(labelled_set)}
    config = tiny_config(loss__agreement="none", evaluation={"linear_probe": options})
    found = measured(config)
    assert found.keys() == {"linear_probe/uf1"} and np.isfinite(found["linear_probe/uf1"])
