"""The automatic apex follows the face, not the head or the light."""

import cv2
import numpy as np

from mubert_jax.data.labelled.apex import automatic_apex, changes


def face(raised: float, shift: float = 0.0, gain: float = 1.0) -> np.ndarray:
    """A 96x96 face whose mouth corner is `raised` pixels, moved and lit as a whole."""
    rows, columns = np.mgrid[:96, :96].astype(np.float64)
    columns = columns - shift
    image = 120 + 30 * np.sin(rows / 7) * np.cos(columns / 9)
    for x in (32, 64):
        image -= 70 * np.exp(-((rows - 38) ** 2 + (columns - x) ** 2) / 40)
    lift = raised * np.exp(-((columns - 60) ** 2) / 60)
    image -= 60 * np.exp(-((rows - 68 + lift) ** 2) / 8) * (np.abs(columns - 48) < 18)
    image = cv2.GaussianBlur(np.clip(gain * image, 0, 255), (5, 5), 0)
    return np.repeat(image.astype(np.uint8)[..., None], 3, axis=2)


RAISED = np.array([0.5, 1, 2, 3, 3.5, 3, 2, 1, 0.5, 0, 0])


def test_the_apex_is_where_the_mouth_moved_most():
    assert automatic_apex(face(0), [face(raised) for raised in RAISED]) == 4


def test_drift_and_light_that_grow_do_not_move_it():
    frames = [
        face(raised, shift=0.25 * t, gain=1 + 0.01 * t) for t, raised in enumerate(RAISED, start=1)
    ]
    raw = [np.abs(frame.astype(int) - face(0)).mean() for frame in frames]
    assert np.argmax(raw) == len(frames) - 1, "the plain difference is taken in"
    assert automatic_apex(face(0), frames) in (3, 4, 5)


def test_no_change_is_no_change():
    assert changes(face(0), [face(0)] * 3).max() < 1e-6
