"""`--config.KEY VALUE` is `--config.KEY=VALUE`, in every command that reads a config."""

import pytest

from mubert_jax.cli import main
from mubert_jax.cli.overrides import take_overrides
from mubert_jax.config_files import load_config, override_config
from mubert_jax.errors import UserError


@pytest.mark.parametrize(
    "words, rest, overrides",
    [
        (["v", "--config.a.b=3"], ["v"], ["--config.a.b=3"]),
        (["v", "--config.a.b", "3"], ["v"], ["--config.a.b=3"]),
        (["--config.a", "1", "--config.b", "2", "v"], ["v"], ["--config.a=1", "--config.b=2"]),
        (["v", "--config.a", "-1", "w"], ["v", "w"], ["--config.a=-1"]),
        (["v", "--config.a", "-.5e-3"], ["v"], ["--config.a=-.5e-3"]),
        (["v", "--config.a", "-inf"], ["v"], ["--config.a=-inf"]),
        (["v", "--config.a", "(-1, 1, 1)"], ["v"], ["--config.a=(-1, 1, 1)"]),
        (["v", "--config.a", "-1,1,1"], ["v"], ["--config.a=-1,1,1"]),
        (["v", "--config.a", "x=y"], ["v"], ["--config.a=x=y"]),
        (["v", "--config.a", ""], ["v"], ["--config.a="]),
        (["v", "--config.a="], ["v"], ["--config.a="]),
        (["v", "--config.a"], ["v"], ["--config.a"]),
        (["v", "--config.a", "--steps", "3"], ["v", "--steps", "3"], ["--config.a"]),
        (["v", "--config.a", "--config.b=1"], ["v"], ["--config.a", "--config.b=1"]),
        (["v", "--config.a", "-h"], ["v", "-h"], ["--config.a"]),
        (["v", "--config", "f.py", "-x", "y"], ["v", "--config", "f.py", "-x", "y"], []),
    ],
    ids=str,
)
def test_overrides_are_taken_out_of_the_words(words, rest, overrides):
    assert take_overrides(words) == (rest, overrides)


TAKING = {
    "pretrain": ["--config=configs/demo.py", "--workdir=W"],
    "finetune": ["--config=configs/finetune.py", "--workdir=W"],
    "import": ["--input=tests/parity/tiny_weights.safetensors", "--workdir=W"],
    "ablate": ["--configs", "configs/demo.py", "configs/synthetic.py", "--workdir=W"],
    "bench step": [],
    "bench input": [],
}


def said(capsys, *words):
    capsys.readouterr()
    assert main([*words]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1, error
    return error


@pytest.mark.parametrize("command", TAKING)
def test_every_command_takes_both_and_says_where_a_value_is_missing(command, tmp_path, capsys):
    flags = [word.replace("=W", f"={tmp_path / 'run'}") for word in TAKING[command]]
    for words in (["--config.model.image_size=-100"], ["--config.model.image_size", "-100"]):
        line = said(capsys, *command.split(), *words, *flags)
        assert "config.model.image_size is -100; it must be positive" in line
    line = said(capsys, *command.split(), *flags, "--config.model.image_size")
    assert line.endswith(
        "--config.model.image_size has no value; write --config.model.image_size=VALUE\n"
    )
    assert not (tmp_path / "run").exists()


def test_values_as_they_arrive():
    _, overrides = take_overrides(
        "--config.runtime.mesh (-1,1,1) --config.data.delta (2,3) --config.training.seed -7 "
        "--config.recognition.seeds 4,5 --config.model.remat --config.model.poi.enabled False "
        "--config.optimizer.learning_rate 1e-3 --config.recognition.protocol 5-fold".split()
    )
    config = load_config("configs/synthetic.py", overrides)
    assert config.runtime.mesh == (-1, 1, 1) and config.data.delta == (2, 3)
    assert config.training.seed == -7 and config.recognition.seeds == (4, 5)
    assert config.model.remat and not config.model.poi.enabled
    assert config.optimizer.learning_rate == 1e-3 and config.recognition.protocol == "5-fold"


def test_keys_of_an_open_section_need_not_be_in_the_file():
    _, overrides = take_overrides(
        "--config.objective.options.momentum .5 --config.recognition.options.layers (8,4) "
        "--config.recognition.options.pool max --config.evaluation.motion_maps.every=5".split()
    )
    config = load_config("configs/synthetic.py", overrides)
    assert config.objective.options == {"momentum": 0.5}
    assert config.recognition.options == {"layers": (8, 4), "pool": "max"}
    assert config.evaluation["motion_maps"]["every"] == 5
    with pytest.raises(UserError, match="evaluation"):
        override_config({"evaluation": {"motion_maps": 3}}, overrides[-1:])


def test_a_command_that_reads_no_config_takes_none(capsys):
    line = said(capsys, "perceive", "--output=maps.png", "--config.model.dim", "3")
    assert "unknown argument --config.model.dim=3" in line
