"""What is written is looked at before the work; `~` is a home everywhere; numbers have bounds."""

import argparse
from pathlib import Path

import cv2
import numpy as np
import pytest

from mubert_jax.cli import _parser, flag_types, main
from mubert_jax.config import build
from mubert_jax.errors import UserError
from mubert_jax.outputs import check_output

FINETUNE = ["finetune", "--config=configs/finetune.py", "--config.data.path=absent"]
PRETRAIN = ["pretrain", "--config=configs/demo.py", "--config.data.path=absent"]


@pytest.fixture(autouse=True)
def nothing_is_opened(monkeypatch):
    """Weights that are opened have been opened too early."""

    def opened(*_, **__):
        raise AssertionError("the work has begun")

    monkeypatch.setattr("mubert_jax.interop.opening._of_file", opened)
    monkeypatch.setattr("mubert_jax.interop.files.read", opened)
    monkeypatch.setattr("mubert_jax.perception.trained.Trained.of_run", opened)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with two images, a file and a folder."""
    for name, grey in (("on.png", 90), ("ap.png", 95)):
        cv2.imwrite(str(tmp_path / name), np.full((32, 32, 3), grey, np.uint8))
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "kept.npz").mkdir()
    root = Path.cwd()
    for name in ("configs", "tests"):
        (tmp_path / name).symlink_to(root / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(capsys, *arguments) -> str:
    """The one line of a command that fails with code 2, in whichever way."""
    capsys.readouterr()
    try:
        code = main(list(arguments))
    except SystemExit as stop:
        code = stop.code
    error = capsys.readouterr().err
    assert code == 2 and error.count("\n") == 1 and "Traceback" not in error, error
    return error


TWO = ["--onset=on.png", "--apex=ap.png"]
PERCEIVE = ["perceive", *TWO]
PREDICT = ["predict", "--checkpoint=run", *TWO]
EXPORT = ["export", "--checkpoint=run", "--format=onnx"]
FILES = [PERCEIVE, PREDICT, EXPORT, ["bench", "step"]]
FOLDERS = [
    FINETUNE,
    PRETRAIN,
    ["import", "--input=x.pth"],
    ["ablate", "--configs", "configs/synthetic.py"],
]


@pytest.mark.parametrize("command", FILES, ids=lambda words: words[0])
@pytest.mark.parametrize(
    "output, said",
    [
        (".", "is a folder"),
        ("folder", "is a folder"),
        ("folder/", "is a folder"),
        ("/proc/maps.png", "cannot be written"),
        ("file/maps.png", "cannot be written"),
        ("x" * 300, "cannot be written"),
        ("/dev/null", "is a device"),
        ("", "empty"),
        ("a\nb.png", "line break"),
        ("gs://bucket/maps.png", "gs://bucket"),
    ],
)
def test_a_file_that_cannot_be_written(command, output, said, here, capsys):
    before = sorted(here.rglob("*"))
    assert said in refused(capsys, *command, f"--output={output}")
    assert sorted(here.rglob("*")) == before


@pytest.mark.parametrize("command", FOLDERS, ids=lambda words: words[0])
@pytest.mark.parametrize(
    "workdir, said",
    [
        ("file", "is a file"),
        ("file/run", "cannot be written"),
        ("/proc/run", "cannot be written"),
        ("x" * 300, "cannot be written"),
        ("", "empty"),
        ("s3://bucket/run", "s3://bucket"),
    ],
)
def test_a_folder_that_cannot_be_written(command, workdir, said, here, capsys):
    assert said in refused(capsys, *command, f"--workdir={workdir}")


def test_pictures_have_the_suffix_of_one_and_hide_nothing(here, capsys):
    for suffix in ("npz", "mp4", "txt", "npy"):
        line = refused(capsys, *PERCEIVE, f"--output=maps.{suffix}")
        assert f"has the suffix .{suffix}; take .png" in line
    for name in ("on.png", "./on.png", "folder/../ap.png"):
        assert "is what is read" in refused(capsys, *PERCEIVE, f"--output={name}")
    Path("link.png").symlink_to("on.png")
    assert "is what is read" in refused(capsys, *PERCEIVE, "--output=link.png")
    assert "kept.npz is a folder" in refused(capsys, *PERCEIVE, "--output=folder/kept.png")
    weights = ["export", "--checkpoint=file", "--format=safetensors", "--output=file"]
    assert "is what is read" in refused(capsys, *weights)
    line = refused(capsys, "evaluate", "--predictions=file", "--output=file")
    assert "is a file; name a folder" in line
    assert "--picture=" in refused(capsys, "bench", "perception", "--picture=maps.npz")


@pytest.mark.parametrize("suffix", ["", ".PNG", ".png", ".jpg", ".pdf"])
def test_what_can_be_written_is_left_to_the_work(suffix, here):
    with pytest.raises(AssertionError, match="the work has begun"):
        main([*PERCEIVE, f"--output=new/deep/maps{suffix}"])
    assert not Path("new").exists()


def test_a_place_that_may_not_be_written(tmp_path, monkeypatch):
    def refuse(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.NamedTemporaryFile", refuse)
    with pytest.raises(UserError, match=r"--output=.* cannot be written \(Permission denied\)"):
        check_output("--output", tmp_path / "maps.png")


NUMBERS = {
    "--delta": ["0", "-3", "x", "2.5"],
    "--pairs": ["0", "-1"],
    "--scale": ["0", "-1", "nan", "inf"],
    "--margin": ["-0.1", "nan", "5", "x"],
}


@pytest.mark.parametrize("flag", NUMBERS)
def test_numbers_have_bounds(flag, here, capsys):
    for value in NUMBERS[flag]:
        line = refused(capsys, "perceive", "--video=v.avi", "--output=m.png", f"{flag}={value}")
        assert f"argument {flag}: " in line and value in line
    assert "--steps: 0" in refused(capsys, "bench", "step", "--steps=0")
    assert "--seeds: -1" in refused(capsys, "ablate", "--configs", "x", "--seeds=-1")


def test_a_home_in_every_flag_that_takes_a_path(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    _, verbs = _parser()
    parsers, tried = list(verbs.values()), 0
    for parser in parsers:
        for action in parser._actions:
            if action.metavar == "BENCH":
                parsers += action.choices.values()
            if action.metavar in ("FILE", "DIR", "FROM", "PATH", "LIST") and action.type:
                assert Path(action.type("~/x")) == tmp_path / "x", action.option_strings
                tried += 1
            assert action.type is not Path, action.option_strings
    assert tried > 20
    assert flag_types.detector("~/face.onnx") == str(tmp_path / "face.onnx")
    assert flag_types.detector("haar") == "haar" and flag_types.checkpoint("shipped") == "shipped"
    with pytest.raises(argparse.ArgumentTypeError, match="empty"):
        flag_types.path(" ")


def test_a_home_in_the_config(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    config = build({"data": {"path": "~/faces"}, "training": {"init_from": "~/run"}})
    assert config.data.path == str(tmp_path / "faces")
    assert config.training.init_from == str(tmp_path / "run")
    assert build({"training": {"init_from": "shipped"}}).training.init_from == "shipped"
    with pytest.raises(UserError, match="config.data.path: gs://b/faces"):
        build({"data": {"path": "gs://b/faces"}})


def test_a_home_in_prepare_and_in_named_paths(here, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(here))
    line = refused(capsys, "prepare", "frames", "--input=~/absent", "--output=~/out")
    assert str(here / "absent") in line
    named = ["--input", "casme2=~/absent", "samm=~/b", "smic=~/c", "--output=~/out"]
    assert str(here / "absent") in refused(capsys, "prepare", "megc2019", *named)
    assert "--input: " in refused(capsys, "prepare", "frames", "--input=", "--output=out")
    assert not Path("~").exists() and not (here / "out").exists()


def test_frames_are_given_in_one_way(here, capsys):
    video = ["--video=v.avi", "--output=m.png"]
    assert "not both" in refused(capsys, *PERCEIVE, *video)
    assert "not both" in refused(capsys, *PREDICT, *video)
    assert "--delta is for a --video" in refused(capsys, *PERCEIVE, "--output=m.png", "--delta=3")
    film = ["--output=m.png", "--animation=m.gif"]
    assert "--animation is for a --video" in refused(capsys, *PERCEIVE, *film)
    film = refused(capsys, "perceive", *video, "--animation=m.avi")
    assert "has the suffix .avi; take .gif, .mp4" in film
    assert "--apex=B" in refused(capsys, "perceive", "--onset=on.png", "--output=m.png")
