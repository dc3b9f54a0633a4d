"""A moving picture of a video's maps, whole or not at all."""

import cv2
import numpy as np
import pytest
from PIL import Image

from mubert_jax.data.video import read_video
from mubert_jax.errors import UserError
from mubert_jax.perception.animation import OUTLINE, SIDE, write_animation
from mubert_jax.perception.maps import Maps


def maps(count=5, grid=8):
    rng = np.random.default_rng(0)
    frames = (
        np.repeat(rng.integers(60, 200, (count, 1, 1, 3)), 64, 1).repeat(64, 2).astype(np.uint8)
    )
    poi = np.zeros((count, grid, grid))
    poi[:, 2:6, 2:6] = 4.0
    moved = np.zeros((count, grid, grid))
    moved[1:, 4, 3] = 2.0
    return Maps(frames, frames, frames[..., 0] * 0.0, moved, poi, moved * poi, moved[..., None] * 0)


@pytest.mark.parametrize("name", ["a.gif", "a.mp4"])
def test_a_picture_per_pair_with_heat_where_it_moved_and_an_outline_where_poi_looks(tmp_path, name):
    write_animation(maps(), 8.0, 10.0, tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    if name == "a.gif":
        with Image.open(tmp_path / name) as picture:
            assert picture.info["duration"] == 100 and picture.n_frames == 5
            shown = []
            for number in range(5):
                picture.seek(number)
                shown.append(np.asarray(picture.convert("RGB")))
    else:
        shown = [image for _, image in read_video(tmp_path / name)]
    assert len(shown) == 5 and shown[0].shape == (SIDE, 2 * SIDE, 3)
    right = np.stack(shown)[:, :, SIDE:].astype(int)
    y, x = (int((place + 0.5) * SIDE / 8) for place in (4, 3))
    # Inferno is yellow at full colour: far more red than blue. What stays still is grey.
    assert np.ptp(right[0, y, x]) < 30 and right[1, y, x, 0] > right[1, y, x, 2] + 60
    edge = np.abs(right[0] - np.array(OUTLINE)).sum(-1) < 120
    assert edge.sum() > SIDE // 2 and not edge[: SIDE // 8].any()


def test_nothing_is_left_where_it_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "a.mp4").write_bytes(b"before")
    monkeypatch.setattr(cv2.VideoWriter, "isOpened", lambda self: False)
    with pytest.raises(UserError, match="cannot encode vp09.*give --animation a .gif"):
        write_animation(maps(), 8.0, 10.0, tmp_path / "a.mp4")
    assert (tmp_path / "a.mp4").read_bytes() == b"before"
    assert len(list(tmp_path.iterdir())) == 1
