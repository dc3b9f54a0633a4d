"""Every motion map sees a moved disc, and what each is for removes what it is for."""

import cv2
import numpy as np
import pytest

from mubert_jax.data.video import grey
from mubert_jax.motion_maps import available, load

SIZE = 64


def scene(shift=0.0, whole=(0.0, 0.0), gain=1.0, slope=0.0):
    """A textured square with a disc of texture that is shifted by `shift` pixels."""
    random = np.random.default_rng(0)
    texture = cv2.GaussianBlur(random.random((SIZE, SIZE)) * 255, (0, 0), 2.0)
    texture = (texture - texture.mean()) * 4 + 128
    rows, columns = np.mgrid[:SIZE, :SIZE].astype(np.float32)
    window = np.exp(-((rows - 32) ** 2 + (columns - 40) ** 2) / 60)
    x = (columns - whole[0] - shift * window).astype(np.float32)
    y = (rows - whole[1]).astype(np.float32)
    image = cv2.remap(texture.astype(np.float32), x, y, cv2.INTER_CUBIC, borderMode=4)
    image = image * (gain + slope * (columns / SIZE - 0.5))
    return np.clip(image, 0, 255).astype(np.uint8)[..., None].repeat(3, -1), window > 0.3


LEARNED = ("magnet", "raft")  # their weights are not shipped


@pytest.mark.parametrize("name", [name for name in available() if name not in LEARNED])
def test_every_method_sees_the_disc(name):
    (onset, _), (apex, disc) = scene(), scene(shift=1.5)
    method, face = load(name), np.ones((SIZE, SIZE), bool)
    shape = (SIZE, SIZE, 2) if method.gives == "flow" else (SIZE, SIZE)
    assert method(onset, apex, face).shape == shape
    if method.gives == "flow":
        right, down = method(onset, apex, face)[disc].mean(0)
        assert right > 0.3 and abs(down) < 0.2
    seen = method.strength(onset, apex, face)
    assert seen.shape == (SIZE, SIZE) and (seen >= 0).all()
    far = ~cv2.dilate(disc.astype(np.uint8), np.ones((13, 13))).astype(bool)
    assert seen[disc].mean() > 4 * seen[far].mean()


def test_compensation_removes_light_and_drift_but_not_the_disc():
    face = np.ones((SIZE, SIZE), bool)
    (onset, _), (apex, disc) = scene(), scene(1.5, whole=(1.2, -0.8), gain=1.1, slope=0.2)
    inner = np.zeros((SIZE, SIZE), bool)
    inner[6:-6, 6:-6] = True
    away = inner & ~cv2.dilate(disc.astype(np.uint8), np.ones((13, 13))).astype(bool)
    plain = np.abs(grey(apex) - grey(onset))
    fitted = load("difference_compensated").strength(onset, apex, face)
    assert fitted[away].mean() < 0.12 * plain[away].mean()
    assert fitted[disc].mean() > 8 * fitted[away].mean()
