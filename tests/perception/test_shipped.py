"""The weights in the package: they see a micro-movement better than subtraction, and stillness."""

import cv2
import numpy as np
import pytest

from mubert_jax.bench.figure import picture
from mubert_jax.cli import main
from mubert_jax.data.controlled.clip import ControlledClip
from mubert_jax.data.sets.controlled import FIRST_TEST_SUBJECT
from mubert_jax.errors import UserError
from mubert_jax.interop.opening import SHIPPED, SHIPPED_FILE, open_trained
from mubert_jax.perception.controlled import (
    benchmark_pairs,
    evaluate,
    learned_methods,
    mass_on_face,
    rival_methods,
)
from mubert_jax.perception.maps import Perceiver

SUBJECTS = 6


@pytest.fixture(scope="module")
def trained():
    return open_trained(SHIPPED)


@pytest.fixture(scope="module")
def perceiver(trained):
    return Perceiver(trained.model, trained.params, batch=1)


@pytest.fixture(scope="module")
def scores(trained, perceiver):
    """(condition, method) -> scores over test people."""
    model = trained.config.model
    methods = learned_methods(perceiver, ("robust",))
    methods["difference"] = rival_methods(model.patch_size)["difference"]
    pairs = {
        condition: list(benchmark_pairs(condition, SUBJECTS, model.image_size, model.patch_size))
        for condition in ("clean", "background", "all")
    }
    found = {
        (condition, name): evaluate(method, drawn)["all"]
        for condition, drawn in pairs.items()
        for name, method in methods.items()
    }
    found["mass"] = mass_on_face(perceiver, pairs["background"])
    return found


def test_small_enough_and_with_a_card():
    assert SHIPPED_FILE.stat().st_size < 12e6
    card = SHIPPED_FILE.with_name("CARD.md").read_text()
    for word in ("Data", "Config", "Commit", "Scores", "Limits"):
        assert f"## {word}" in card


def test_nothing_is_seen_where_nothing_moves(scores):
    """The null test: energy between two still moments over energy between onset and apex."""
    assert scores["clean", "DMA × POI, robust"]["null"].value < 0.05
    assert scores["background", "DMA × POI, robust"]["null"].value < 0.15
    assert scores["all", "DMA × POI, robust"]["null"].value < 0.3


def test_equal_frames_give_an_empty_map(perceiver):
    frame = ControlledClip(FIRST_TEST_SUBJECT, 0, size=perceiver.config.image_size).frame(0)
    assert not perceiver(frame[None], frame[None]).dma.any()


def test_a_frame_that_went_down_a_pixel_went_down_everywhere(perceiver):
    frame = ControlledClip(FIRST_TEST_SUBJECT, 0, size=114).frame(0)
    moved = perceiver(frame[None, 1:-1, 1:-1], frame[None, :-2, 1:-1]).displacement
    assert abs(np.median(moved[..., 1]) - 1) < 0.2
    assert abs(np.median(moved[..., 0])) < 0.1


def test_beats_frame_difference_inside_the_face(scores):
    ours = scores["all", "DMA, robust"]["auc_in_face"]
    theirs = scores["all", "difference"]["auc_in_face"]
    assert ours.value > theirs.value + 0.08
    assert ours.low > theirs.value


def test_beats_frame_difference_over_the_frame_where_the_background_moves(scores):
    for condition in ("background", "all"):
        ours = scores[condition, "DMA × POI, robust"]["auc"]
        assert ours.value > scores[condition, "difference"]["auc"].value + 0.12


def test_poi_is_on_the_face_where_the_background_moves(scores):
    assert scores["mass"] > 0.85


def test_perceive_needs_no_training(tmp_path, capsys):
    clip = ControlledClip(FIRST_TEST_SUBJECT, 1, size=160)
    for name, number in {"onset": clip.course.onset, "apex": clip.course.apex}.items():
        frame = cv2.cvtColor(clip.frame(number), cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(tmp_path / f"{name}.png"), frame)
    flags = [f"--{name}={tmp_path / name}.png" for name in ("onset", "apex")]
    output = tmp_path / "maps.png"
    assert main(["perceive", *flags, "--crop=none", f"--output={output}"]) == 0
    assert "No scale was measured" not in capsys.readouterr().out
    assert cv2.imread(str(output)) is not None
    with np.load(output.with_suffix(".npz")) as arrays:
        assert arrays["dma"].max() > 0
        assert arrays["displacement"].shape == (*arrays["dma"].shape, 2)


def test_a_file_that_is_no_export_of_ours_is_refused(tmp_path):
    from safetensors.numpy import save_file

    path = tmp_path / "theirs.safetensors"
    save_file({"backbone.cls_token": np.zeros((1, 1, 8), np.float32)}, path)
    with pytest.raises(UserError, match="mubert import --input"):
        open_trained(str(path))
    with pytest.raises(UserError, match="no checkpoint"):
        open_trained(str(tmp_path / "absent"))


def test_the_figure(trained, tmp_path):
    path = tmp_path / "figure.png"
    picture(trained, ("clean",), path)
    height, width, _ = cv2.imread(str(path)).shape
    assert width > 1500 and height > 400
