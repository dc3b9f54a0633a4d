"""Onset and apex of two sizes, turned, deep, transparent, or the same file: compared or refused."""

import cv2
import jax
import numpy as np
import pytest
from conftest import tiny_config
from rich.console import Console

from mubert_jax.errors import UserError
from mubert_jax.models.micron_bert import build_model, init_params
from mubert_jax.perception.perceive import PerceiveOptions, Session, perceive_images
from mubert_jax.perception.trained import Trained
from mubert_jax.training.contamination import Seen


@pytest.fixture(scope="module")
def trained():
    config = tiny_config(loss__agreement="none")
    model = build_model(config)
    params = jax.jit(lambda: init_params(model, jax.random.key(config.training.seed)))()
    return Trained(config, model, params, 1.0, Seen())


@pytest.fixture(scope="module")
def scene():
    """(96, 128, 3): smooth, with a mark left of the middle."""
    rows, columns = np.mgrid[:96, :128]
    image = np.stack([rows, columns, rows + columns], axis=-1).astype(np.uint8)
    image[40:56, 30:50] = 250
    return image


def resized(image, width, height):
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize("crop", ["none", "center", "face"])
@pytest.mark.parametrize("size", [(256, 192), (64, 48), (129, 96)])
def test_another_size_of_the_same_picture_is_brought_to_the_first(
    trained, scene, crop, size, monkeypatch
):
    from mubert_jax.data.faces import Box

    monkeypatch.setattr("mubert_jax.perception.perceive.clip_box", lambda *_: Box(20, 20, 60))
    session = Session(trained, PerceiveOptions(crop=crop))
    images = [scene, resized(scene, *size)]
    first, second = map(session.cutter(images, "a or b"), images)
    assert first.shape == second.shape == (32, 32, 3)
    assert np.abs(first.astype(int) - second.astype(int)).mean() < 8
    assert session.notes == [
        f"a or b: images of {size[0]}x{size[1]} pixels are brought to the 128x96 of the first"
    ]


@pytest.mark.parametrize("crop", ["none", "center"])
@pytest.mark.parametrize("size", [(96, 128), (140, 96), (256, 200)])
def test_another_picture_is_refused_with_both_sizes(trained, scene, crop, size):
    session = Session(trained, PerceiveOptions(crop=crop))
    cut = session.cutter([scene], "video.avi")
    with pytest.raises(UserError, match=f"128x96 and of {size[0]}x{size[1]} pixels"):
        cut(resized(scene, *size))


def perceived(trained, folder, onset, apex) -> tuple[str, np.ndarray]:
    """What was said of two image files, and their maps."""
    console = Console(record=True, width=300, quiet=False, file=open("/dev/null", "w"))
    output = folder / "maps.png"
    options = PerceiveOptions(crop="none")
    perceive_images(trained, folder / onset, folder / apex, output, options, console)
    with np.load(folder / "maps.npz") as arrays:
        return console.export_text(), arrays["difference"]


def test_the_same_file_is_said(trained, scene, tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), scene)
    cv2.imwrite(str(tmp_path / "b.png"), resized(scene, 256, 192))
    said, difference = perceived(trained, tmp_path, "a.png", "a.png")
    assert "the same frame: there is no movement to see" in said and not difference.any()
    said, difference = perceived(trained, tmp_path, "a.png", "b.png")
    assert "b.png: images of 256x192 pixels are brought to the 128x96" in said
    assert difference.mean() < 8


def test_deep_and_transparent_images_are_compared_alike(trained, scene, tmp_path):
    deep = scene.astype(np.uint16) << 4
    cv2.imwrite(str(tmp_path / "a.png"), deep)
    cv2.imwrite(str(tmp_path / "b.png"), deep // 2)
    _, difference = perceived(trained, tmp_path, "a.png", "b.png")
    assert abs(difference.mean() - scene.mean() / 2) < 12
    alpha = np.full(scene.shape[:2], 99, np.uint8)
    cv2.imwrite(str(tmp_path / "c.png"), np.dstack([scene, alpha]))
    cv2.imwrite(str(tmp_path / "d.png"), scene)
    said, difference = perceived(trained, tmp_path, "c.png", "d.png")
    assert not difference.any() and "same frame" in said
