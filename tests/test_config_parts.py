"""What a command does not read of a config is refused, and what is said to be unread is so."""

import dataclasses
import sys

import jax
import pytest
from conftest import fresh_state, step_of, tiny_config, write_config_file

from mubert_jax import config_files, config_parts
from mubert_jax.bench.timed import noise_pairs
from mubert_jax.cli import main
from mubert_jax.config import Config, flatten
from mubert_jax.config_parts import StepPart, keys_of, only, refuse_unread
from mubert_jax.errors import UserError

FINETUNE = ["finetune", "--config=configs/finetune.py", "--config.data.path=absent"]
FULL = ["finetune", "--config=configs/finetune_full.py", "--config.data.path=absent"]
PRETRAIN = ["pretrain", "--config=configs/demo.py", "--config.data.path=absent"]
ABLATE = ["ablate", "--configs", "configs/synthetic.py", "configs/ablations/dino.py"]
IMPORT = ["import", "--input=tests/parity/tiny_weights.safetensors"]
UNREAD = [
    (FINETUNE, "optimizer.learning_rate=5", "did you mean --config.recognition.learning_rate?"),
    (FINETUNE, "optimizer.weight_decay=5", "did you mean --config.recognition.weight_decay?"),
    (FINETUNE, "training.epochs=3", "did you mean --config.recognition.epochs?"),
    (FINETUNE, "training.steps=3", "does not read it"),
    (FINETUNE, "data.delta=(1,2)", "does not read it"),
    (FINETUNE, "runtime.mesh=(1,1,1)", "does not read it"),
    (FINETUNE, "loss.agreement=mse", "does not read it"),
    (FINETUNE, "swapping.ratio=0.3", "only where config.training.init_from is ''"),
    (FINETUNE, "model.dim=64", "only where config.training.init_from is '', and here that is 'sh"),
    (FINETUNE, "model.recognizer.classes=3", "does not read it"),
    (FINETUNE, "model.recognizer.pool=poi", "only where config.model.recognizer.reads is 'dma'"),
    (
        FINETUNE,
        "recognition.layer_decay=0.5",
        "config.recognition.network is not 'linear_probe'",
    ),
    (FULL, "recognition.features=flow", "where config.recognition.network is 'linear_probe'"),
    (PRETRAIN, "recognition.learning_rate=3.", "did you mean --config.optimizer.learning_rate?"),
    (PRETRAIN, "training.epochs=3", "where config.training.steps is 0, and here that is 80"),
    (PRETRAIN, "loss.dino.output_dim=3", "where config.loss.agreement is 'dino'"),
    (PRETRAIN, "model.recognizer.reads=movement", "where config.model.recognizer.classes is not"),
    (ABLATE, "training.seed=3", "did you mean --seeds?"),
    (ABLATE, "loss.contrastive_temperature=3.", "where config.loss.agreement is 'contrastive'"),
    (IMPORT, "optimizer.learning_rate=1.", "does not read it"),
    (IMPORT, "training.init_from=shipped", "does not read it"),
    (["bench", "step"], "training.batch_size=3", "did you mean --batch-size?"),
    (["bench", "step"], "data.path=x", "does not read it"),
    (["bench", "sizes"], "training.steps=3", "did you mean --steps?"),
    (["bench", "devices"], "runtime.mesh=(1,1,1)", "does not read it"),
    (["bench", "checkpoint"], "runtime.log_every=3", "does not read it"),
    (["bench", "folds"], "optimizer.learning_rate=1.", "--config.recognition.learning_rate?"),
    (["bench", "input"], "model.dim=64", "does not read it"),
    (["bench", "perception"], "model.image_size=64", "does not read it"),
    (["bench", "oracle"], "perception.align=ecc", "does not read it"),
]


@pytest.mark.parametrize("command, override, said", UNREAD, ids=lambda x: str(x)[:40])
def test_an_override_that_is_not_read(command, override, said, tmp_path, capsys):
    workdir = [] if command[0] == "bench" else [f"--workdir={tmp_path / 'run'}"]
    assert main([*command, *workdir, f"--config.{override}"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"mubert {command[0]}: --config.{override.split('=')[0]}: ")
    assert said in error and error.count("\n") == 1, error
    assert not (tmp_path / "run").exists()


def test_overrides_that_one_of_several_configs_reads_are_taken():
    with_dino, without = tiny_config(), tiny_config(loss__agreement="mse")
    refuse_unread(config_parts.AblatePart, ["loss.dino.output_dim"], [without, with_dino])
    with pytest.raises(UserError, match="only where"):
        refuse_unread(config_parts.AblatePart, ["loss.dino.output_dim"], [without, without])


def test_a_part_names_keys_of_the_config_and_keeps_them_alone():
    known = flatten(Config())
    for name in dir(config_parts):
        if name.endswith("Part"):
            read = keys_of(getattr(config_parts, name))
            assert read.keys() <= known.keys()
            assert all(c.key in known for conditions in read.values() for c in conditions)
    kept = only(tiny_config(optimizer__learning_rate=5.0), config_parts.FinetunePart)
    assert kept.optimizer == Config().optimizer and kept.model == tiny_config().model
    assert only(tiny_config(), Config) == tiny_config()


def recording(section, seen: set, prefix=""):
    """A copy of a config that notes in `seen` which leaves are read.

    Copying, comparing and hashing as a whole is no reading.
    """

    def read(self, name):
        value = object.__getattribute__(self, name)
        if name in fields and not dataclasses.is_dataclass(value):
            code = sys._getframe(1).f_code
            if code.co_name not in ("__hash__", "__eq__") and "dataclasses" not in code.co_filename:
                seen.add(prefix + name)
        return value

    fields = {field.name for field in dataclasses.fields(section)}
    cls = type(type(section).__name__, (type(section),), {"__getattribute__": read})
    values = {name: getattr(section, name) for name in fields}
    return cls(
        **{
            name: recording(x, seen, f"{prefix}{name}.") if dataclasses.is_dataclass(x) else x
            for name, x in values.items()
        }
    )


@pytest.fixture
def drawn(tmp_path):
    people = ["--subjects=2", "--clips=2", "--size=32", "--frames=8", "--conditions", "clean"]
    out = f"--output={tmp_path / 'drawn'}"
    assert main(["prepare", "synthetic", "--classes=5", out, *people]) == 0
    return tmp_path / "drawn"


# What a command sets itself before it is read.
SET = {
    "finetune": {"model.recognizer.classes"},
    "step": {"training.batch_size", "runtime.mesh", "runtime.sharding"},
}


@pytest.mark.parametrize("command", ["finetune", "step", "input"])
def test_no_command_reads_a_key_that_its_part_does_not_name(
    command, tmp_path, frames_set, request, monkeypatch
):
    seen, parts = set(), []

    def recorded(config, part):
        parts.append(part)
        return recording(only(config, part), seen)

    monkeypatch.setattr(config_files, "only", recorded)
    # It reads everything.
    monkeypatch.setattr("mubert_jax.recognition.finetune.check", lambda config: None)
    values = tiny_config(
        loss__agreement="none",
        training__steps=1,
        recognition__epochs=2,
        recognition__copies=0,
        recognition__seeds=(0,),
        recognition__weight_decay=(0.01,),
    )
    config = f"--config={write_config_file(tmp_path / 'config.py', values)}"
    run = [config, f"--workdir={tmp_path / 'run'}"]
    if command == "finetune":
        start = f"--config.training.init_from={request.getfixturevalue('trained_run')}"
        data = f"--config.data.path={request.getfixturevalue('drawn')}"
        call = ["finetune", *run, data, start]
    elif command == "step":
        call = ["bench", "step", config, "--batch-size=2", "--steps=1"]
    else:
        call = ["bench", "input", config, f"--data={frames_set}", "--seconds=0.05"]
    seen.clear()
    assert main(call) == 0
    assert seen and seen <= keys_of(parts[-1]).keys() | SET.get(command, set())


@pytest.mark.parametrize(
    "overrides",
    [
        {"loss__agreement": "none"},
        {"loss__agreement": "mse", "loss__warp_weight": 1.0},
        {"loss__agreement": "dino"},
        {
            "loss__agreement": "contrastive",
            "model__dma__reads": "pixels",
            "model__poi__enabled": False,
        },
        {"model__dma__initial": "xavier", "model__recognizer__classes": 3},
    ],
    ids=str,
)
def test_a_key_is_read_by_a_step_where_its_conditions_hold_and_nowhere_else(overrides):
    config, seen = tiny_config(**overrides), set()
    recorded = recording(config, seen)
    jax.eval_shape(
        lambda batch: step_of(recorded)(fresh_state(recorded), batch), noise_pairs(4, 32)
    )
    known = flatten(config)
    sections = ("swapping.", "augmentation.", "loss.", "optimizer.", "model.dma.", "model.poi.")
    keys = {key: of for key, of in keys_of(StepPart).items() if key.startswith(sections)}
    said = {key for key, of in keys.items() if all(c.holds(known) for c in of)}
    assert said <= seen
    # Multiplied by 0, and handed on for no crops at all.
    unused = {"loss.agreement_weight", "loss.crop.local_size", "loss.crop.local_scale"}
    unused |= {"loss.crop.global_scale"} if overrides.get("loss__agreement") == "none" else set()
    assert (seen - said) & keys.keys() <= unused
