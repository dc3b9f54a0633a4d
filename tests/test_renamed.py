"""Old names are accepted with one line that says the new one; stored ones without a word."""

import json
from pathlib import Path

import pytest
from conftest import TINY, tiny_config, write_config_file

from mubert_jax import discovery, renamed
from mubert_jax.cli import VERBS, benches, main
from mubert_jax.config import Config, build, default_config, flatten, to_dict
from mubert_jax.config_files import key_of, load_config
from mubert_jax.data.sets import available_sets
from mubert_jax.errors import UserError
from mubert_jax.recognition import kept_folds

CONFIGS = Path(__file__).parent.parent / "configs"
SAID = "; the old name is accepted in this release only\n"


@pytest.fixture(autouse=True)
def nothing_is_said_yet():
    renamed._say.cache_clear()


@pytest.fixture
def tables(monkeypatch):
    """Old names of things that are there."""
    monkeypatch.setattr(
        renamed,
        "COMMANDS",
        {
            "render": "perceive",
            "bench top": "bench oracle",
            "prepare made-up": "prepare synthetic",
        },
    )
    monkeypatch.setattr(renamed, "FLAGS", {"finetune --permit": "--allow-contamination"})
    monkeypatch.setattr(
        renamed,
        "KEYS",
        {
            "loss.shove_weight": "loss.warp_weight",
            "loss.shove": "loss.warp",
            "loss.shove.spots": "loss.warp.places",
            "pace": "optimizer.learning_rate",
        },
    )
    monkeypatch.setattr(renamed, "VALUES", {"model.dma.kind": {"diag": "diagonal", "off": "none"}})
    monkeypatch.setattr(renamed, "FILES", {"configs/small.py": "configs/synthetic.py"})


def known_keys():
    leaves = flatten(Config())
    sections = {key.rsplit(".", i)[0] for key in leaves for i in range(1, key.count(".") + 1)}
    return {*leaves, *sections}


def test_the_tables_lead_from_what_is_gone_to_what_is_there():
    commands = {*VERBS, *(f"bench {name}" for name in discovery.names(benches))}
    commands |= {f"prepare {name}" for name in available_sets()}
    assert not renamed.COMMANDS.keys() & commands
    assert commands.issuperset(renamed.COMMANDS.values())
    assert all(renamed.key(key) == key for key in known_keys())
    assert known_keys().issuperset(renamed.KEYS.values())
    for key, table in renamed.VALUES.items():
        for old, new in table.items():
            *sections, name = key.split(".")
            nested = {name: new}
            for section in reversed(sections):
                nested = {section: nested}
            try:
                build(nested)
            except UserError as error:
                assert "it takes one of" not in str(error)
            assert old != new
    for old, new in renamed.FILES.items():
        assert not (CONFIGS.parent / old).exists() and (CONFIGS.parent / new).is_file()


def test_a_verb_a_source_a_bench_and_a_flag(tables, capsys, tmp_path):
    out = f"--output={tmp_path / 'out'}"
    for words, old, new in (
        (["render", out], "mubert render", "mubert perceive"),
        (["bench", "top", "--config.x=1"], "mubert bench top", "mubert bench oracle"),
        (["prepare", "made-up", out, "--classes=3"],
         "mubert prepare made-up", "mubert prepare synthetic"),
        (["prepare", out, "made-up", "--classes=3"],
         "mubert prepare made-up", "mubert prepare synthetic"),
        (["finetune", "--permit", "--config=configs/finetune.py", "--workdir=x", "--config.y=1"],
         "--permit", "--allow-contamination"),
    ):  # fmt: skip
        renamed._say.cache_clear()
        assert main(words) == 2
        first, refusal = capsys.readouterr().err.splitlines(keepends=True)
        assert first == f"mubert: {old} is called {new} now{SAID}"
        assert refusal.startswith(f"mubert {new.split()[1] if ' ' in new else 'finetune'}: ")


def test_a_key_in_an_override(tables, capsys):
    config = load_config(
        CONFIGS / "demo.py",
        ["--config.loss.shove_weight=3", "--config.pace=0.5", "--config.loss.shove.noise=(1., 2.)",
         "--config.loss.shove.spots=7", "--config.model.dma.kind=diag"],
    )  # fmt: skip
    assert config.loss.warp_weight == 3.0 and config.optimizer.learning_rate == 0.5
    assert config.loss.warp.noise == (1.0, 2.0) and config.loss.warp.places == 7
    assert config.model.dma.kind == "diagonal"
    assert key_of("--config.loss.shove_weight=3") == "loss.warp_weight"
    lines = capsys.readouterr().err.splitlines(keepends=True)
    assert len(lines) == 5
    said = "config.loss.shove.spots is called config.loss.warp.places now"
    assert f"mubert: {said}{SAID}" in lines
    assert any(
        "config.model.dma.kind=diag is called config.model.dma.kind=diag" in x for x in lines
    )


def test_an_old_key_that_a_command_does_not_read_is_refused_by_its_new_name(tables, capsys):
    words = ["--config=configs/finetune.py", "--workdir=absent", "--config.pace=1."]
    assert main(["finetune", *words]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert "config.pace is called config.optimizer.learning_rate now" in first
    assert "--config.optimizer.learning_rate: this command does not read it" in second


OLD_FILE = """
from mubert_jax.config import paper_config


def get_config():
    config = paper_config()
    config.loss.shove_weight = 2.0
    config.loss.shove_weight *= 2
    config.loss.shove.spots = 5
    config.loss["shove"].noise = (1.0, 2.0)
    config.pace = config.pace * 2
    config.model.dma.kind = "diag"
    return config
"""


def test_keys_and_values_in_a_config_file(tables, capsys, tmp_path):
    path = tmp_path / "old.py"
    path.write_text(OLD_FILE)
    config = load_config(path, ["--config.loss.warp.sigma=(0.1, 0.2)"])
    assert config.loss.warp_weight == 4.0 and config.loss.warp.places == 5
    assert config.loss.warp.noise == (
        1.0,
        2.0,
    ) and config.loss.warp.sigma == (0.1, 0.2)
    assert config.optimizer.learning_rate == 2e-4 and config.model.dma.kind == "diagonal"
    said = capsys.readouterr().err.splitlines()
    assert len(said) == len(set(said)) and all(line.endswith(SAID.strip()) for line in said)
    assert sum("config.pace is called config.optimizer.learning_rate now" in x for x in said) == 1
    # The command line has the last word.
    assert load_config(path, ["--config.loss.shove_weight=1."]).loss.warp_weight == 1.0
    assert load_config(path, ["--config.loss.warp_weight=1."]).loss.warp_weight == 1.0
    assert capsys.readouterr().err == ""


def test_a_file_that_returns_nothing_but_old_names(tables, capsys, tmp_path):
    path = tmp_path / "old.py"
    values = {"loss": {"shove": {"spots": 2, "drift": 0.1}, "shove_weight": 1.0}, "pace": 0.25}
    path.write_text(
        "import ml_collections\n"
        f"def get_config():\n    return ml_collections.ConfigDict({values})\n"
    )
    config = load_config(path, ["--config.loss.warp.drift=0.2"])
    assert config.loss.warp.places == 2 and config.loss.warp.drift == 0.2
    assert config.loss.warp_weight == 1.0 and config.optimizer.learning_rate == 0.25
    assert len(capsys.readouterr().err.splitlines()) == 4


def test_what_is_not_renamed_is_refused_as_ever(tables, tmp_path, capsys):
    path = tmp_path / "wrong.py"
    path.write_text(OLD_FILE.replace("shove.spots", "warpp.spots"))
    with pytest.raises(UserError, match="line 9, 'config.loss.warpp.spots = 5'"):
        load_config(path, [])
    for wrong in (
        {"los": {"shove": 1}},
        {"loss": 3},
        {"loss": {"warp": 3, "shove": {"spots": 1}}},
    ):
        with pytest.raises(UserError, match="config"):
            build(wrong)
    with pytest.raises(UserError, match="unknown key config.model.dim"):
        build({"model.dim": 3})


def test_stored_values_are_read_without_a_word(tables, capsys):
    old = to_dict(tiny_config(loss__warp_weight=2.0, loss__warp__places=4))
    loss = old["loss"]
    loss["shove"], loss["shove_weight"] = (
        loss.pop("warp"),
        loss.pop("warp_weight"),
    )
    loss["shove"]["spots"] = loss["shove"].pop("places")
    old["pace"] = old["optimizer"].pop("learning_rate")
    old["model"]["dma"]["kind"] = "diag"
    before = json.dumps(old)
    expected = tiny_config(loss__warp_weight=2.0, loss__warp__places=4)
    assert build(old) == build(json.loads(before)) == expected
    assert json.dumps(old) == before
    assert build(TINY) == tiny_config() and build(default_config()) == Config()
    assert capsys.readouterr().err == ""


def test_a_run_goes_on_from_a_plan_of_old_names(tables, capsys, tmp_path):
    path = tmp_path / "finetune.json"
    path.write_text(json.dumps({"pace": "0.1", "model.dma.kind": "'diag'", "pairs": "ab"}))
    now = {"optimizer.learning_rate": "0.1", "model.dma.kind": "'diagonal'", "pairs": "ab"}
    kept_folds._compare(now, path, {})
    with pytest.raises(UserError, match="another optimizer.learning_rate"):
        kept_folds._compare(now | {"optimizer.learning_rate": "0.2"}, path, {})
    assert capsys.readouterr().err == ""


def test_the_path_of_a_config_file(tables, capsys, monkeypatch, tmp_path):
    new = load_config(CONFIGS / "synthetic.py", [])
    assert load_config(CONFIGS / "small.py", []) == new
    monkeypatch.chdir(CONFIGS)
    assert load_config("small.py", []) == new
    said = f"mubert: configs/small.py is called configs/synthetic.py now{SAID}"
    assert capsys.readouterr().err == said
    # A file of one's own may have the name.
    (tmp_path / "configs").mkdir()
    own = write_config_file(tmp_path / "configs" / "small.py", tiny_config())
    assert load_config(own, []) == tiny_config()
    with pytest.raises(UserError, match="other/small.py: no such config file"):
        load_config("other/small.py", [])


def test_an_ablation_of_an_old_file_is_one_of_the_new(tables, capsys):
    files = ["configs/small.py", "configs/synthetic.py"]
    assert main(["ablate", "--configs", *files, "--workdir=absent"]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert "configs/small.py is called configs/synthetic.py now" in first
    assert "--configs holds synthetic twice" in second
