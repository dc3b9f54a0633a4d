"""`mubert magnify`: what is written, from which weights, frame by frame, and what is refused."""

import json

import cv2
import numpy as np
import pytest
from conftest import tiny_config
from magnet_files import made_up
from safetensors.numpy import save_file

from mubert_jax.cli import main
from mubert_jax.data.records import encode_image
from mubert_jax.data.video import read_image, read_video, write_video
from mubert_jax.models import magnet_weights
from mubert_jax.models.magnet import PAPER
from mubert_jax.motion_maps.magnet import magnifier
from mubert_jax.perception import magnify
from mubert_jax.training.checkpoints import Weights, save_imported

# The compiled network of the other tests is that of frames of this size.
FRAMES = np.random.default_rng(0).integers(60, 200, (4, 20, 24, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Images, a video, a file of weights, and a run's folder with the same weights."""
    folder = tmp_path_factory.mktemp("magnify")
    for name, frame in zip(("onset", "apex"), FRAMES, strict=False):
        (folder / f"{name}.png").write_bytes(encode_image(frame, "png"))
    (folder / "wide.png").write_bytes(encode_image(FRAMES[0, :, :20], "png"))
    (folder / "tiny.png").write_bytes(encode_image(FRAMES[0, :6], "png"))
    write_video(FRAMES, 30.0, folder / "v.mp4", "")
    params = made_up(PAPER)
    save_file(magnet_weights.to_tensors(params), folder / "w.safetensors")
    save_file({"a": np.zeros(1, np.float32)}, folder / "other.safetensors")
    save_imported(folder / "run", tiny_config(objective__name="magnet"), Weights(params), "made up")
    return folder


@pytest.fixture
def call(folder, monkeypatch, tmp_path, capsys):
    """(flags) -> exit code and what was said, in a folder of its own."""
    monkeypatch.delenv("MUBERT_MAGNET", raising=False)

    def run(*flags):
        words = [flag.replace("@", f"{folder}/") for flag in flags]
        code = main(["magnify", f"--output={tmp_path / 'm.png'}", *words])
        said = capsys.readouterr()
        return code, said.err or said.out

    return run


PAIR = ("--onset=@onset.png", "--apex=@apex.png")
FILE = "--weights=@w.safetensors"


@pytest.mark.parametrize("weights", [FILE, "--weights=@run"])
def test_a_pair_of_images(call, tmp_path, weights):
    code, _ = call(*PAIR, weights, "--factor=4")
    assert code == 0
    expected = magnifier(PAPER, made_up(PAPER))(*FRAMES[:2], 4.0)
    np.testing.assert_allclose(read_image(tmp_path / "m.png"), expected, atol=0.51)
    done = json.loads((tmp_path / "m.json").read_text())
    assert done["factor"] == 4.0 and done["frames"] == 1
    assert {path.name for path in tmp_path.iterdir()} == {"m.png", "m.json"}


@pytest.mark.parametrize("reference", ["first", "previous"])
def test_a_video_passes_frame_by_frame(call, folder, tmp_path, monkeypatch, reference):
    read, pairs = [], []

    def counted(video):
        for number, frame in read_video(video):
            read.append(number)
            yield number, frame

    def plain(first, second, factor):
        assert len(read) == len(pairs) + 1  # nothing is read ahead
        pairs.append((first.copy(), second.copy()))
        return np.full_like(second, 40.0 * len(pairs))

    monkeypatch.setattr(magnify, "read_video", counted)
    monkeypatch.setattr(magnify, "open_magnifier", lambda weights: plain)
    output = tmp_path / "m.mp4"
    code, said = call("--video=@v.mp4", f"--output={output}", f"--reference={reference}")
    assert code == 0 and "4 frame(s)" in said
    frames = [frame for _, frame in read_video(folder / "v.mp4")]
    for number, (first, second) in enumerate(pairs):
        before = max(0, number - 1) if reference == "previous" else 0
        np.testing.assert_array_equal(first, frames[before])
        np.testing.assert_array_equal(second, frames[number])
    written = [frame.mean() for _, frame in read_video(output)]
    np.testing.assert_allclose(written, [40, 80, 120, 160], atol=3)
    assert cv2.VideoCapture(str(output)).get(cv2.CAP_PROP_FPS) == 30
    done = json.loads((tmp_path / "m.json").read_text())
    assert (done["frames"], done["missing"], done["reference"]) == (4, 0, reference)
    assert {path.name for path in tmp_path.iterdir()} == {"m.mp4", "m.json"}


@pytest.mark.parametrize(
    "flags, said",
    [
        (PAIR, "MagNet needs weights that are not shipped"),
        ((*PAIR, "--weights=@other.safetensors"), "other.safetensors holds no MagNet"),
        ((*PAIR, "--weights=@missing.pth"), "missing.pth cannot be read"),
        ((*PAIR, "--weights=@"), "no checkpoint in"),
        (("--onset=@none.png", "--apex=@apex.png", FILE), "none.png: cannot be read"),
        (("--onset=@wide.png", "--apex=@apex.png", FILE), "have 20x20 and 24x20 pixels; cut"),
        (("--onset=@tiny.png", "--apex=@tiny.png", FILE), "24x6 pixels are too small"),
        (("--video=@none.mp4", "--output=m.mp4", FILE), "none.mp4: no such video file"),
        (("--video=@w.safetensors", "--output=m.mp4", FILE), "cannot be read as a video"),
        (("--video=@v.mp4", FILE), "has the suffix .png; take .mp4"),
        ((*PAIR, FILE, "--reference=first"), "--reference is for a --video"),
        ((*PAIR, FILE, "--output=@onset.png"), "is what is read"),
    ],
)
def test_what_cannot_be_magnified_is_one_line(call, tmp_path, monkeypatch, flags, said):
    monkeypatch.chdir(tmp_path)
    code, line = call(*flags)
    assert code == 2 and said in line and line.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_run_of_something_else_is_refused(call, tmp_path):
    save_imported(tmp_path / "other", tiny_config(), Weights({"a": np.zeros(1)}), "made up")
    code, line = call(*PAIR, f"--weights={tmp_path / 'other'}")
    assert code == 2 and "config.objective.name='micron_bert', which does not magnify" in line


def test_a_video_that_cannot_be_finished_leaves_nothing(call, tmp_path, monkeypatch):
    frames = iter(FRAMES[:2])

    def fails(first, second, factor):
        for frame in frames:
            return frame
        raise KeyboardInterrupt

    monkeypatch.setattr(magnify, "open_magnifier", lambda weights: fails)
    with pytest.raises(KeyboardInterrupt):
        call("--video=@v.mp4", f"--output={tmp_path / 'm.mp4'}")
    assert list(tmp_path.iterdir()) == []
