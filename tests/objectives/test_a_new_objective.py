"""A pretraining method is one new file: it trains, stops, goes on, and nothing else is touched."""

import json

import jax
import numpy as np
import pytest
from conftest import fresh_state, step_of, tiny_config, to_dict, write_config_file

from mubert_jax import objectives
from mubert_jax.cli import main
from mubert_jax.config import build
from mubert_jax.errors import UserError
from mubert_jax.objectives import make_objective
from mubert_jax.training.checkpoints import load_weights
from mubert_jax.training.writers import read_metrics

BLURRED = '''
"""Frames from their blurred selves, by one linear layer; its EMA is kept beside."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import optax

from mubert_jax.training.objective import Objective
from mubert_jax.models.images import normalise


@dataclass(frozen=True)
class Options:
    momentum: float = 0.5


class Blurred(Objective):
    Options = Options
    panels = {"error": {"error": "MSE"}}

    def init(self, key):
        return {"colour": jnp.eye(3) + 0.1 * jax.random.normal(key, (3, 3))}

    def extra(self, params):
        return {"ema": params["colour"]}

    def views(self, key, batch):
        keys = jax.vmap(lambda index: jax.random.fold_in(key, index))(batch["index"])
        noise = jax.vmap(lambda key: jax.random.normal(key, (3,)))(keys)
        frame = normalise(batch["current"])
        return {"frame": frame, "seen": frame + 0.1 * noise[:, None, None]}

    def loss(self, params, extra, views, progress):
        error = jnp.mean(jnp.square(views["seen"] @ params["colour"] - views["frame"]))
        return error, ({"error": error}, {})

    def after_update(self, params, extra, statistics, progress):
        step = 1 - self.options.momentum
        return {"ema": optax.incremental_update(params["colour"], extra["ema"], step)}
'''


@pytest.fixture
def blurred(drop):
    """The file beside the objectives, and a config that names it."""
    drop(objectives, "blurred", BLURRED)
    return lambda **options: tiny_config(
        objective__name="blurred", objective__options=options, training__steps=4
    )


def test_it_trains_and_goes_on(blurred, frames_set, tmp_path):
    config = write_config_file(tmp_path / "config.py", blurred(momentum=0.25))
    run = tmp_path / "run"
    start = ["pretrain", f"--config={config}", f"--workdir={run}"]
    start += [f"--config.data.path={frames_set}", "--config.runtime.checkpoint_every=2"]
    assert main(start) == 0
    rows = read_metrics(run)
    assert [row["step"] for row in rows] == [1, 2, 3, 4] and {"error", "loss"} <= rows[0].keys()
    _, weights = load_weights(run)
    assert weights.params.keys() == {"colour"} and weights.extra.keys() == {"ema"}
    for leaf in jax.tree.leaves(weights.params):
        assert not np.array_equal(leaf, weights.extra["ema"])
    assert (run / "training.png").stat().st_size > 5_000
    kept = json.loads((run / "config.json").read_text())
    assert kept["objective"] == {"name": "blurred", "options": {"momentum": 0.25}}
    assert main(start) == 0, "a finished run does nothing"


def test_another_option_is_another_run(blurred, frames_set, tmp_path, capsys):
    run = tmp_path / "run"
    for momentum, code in ((0.25, 0), (0.75, 2)):
        config = write_config_file(tmp_path / "config.py", blurred(momentum=momentum))
        start = ["pretrain", f"--config={config}", f"--workdir={run}"]
        assert main([*start, f"--config.data.path={frames_set}"]) == code
    assert "objective.options.momentum (0.25 in the checkpoint" in capsys.readouterr().err


def test_an_option_is_overridden_from_the_command_line(blurred, frames_set, tmp_path):
    config = write_config_file(tmp_path / "config.py", blurred(momentum=0.25))
    run = tmp_path / "run"
    start = ["pretrain", f"--config={config}", f"--workdir={run}"]
    start += [f"--config.data.path={frames_set}", "--config.objective.options.momentum=0.5"]
    assert main(start) == 0
    kept = json.loads((run / "config.json").read_text())
    assert kept["objective"]["options"] == {"momentum": 0.5}


def test_what_it_does_not_read_ties_it_to_nothing(blurred):
    """Blocks of 16 patches do not fit into 16; whoever swaps none does not care."""
    config = to_dict(blurred())
    config["swapping"]["min_block"] = 16
    assert build(config).objective.name == "blurred"
    with pytest.raises(UserError, match="swapping.min_block is 16"):
        build(config | {"objective": {"name": "micron_bert"}})


def test_what_it_does_not_read_is_refused(blurred, frames_set, tmp_path, capsys):
    config = write_config_file(tmp_path / "config.py", blurred())
    start = ["pretrain", f"--config={config}", f"--workdir={tmp_path / 'run'}"]
    assert main([*start, "--config.loss.reconstruction_weight=2"]) == 2
    said = capsys.readouterr().err
    assert "it is read only where config.objective.name is 'micron_bert'" in said


@pytest.mark.parametrize(
    "objective, said",
    [
        ({"name": "micron_berd"}, "did you mean 'micron_bert'?"),
        ({"options": {"momentun": 1.0}}, "unknown key config.objective.options.momentun"),
    ],
)
def test_an_objective_that_is_not_there(objective, said, tmp_path, frames_set, capsys):
    values = to_dict(tiny_config())
    values["objective"] |= objective
    values["data"]["path"] = str(frames_set)
    config = tmp_path / "config.py"
    config.write_text(
        "from mubert_jax.config import default_config\n\n\ndef get_config():\n"
        f"    config = default_config()\n    config.update({values!r})\n    return config\n"
    )
    assert main(["pretrain", f"--config={config}", f"--workdir={tmp_path / 'run'}"]) == 2
    assert said in capsys.readouterr().err and not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_term_without_weight_costs_nothing(noise_batch):
    """The decoder is in no gradient and in no product of the program."""

    def flops_of(weight):
        config = tiny_config(
            model__depth=1,
            loss__agreement="none",
            loss__expectation_weight=1.0,
            loss__reconstruction_weight=weight,
        )
        state = jax.eval_shape(lambda: fresh_state(config))
        program = jax.jit(step_of(config)).lower(state, noise_batch).compile()
        return program.cost_analysis()["flops"], make_objective(config).flops_per_pair()

    without, with_decoder = flops_of(0.0), flops_of(1.0)
    assert without[0] < 0.9 * with_decoder[0] and without[1] < 0.9 * with_decoder[1]
