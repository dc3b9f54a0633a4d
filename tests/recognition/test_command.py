"""`mubert prepare synthetic --classes`, `finetune`, `evaluate`, `predict`."""

import json
import os
import shutil
import signal

import cv2
import pytest
from conftest import tiny_config, write_config_file

from mubert_jax.cli import main
from mubert_jax.data.pairs import LabelledPairs
from mubert_jax.data.people import SYNTHETIC, Person


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """4 synthetic people × 5 clips, 32×32."""
    folder = tmp_path_factory.mktemp("drawn") / "pairs"
    people = ["--subjects=4", "--clips=5", "--size=32", "--frames=8", "--conditions", "lab"]
    assert main(["prepare", "synthetic", "--classes=5", f"--output={folder}", *people]) == 0
    return folder


@pytest.fixture(scope="module")
def config(tmp_path_factory, trained_run, drawn):
    values = tiny_config(
        data__path=str(drawn),
        training__init_from=str(trained_run),
        model__recognizer__reads="movement",
        recognition__epochs=20,
        recognition__copies=1,
        recognition__seeds=(0, 1),
        recognition__weight_decay=(0.01,),
    )
    return write_config_file(tmp_path_factory.mktemp("config") / "config.py", values)


@pytest.fixture(scope="module")
def run(config, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("recognition") / "run"
    assert main(["finetune", f"--config={config}", f"--workdir={workdir}"]) == 0
    return workdir


def refused(capsys, *arguments):
    assert main([*map(str, arguments)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


def test_synthetic_pairs_know_their_emotions(drawn, capsys):
    pairs = LabelledPairs(drawn, 32)
    assert len(pairs) == 20 and len(set(pairs.subject)) == 4
    assert pairs.people[0] == Person.elsewhere(f"{SYNTHETIC}0", "s000000"), "of no data set"
    assert set(pairs.classes) <= {"anger", "disgust", "happiness", "sadness", "surprise"}
    assert all(record.action_units for record in pairs.records)
    assert "5 emotions" in refused(
        capsys, "prepare", "synthetic", "--classes=3", f"--output={drawn}-3", "--size=32"
    )


def test_the_run_leaves_a_report_and_a_recognizer(run, capsys):
    for name in ("results.html", "results.md", "results.csv", "megc2019_seed0.txt", "checkpoints"):
        assert (run / name).exists()
    assert list((run / "maps").glob("controlled_s*.png"))
    before = (run / "results.csv").read_bytes()
    assert main(["evaluate", f"--workdir={run}"]) == 0
    assert (run / "results.csv").read_bytes() == before
    assert "UF1" in capsys.readouterr().out
    assert json.loads((run / "recognition.json").read_text())["stamps"] == []


def test_sigterm_stops_it_as_ctrl_c_does(config, tmp_path, capsys, monkeypatch):
    handler = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(
        "mubert_jax.recognition.finetune.finetune", lambda *_: os.kill(os.getpid(), signal.SIGTERM)
    )
    assert main(["finetune", f"--config={config}", f"--workdir={tmp_path / 'run'}"]) == 75
    assert "mubert finetune: stopped" in capsys.readouterr().out
    assert signal.getsignal(signal.SIGTERM) == handler


def test_predict_an_image_pair_and_a_video(run, tmp_path, drawn, capsys):
    pairs = LabelledPairs(drawn, 32)
    for name, images in (("onset", pairs.onset), ("apex", pairs.apex)):
        cv2.imwrite(str(tmp_path / f"{name}.png"), images[0])
    frames = [f"--{name}={tmp_path / name}.png" for name in ("onset", "apex")]
    picture = tmp_path / "seen.png"
    said = [f"--checkpoint={run}", "--crop=none", f"--output={picture}"]
    assert main(["predict", *said, *frames]) == 0
    assert "probability" in capsys.readouterr().out and cv2.imread(str(picture)) is not None
    video = cv2.VideoWriter(str(tmp_path / "v.avi"), cv2.VideoWriter_fourcc(*"FFV1"), 25, (32, 32))
    for image in (*[pairs.onset[0]] * 3, *[pairs.apex[0]] * 2):
        video.write(image)
    video.release()
    assert main(["predict", *said, f"--video={tmp_path / 'v.avi'}"]) == 0
    assert "apex: frame" in capsys.readouterr().out


def test_what_cannot_be(run, config, trained_run, tmp_path, capsys):
    assert "holds no recognizer" in refused(
        capsys, "predict", f"--checkpoint={trained_run}", "--video=v.avi"
    )
    assert "--video=V, or both" in refused(capsys, "predict", f"--checkpoint={run}")
    start = ["finetune", f"--config={config}", f"--workdir={tmp_path / 'run'}"]
    assert "unknown protocol 'lofo'" in refused(
        capsys, *start, "--config.recognition.protocol=lofo"
    )
    assert "4 subjects; needs 2 to 4 folds" in refused(
        capsys, *start, "--config.recognition.protocol=9-fold"
    )
    assert "run mubert prepare with --size=112" in refused(
        capsys, *start, "--config.training.init_from=shipped"
    )
    assert "seeds is (0, 0)" in refused(capsys, *start, "--config.recognition.seeds=(0,0)")
    assert "unknown published 'x'" in refused(capsys, *start, "--config.recognition.published=x")
    frames = f"--config.data.path={tmp_path}"
    assert str(tmp_path) in refused(capsys, *start, frames)
    assert not (tmp_path / "run").exists()
    shutil.copytree(run, tmp_path / "copy")
    other = ["finetune", f"--config={config}", f"--workdir={tmp_path / 'copy'}"]
    assert "another recognition.epochs" in refused(capsys, *other, "--config.recognition.epochs=3")
