"""`shipped` and exported files are taken wherever a run's folder is."""

import numpy as np
import pytest
from conftest import fresh_state, tiny_config, write_config_file
from examples import assert_identical, random_weights
from rich.console import Console
from safetensors import safe_open

from mubert_jax.cli import main
from mubert_jax.data.records import encode_image
from mubert_jax.errors import UserError
from mubert_jax.interop import files
from mubert_jax.interop.opening import open_seen, open_trained
from mubert_jax.objectives import make_objective
from mubert_jax.perception.perceive import PerceiveOptions
from mubert_jax.pretraining.initial import InitFrom
from mubert_jax.recognition.predict import Recognizer
from mubert_jax.recognition.predictions import Facts
from mubert_jax.training.checkpoints import save_imported
from mubert_jax.training.contamination import Seen

EMOTIONS = ("disgust", "happiness", "surprise")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run's folder with a teacher and a recognizer, and its export."""
    folder = tmp_path_factory.mktemp("run")
    config = tiny_config(model__recognizer__classes=3, model__recognizer__reads="movement")
    save_imported(folder, config, random_weights(config), "random", Seen())
    Facts(classes=EMOTIONS).save(folder)
    return folder


@pytest.fixture(scope="module")
def export(run):
    output = run / "export.safetensors"
    flags = ["--format=safetensors", f"--output={output}", "--recognizer"]
    assert main(["export", f"--checkpoint={run}", *flags]) == 0
    return output


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    folder = tmp_path_factory.mktemp("frames")
    image = np.full((32, 32, 3), 90, np.uint8)
    for name in ("onset", "apex"):
        (folder / f"{name}.png").write_bytes(encode_image(image, "png"))
        image[:12, :12] += 40
    return [folder / "onset.png", folder / "apex.png"]


def test_an_export_is_opened_as_its_run(run, export):
    ours, theirs = open_trained(run, extra=True), open_trained(export)
    assert_identical(
        (ours.weights.params, ours.weights.extra),
        (theirs.weights.params, theirs.weights.extra),
    )
    assert theirs.emotions == EMOTIONS and open_seen(export) == open_seen(run) == Seen()
    assert open_trained(run).weights.extra == {}


def contents(path):
    """What a safetensors file says and holds; in which order it says it, is drawn by lot."""
    with safe_open(path, "numpy") as file:
        return file.metadata(), {name: file.get_tensor(name).tobytes() for name in file.keys()}  # noqa: SIM118


def test_an_export_of_an_export_is_the_same(export, tmp_path):
    output = tmp_path / "again.safetensors"
    flags = ["--format=safetensors", f"--output={output}", "--recognizer"]
    assert main(["export", f"--checkpoint={export}", *flags]) == 0
    assert contents(output) == contents(export)


@pytest.mark.parametrize("part", ["description", "values"])
def test_one_wrong_bit_of_an_export_is_refused(export, tmp_path, part):
    content = bytearray(export.read_bytes())
    size = content.index(b"32", content.index(b"image_size"))
    content[size if part == "description" else -1] ^= 1
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(content)
    with pytest.raises(UserError, match=r"damaged\.safetensors is damaged"):
        files.read(damaged)


def test_one_wrong_bit_of_a_zipped_file_is_refused(tmp_path):
    torch = pytest.importorskip("torch")
    path = tmp_path / "weights.pth"
    torch.save({"a": torch.full((64,), 3.0)}, path)
    content = bytearray(path.read_bytes())
    content[content.index(np.full(4, 3.0, np.float32).tobytes())] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="truncated or damaged"):
        files.read(path)


@pytest.mark.parametrize("format", ["torch", "stablehlo"])
def test_the_shipped_weights_are_exported(format, tmp_path, capsys):
    output = tmp_path / "shipped"
    flags = [f"--format={format}", f"--output={output}"]
    assert main(["export", "--checkpoint=shipped", *flags]) == 0
    assert output.stat().st_size > 1e6


def test_shipped_is_imported(tmp_path):
    assert main(["import", "--input=shipped", f"--workdir={tmp_path / 'run'}"]) == 0
    assert_identical(open_trained(tmp_path / "run").params, open_trained("shipped").params)


def test_a_training_starts_from_an_export(export, run):
    config = tiny_config(training__init_from=str(export))
    initial = InitFrom(make_objective(config), config, Console(quiet=True))
    state = initial.state(fresh_state(config))
    weights = open_trained(run, extra=True).weights
    assert_identical(state.params["encoder"], weights.params["encoder"])
    assert_identical(state.extra, weights.extra)
    assert initial.seen() == Seen()


def test_a_training_from_a_damaged_export_stops_before_it_compiles(
    export, frames_set, tmp_path, monkeypatch, capsys
):
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(export.read_bytes()[:-100])
    values = tiny_config(data__path=str(frames_set), training__init_from=str(damaged))
    file = write_config_file(tmp_path / "config.py", values)
    monkeypatch.setattr(InitFrom, "state", None)
    assert main(["pretrain", f"--config={file}", f"--workdir={tmp_path / 'new'}"]) == 2
    assert str(damaged) in capsys.readouterr().err


def test_a_recognizer_is_read_from_its_export(run, export, frames):
    options = PerceiveOptions(crop="none")
    ours, theirs = (Recognizer(x, options).of_images(*frames) for x in (run, export))
    assert ours.probabilities.keys() == set(EMOTIONS)
    assert ours.probabilities == pytest.approx(theirs.probabilities, abs=1e-6)


def test_what_holds_no_recognizer_says_what_makes_one(tmp_path, run):
    config, trained_run = tiny_config(loss__agreement="none"), tmp_path / "pretrained"
    save_imported(trained_run, config, random_weights(config), "random")
    options = PerceiveOptions(crop="none")
    with pytest.raises(UserError, match="the package has no recognizer") as error:
        Recognizer("shipped", options)
    assert "mubert finetune --config=configs/finetune.py --config.data.path" in str(error.value)
    with pytest.raises(UserError, match="holds no recognizer") as error:
        Recognizer(str(trained_run), options)
    assert f"--config.training.init_from={trained_run}" in str(error.value)
    assert "--size=32" in str(error.value) and "\n" not in str(error.value)
    plain = tmp_path / "plain.safetensors"
    flags = ["--format=safetensors", f"--output={plain}"]
    assert main(["export", f"--checkpoint={run}", *flags]) == 0
    with pytest.raises(UserError, match="holds no recognizer"):
        Recognizer(str(plain), options)
    (tmp_path / "compared").mkdir()
    Facts(classes=EMOTIONS).save(tmp_path / "compared")
    with pytest.raises(UserError, match="has kept no recognizer"):
        Recognizer(str(tmp_path / "compared"), options)
    with pytest.raises(UserError, match="no checkpoint in"):
        Recognizer(str(tmp_path / "absent"), options)


def test_a_description_with_emotions_that_are_none(export, tmp_path):
    text = '{"config": {}, "scale": null, "version": "0.1", "emotions": [1]}'
    with pytest.raises(UserError, match="is damaged"):
        files.Description.from_json(text, tmp_path / "x")
