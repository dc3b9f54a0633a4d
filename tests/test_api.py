"""The package from Python, as a newcomer would use it."""

import subprocess
import sys

import cv2
import numpy as np
import pytest
from conftest import fresh_state, tiny_config

import mubert_jax as mb
from mubert_jax import api
from mubert_jax.errors import UserError
from mubert_jax.perception.perceive import PerceiveOptions, Session
from mubert_jax.recognition.predictions import Facts
from mubert_jax.synthetic.clip import SyntheticClip
from mubert_jax.synthetic.conditions import CONDITIONS
from mubert_jax.training.checkpoints import Weights, save_imported
from mubert_jax.training.contamination import Seen


@pytest.fixture(scope="module")
def model():
    return mb.load("shipped")


@pytest.fixture(scope="module")
def frames():
    """Onset and apex of one person, larger than the model's frames."""
    clip = SyntheticClip(100_000, 0, 0, CONDITIONS["clean"], 160)
    return clip.frame(clip.course.onset), clip.frame(clip.course.apex)


@pytest.fixture(scope="module")
def recognizing_run(tmp_path_factory):
    """A run's folder with an untrained recognizer."""
    folder = tmp_path_factory.mktemp("run")
    config = tiny_config(
        model__recognizer__classes=3, model__recognizer__reads="movement", loss__agreement="none"
    )
    save_imported(folder, config, Weights(fresh_state(config).params), "random", Seen())
    Facts(classes=("disgust", "happiness", "surprise")).save(folder)
    return folder


def test_maps_are_those_of_the_command(model, frames):
    found = model.maps(*frames, crop="none")
    session = Session(api.open_trained("shipped"), PerceiveOptions(crop="none"))
    cut = session.cutter(list(frames), "frames")
    wanted = session.compare(cut(frames[0])[None], cut(frames[1])[None])
    np.testing.assert_array_equal(found.dma_poi, wanted.dma_poi)
    assert found.dma.shape == (1, 14, 14) and len(found) == 1


def test_several_pairs_are_looked_at_together(model, frames):
    onset, apex = frames
    found = model.maps([onset, apex], [apex, apex], crop="none")
    np.testing.assert_allclose(found.dma[0], model.maps(*frames, crop="none").dma[0], atol=1e-5)
    np.testing.assert_allclose(found.dma[1], 0, atol=1e-4)
    stacked = model.maps(np.stack([onset, apex]), np.stack([apex, apex]), crop="none")
    np.testing.assert_array_equal(stacked.dma, found.dma)


def test_registration_can_be_switched_off(model, frames):
    drifted = np.roll(frames[0], 2, axis=1)
    registered, not_at_all = (
        model.maps(frames[0], drifted, crop="none", align=align).dma.mean()
        for align in (None, "none")
    )
    assert registered < 0.1 * not_at_all


def test_features_are_one_row_per_pair(model, frames):
    assert model.features(*frames, crop="none").shape == (1, 2 * 14 * 14)


def test_images_by_their_paths(model, frames, tmp_path):
    paths = [tmp_path / "onset.png", tmp_path / "apex.png"]
    for path, image in zip(paths, frames, strict=True):
        cv2.imwrite(str(path), image[..., ::-1])
    found = model.maps(*paths, crop="none")
    np.testing.assert_array_equal(found.dma, model.maps(*frames, crop="none").dma)


@pytest.mark.parametrize(
    "onset, apex, said",
    [
        (np.zeros((8, 8), np.uint8), np.zeros((8, 8), np.uint8), "frames are"),
        (np.zeros((8, 8, 3)), np.zeros((8, 8, 3)), "float64"),
        (np.zeros((2, 8, 8, 3), np.uint8), np.zeros((8, 8, 3), np.uint8), "give pairs"),
    ],
)
def test_what_are_no_frames(model, onset, apex, said):
    with pytest.raises(UserError, match=said):
        model.maps(onset, apex, crop="none")


def test_the_package_has_no_recognizer(model, frames):
    assert model.classes == ()
    with pytest.raises(UserError, match="no recognizer"):
        model.predict(*frames, crop="none")


def test_a_recognizer_from_python(recognizing_run, frames):
    model = mb.load(recognizing_run)
    found = model.predict(*frames, crop="none")
    assert set(found.probabilities) == set(model.classes)
    assert sum(found.probabilities.values()) == pytest.approx(1, abs=1e-5)
    assert model.features(*frames, crop="none").shape[0] == 1


def test_a_video(tmp_path, frames):
    path = tmp_path / "video.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, (160, 160))
    for image in frames:
        writer.write(image[..., ::-1])
    writer.release()
    assert mb.read_video(path).shape == (2, 160, 160, 3)


def test_what_is_there_is_listed_and_nothing_else_is_found():
    assert set(mb.__all__) <= set(dir(mb))
    with pytest.raises(AttributeError, match="no attribute 'maps'"):
        _ = mb.maps


def test_the_package_is_imported_without_jax():
    code = "import sys, mubert_jax; print('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
