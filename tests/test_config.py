import json
from pathlib import Path

import pytest
from conftest import TINY, tiny_config

from mubert_jax.config import Config, build, default_config, flatten, to_dict
from mubert_jax.config_files import load_config
from mubert_jax.errors import UserError

CONFIGS = Path(__file__).parent.parent / "configs"


def test_defaults_are_the_papers_sizes():
    model = Config().model
    assert (model.image_size, model.patch_size, model.num_patches) == (224, 8, 784)
    assert (model.dim, model.depth, model.heads) == (512, 4, 4)
    assert (model.decoder.dim, model.decoder.depth, model.decoder.heads) == (512, 4, 4)
    assert Config().data.delta == (5, 11)


@pytest.mark.parametrize("path", sorted(CONFIGS.rglob("*.py")), ids=lambda path: path.stem)
def test_every_config_file_builds_and_says_command_cost_and_expectation(path):
    load_config(str(path), [])
    text = path.read_text()
    assert all(word in text for word in ("Command:", "Cost:", "Expected:"))


def test_round_trip():
    config = tiny_config()
    assert build(to_dict(config)) == config
    assert build(default_config()) == Config()


def test_options_are_the_same_after_json():
    """A config file may have tuples in a dict; a run that was saved has lists in their place."""
    values = {"objective": {"name": "moco_v3", "options": {"crop_scale": (0.2, 1.0)}}}
    config = build(values)
    assert build(json.loads(json.dumps(to_dict(config)))) == config
    assert flatten(config)["objective.options.crop_scale"] == (0.2, 1.0)


@pytest.mark.parametrize(
    "values, words",
    [
        ({"modle": {}}, ["config.modle", "did you mean 'model'"]),
        ({"model": {"dma": {"knd": "none"}}}, ["config.model.dma.knd", "did you mean 'kind'"]),
        ({"model": {"dim": "512"}}, ["config.model.dim", "'512'", "int"]),
        ({"model": {"dim": True}}, ["config.model.dim"]),
        ({"model": 3}, ["config.model", "section"]),
        ({"model": {"dma": {"kind": "diag"}}}, ["config.model.dma.kind", "diagonal, cross, none"]),
        ({"data": {"delta": [5]}}, ["config.data.delta", "2 values"]),
        ({"model": {"image_size": 100}}, ["image_size is 100", "patch_size = 8"]),
        ({"model": {"heads": 3}}, ["model.dim is 512", "model.heads = 3"]),
        ({"model": {"dim": 510, "heads": 2}}, ["model.dim is 510", "multiple of 4"]),
        ({"data": {"delta": [11, 5]}}, ["delta is (11, 5)", "empty"]),
        ({"data": {"delta": [0, 5]}}, ["data.delta[0] is 0"]),
        ({"swapping": {"ratio": 1.5}}, ["swapping.ratio is 1.5"]),
        ({"swapping": {"min_block": 500}}, ["swapping.min_block is 500"]),
        ({"loss": {"crop": {"global_scale": [0.9, 0.1]}}}, ["global_scale"]),
        ({"loss": {"agreement": "dino", "crop": {"local_size": 50}}}, ["local_size is 50"]),
        (
            {"loss": {"agreement": "dino", "crop": {"global_crops": 0}}},
            ["global_crops is 0", "dino"],
        ),
        ({"model": {"dma": {"kind": "none"}}}, ["poi.enabled", "diagonal"]),
        ({"training": {"epochs": 0.0}}, ["epochs", "steps"]),
        ({"loss": {"crop": {"local_crops": -1}}}, ["local_crops is -1"]),
        ({"loss": {"dino": {"teacher_temperature": 0.0}}}, ["teacher_temperature is 0.0"]),
        ({"model": {"recognizer": {"classes": -2}}}, ["recognizer.classes is -2"]),
        (
            {"loss": {"replaced_patch_weight": 1.0}, "swapping": {"kind": "mask"}},
            ["replaced_patch_weight", "swapping.kind='swap'"],
        ),
        ({"model": {"dma": {"window": 6}}}, ["dma.window is 6", "patch_size = 8"]),
        ({"model": {"dma": {"window": 13}}}, ["dma.window is 13", "even"]),
        (
            {"loss": {"warp": {"amplitude": [0.0, 3.0]}}},
            ["warp.amplitude", "0 < low"],
        ),
        (
            {"loss": {"warp": {"noise": [5.0, 0.5]}}},
            ["warp.noise", "low <= high"],
        ),
        ({"loss": {"warp": {"places": 0}}}, ["warp.places is 0"]),
        ({"model": {"patch_size": 4, "image_size": 100}}, ["image_size is 100", "8 pixels"]),
        (
            {"model": {"dma": {"kind": "none"}, "poi": {"enabled": False}}},
            ["warp_weight is 10.0", "dma.kind='none'"],
        ),
    ],
)
def test_wrong_values_are_refused_by_name(values, words):
    with pytest.raises(UserError) as error:
        build(values)
    assert "\n" not in str(error.value)
    assert all(word in str(error.value) for word in words), str(error.value)


@pytest.fixture
def config_file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "from mubert_jax.config import default_config\n"
        "def get_config():\n"
        "    config = default_config()\n"
        "    config.model.image_size = 96\n"
        "    return config\n"
    )
    return path


def test_overrides_on_the_command_line(config_file):
    overrides = [
        "--config.model.dim=64",
        "--config.data.delta=(1, 3)",
        "--config.training.epochs=2",
    ]
    config = load_config(str(config_file), overrides)
    assert config.model.image_size == 96
    assert (config.model.dim, config.data.delta, config.training.epochs) == (64, (1, 3), 2.0)


@pytest.mark.parametrize(
    "override, words",
    [
        ("--config.model.dimm=3", ["config.model.dimm", "did you mean 'model.dim'"]),
        ("--config.model.dim=many", ["model.dim", "many"]),
        ("--config.model.image_size=100", ["image_size is 100"]),
    ],
)
def test_wrong_overrides(config_file, override, words):
    with pytest.raises(UserError) as error:
        load_config(str(config_file), [override])
    assert all(word in str(error.value) for word in words), str(error.value)


def test_wrong_files(tmp_path, config_file):
    with pytest.raises(UserError, match="no such config file"):
        load_config(str(tmp_path / "absent.py"), [])
    config_file.write_text(config_file.read_text().replace("image_size", "imagesize"))
    with pytest.raises(UserError, match="imagesize"):
        load_config(str(config_file), [])


@pytest.mark.parametrize(
    "text, said",
    [
        ("def get_config(:", ", line 1: SyntaxError"),
        ("import absent", ", line 1, 'import absent': ModuleNotFoundError"),
        ("\ndef get_config():\n    return 1 / 0", ", line 3, 'return 1 / 0': ZeroDivisionError"),
        ("def get_config():\n    open('/absent')", ", line 2, "),
        ("x = 1", " defines no get_config()"),
        ("def get_config():\n    pass", "get_config() returns a NoneType"),
        ("def get_config():\n    return 3", "get_config() returns a int"),
        (
            "from mubert_jax.config import default_config\n"
            "def get_config():\n"
            "    config = default_config()\n"
            "    config.model.dim = 'many'\n"
            "    return config\n",
            """, line 4, "config.model.dim = 'many'": TypeError""",
        ),
        ("\0", ": "),
        ("def f():\n    return x\ndef get_config():\n    f()", ", line 2, 'return x': NameError: "),
        ("eval('1 +')", """, line 1, "eval('1 +')": SyntaxError: """),
        ("x = [\n1,\n2", "line 1: SyntaxError: '[' was never closed"),
        ("if 1:\n  x\n y", ", line 3: IndentationError: "),
        ("import sys\nsys.exit(3)", ", line 2, 'sys.exit(3)': SystemExit: 3"),
        ("raise BaseException", ", line 1, 'raise BaseException': BaseException"),
        ("raise GeneratorExit", ", line 1, 'raise GeneratorExit': GeneratorExit"),
        ("raise StopIteration", ", line 1, 'raise StopIteration': StopIteration"),
        ("assert 1 > 2", ", line 1, 'assert 1 > 2': AssertionError"),
        ("raise OSError('a\\nb')", ": OSError: a b"),
        ("raise ExceptionGroup('all', [ValueError()])", "ExceptionGroup: all (1 sub-exception)"),
        ("def f():\n    f()\nf()", ", line 2, 'f()': RecursionError: "),
        (
            "class E(Exception):\n    def __str__(self):\n        raise ValueError\nraise E",
            ", line 4, 'raise E': E",
        ),
        (
            "from mubert_jax.config import build\nx = build({'model': {'dim': 0}})",
            """, line 2, "x = build({'model': {'dim': 0}})": config.model.dim is 0; """,
        ),
        ("get_config = 3", " defines no get_config()"),
        ("def get_config(x):\n    pass", ": TypeError: get_config() missing 1 required"),
    ],
)
def test_an_error_in_a_config_file_has_its_line(tmp_path, text, said):
    path = tmp_path / "mine:v2.py"
    path.write_text(text)
    with pytest.raises(UserError) as error:
        load_config(str(path), [])
    assert f"{path}{said}" in str(error.value) or said in str(error.value)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "text, said",
    [
        ("x = 1\ny = z", "line 2, 'y = z': NameError: name 'z' is not defined"),
        ("x = 1\ny = (", "line 2, 'y = (': SyntaxError: '(' was never closed"),
        (
            "def f():\n    import json\n    json.loads('?')\nf()",
            "line 3, \"json.loads('?')\": JSON",
        ),
    ],
)
def test_an_error_in_a_module_that_a_config_file_imports(tmp_path, monkeypatch, text, said):
    module = tmp_path / f"mine{abs(hash(text))}.py"
    module.write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "config.py"
    path.write_text(f"\nimport {module.stem}\n")
    with pytest.raises(UserError) as error:
        load_config(path, [])
    line = f"{path}, line 2, 'import {module.stem}', in {module}, {said}"
    assert str(error.value).startswith(line)


def test_a_wrong_value_in_a_file_is_told_with_the_file(config_file):
    config_file.write_text(config_file.read_text().replace("= 96", "= 100"))
    with pytest.raises(UserError, match=f"^{config_file}: config.model.image_size is 100"):
        load_config(config_file, [])


def test_flatten_names_every_key():
    assert flatten(tiny_config())["model.dma.chunk"] == TINY["model"]["dma"]["chunk"]
