"""A verb is one file and one word of a list; each verb and each bench has flags of its own."""

import subprocess
import sys
import types
from pathlib import Path

import pytest

from mubert_jax import cli, discovery
from mubert_jax.cli import VERBS, _parser, benches, main


def test_a_new_verb_is_a_file_and_a_word(monkeypatch, capsys):
    new = types.ModuleType("mubert_jax.cli.greet")
    new.SUMMARY, new.EXAMPLE = "a name -> a greeting", "mubert greet --name=Ada"
    new.add_flags = lambda parser: parser.add_argument("--name", required=True)
    new.run = lambda args, console: console.print(f"Hello, {args.name}")
    monkeypatch.setitem(sys.modules, new.__name__, new)
    monkeypatch.setattr(cli, "VERBS", (*VERBS, "greet"))
    assert main(["greet", "--name=Ada"]) == 0
    assert capsys.readouterr().out == "Hello, Ada\n"
    assert main(["greet", "--name=Ada", "--config.model.dim", "3"]) == 2
    assert "unknown argument --config.model.dim=3" in capsys.readouterr().err
    assert main([]) == 0 and "a name -> a greeting" in capsys.readouterr().out


def test_every_verb_has_a_file_and_every_file_of_one_is_listed():
    folder = Path(cli.__file__).parent
    files = {
        path.stem.rstrip("_") for path in folder.glob("*.py") if "\nSUMMARY = " in path.read_text()
    }
    assert files == set(VERBS)


@pytest.mark.parametrize("name", discovery.names(benches))
def test_a_bench_has_a_short_help_and_an_example_that_parses(name, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["bench", name, "--help"])
    text = capsys.readouterr().out
    assert stop.value.code == 0 and len(text.splitlines()) < 40
    example = text.split("example:\n  mubert ")[1].split()
    args, rest = _parser()[0].parse_known_args(example)
    assert args.what == name and not rest


@pytest.mark.parametrize(
    "words, said",
    [
        (["step", "--pairs=3"], "unknown argument --pairs=3"),
        (["folds", "--batch-size=3"], "unknown argument --batch-size=3"),
        (["perception", "--config=configs/demo.py"], "unknown argument --config="),
        (["--steps=3", "step"], "--steps=3 goes after `mubert bench step`"),
    ],
)
def test_a_bench_refuses_flags_that_it_does_not_read(words, said, capsys):
    assert main(["bench", *words]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


@pytest.mark.parametrize("words", [["--foo"], ["--"], ["bench"], ["bench", "stpe"]], ids=str)
def test_words_without_a_verb_are_one_line(words, capsys):
    with pytest.raises(SystemExit) as stop:
        main(words)
    error = capsys.readouterr().err
    assert stop.value.code == 2 and error.count("\n") == 1


def test_the_help_needs_no_heavy_library():
    code = "import sys; from mubert_jax.cli import main; main([]); print(sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    heavy = ("jax", "flax", "ml_collections", "numpy", "cv2", "pandas", "matplotlib")
    assert not [name for name in heavy if f"'{name}'" in loaded]
