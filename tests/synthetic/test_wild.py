"""People outside the lab: scenes, poses, and what moves beside the face."""

import dataclasses

import cv2
import numpy as np
import pytest

from mubert_jax.data.faces import HaarDetector
from mubert_jax.data.records import encode_image
from mubert_jax.data.searching import PassedOver
from mubert_jax.data.sets.synthetic import Cast
from mubert_jax.errors import UserError
from mubert_jax.synthetic.clip import SyntheticClip
from mubert_jax.synthetic.conditions import WILD
from mubert_jax.synthetic.drawing import Pose
from mubert_jax.synthetic.scenery import scene
from mubert_jax.synthetic.wild import Wild

STILL = Wild(noise=0.0)


def clip(**fields):
    return SyntheticClip(**{"subject": 1, "index": 0, "size": 96, "nuisances": STILL} | fields)


def test_no_two_scenes_are_alike_and_all_are_pictures():
    scenes = [scene(np.random.default_rng(seed), 48) for seed in range(40)]
    assert all(made.shape == (48, 48, 3) and made.dtype == np.float32 for made in scenes)
    assert all(made.min() >= 0 and made.max() <= 1 for made in scenes)
    assert len({made.tobytes() for made in scenes}) == 40
    assert np.mean([made.std() > 0.05 for made in scenes]) > 0.8
    np.testing.assert_array_equal(scene(np.random.default_rng(3), 48), scenes[3])


def test_photographs_are_behind_people(tmp_path):
    photograph = np.zeros((60, 80, 3), np.uint8)
    photograph[::2] = 255
    (tmp_path / "stripes.png").write_bytes(encode_image(photograph, "png"))
    cast = Cast(conditions=("lab", "wild"), backgrounds=tmp_path)
    made = cast.recorded_under(PassedOver())
    assert not hasattr(made["lab"], "photographs")
    with_them = [clip(index=i, nuisances=made["wild"], size=32).frame(0) for i in range(6)]
    without = [clip(index=i, nuisances=WILD, size=32).frame(0) for i in range(6)]
    assert any((a != b).any() for a, b in zip(with_them, without, strict=True))


@pytest.mark.parametrize(
    ("folder", "conditions", "said"),
    [
        ("absent", ("wild",), "no such folder"),
        ("", ("wild",), "no photograph"),
        ("", ("lab",), "add one of wild, busy-wild to --conditions"),
    ],
)
def test_backgrounds_that_nobody_can_use(tmp_path, folder, conditions, said):
    with pytest.raises(UserError, match=said):
        Cast(conditions=conditions, backgrounds=tmp_path / folder).recorded_under(PassedOver())


def test_a_turned_face_keeps_its_outline_and_turns_to_its_right():
    ahead = Pose((0.5, 0.5), 0.3, 0.0, (0, -0.5, 1), 0.5)
    turned = dataclasses.replace(ahead, yaw=0.3)
    (x, y), (turned_x, turned_y) = ahead.to_face(64), turned.to_face(64)
    np.testing.assert_array_equal(y, turned_y)
    outside = x**2 + (y / 1.3) ** 2 >= 1
    np.testing.assert_array_equal(x[outside], turned_x[outside])
    assert (np.diff(turned_x, axis=1) > 0).all()
    # The column of the nose, where x is 0.
    middle = np.abs(turned_x[32]).argmin()
    assert 0.2 < x[32, middle] < 0.35


@pytest.mark.slow
def test_faces_are_of_many_sizes_and_found_by_haar():
    poses = [clip(index=index).pose for index in range(60)]
    widths = [pose.half_width for pose in poses]
    assert min(widths) < 0.19 and max(widths) > 0.31
    detector = HaarDetector()
    frames = [clip(subject=number, size=224).frame(0) for number in range(10)]
    assert sum(len(detector(frame)) > 0 for frame in frames) >= 5


def test_hair_and_clothes_sway_and_the_face_does_not():
    """No other movement is asked for, and frame 0 is before the face moves."""
    still = clip(size=128)
    swaying = clip(size=128, nuisances=dataclasses.replace(STILL, sway=6.0))
    _, face, _, _ = still._drawn
    inside = cv2.resize(cv2.erode(face, np.ones((15, 15))), (128, 128)) > 0.99
    change = np.abs(swaying._clean(0) - still._clean(0)).mean(-1)
    assert change[~inside].mean() > 20 * change[inside].mean()
    onset, apex = still.course.onset, still.course.apex
    for name in ("displacement", "visible"):
        a, b = (getattr(made.truth(onset, apex, 8), name) for made in (still, swaying))
        np.testing.assert_allclose(a, b, atol=0.02 * a.max())


def test_some_recordings_have_no_colour():
    def colourless(index):
        frame = clip(index=index, nuisances=dataclasses.replace(STILL, colourless=0.5), size=32)
        return np.ptp(frame.frame(0), axis=-1).max() == 0

    grey = [colourless(index) for index in range(24)]
    assert 5 < sum(grey) < 19
