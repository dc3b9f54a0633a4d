"""Recorded flow on another face: the directions, the places, the length, and nothing beside it."""

import cv2
import numpy as np
import pytest

from mubert_jax.errors import UserError
from mubert_jax.synthetic.clip import SyntheticClip
from mubert_jax.synthetic.drawing import draw_person
from mubert_jax.synthetic.nuisances import Nuisances
from mubert_jax.synthetic.recorded import Recorded, RecordedMovement


def bump(row, column, sigma=2.0):
    rows, columns = np.mgrid[:28, :28]
    return np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * sigma**2))


def clip(u, v, **fields):
    recorded = Recorded("positive", np.stack([u, v], -1))
    made = {"size": 96, "nuisances": Nuisances(noise=0.0), "recorded": recorded}
    return SyntheticClip(**{"subject": 100_001, "index": 0} | made | fields)


def test_positive_u_moves_to_the_right_and_positive_v_moves_down():
    """Farnebäck's flow between onset and apex, which knows nothing of how they were made."""
    made = clip(bump(9, 20), bump(21, 10), size=224, amplitudes=(2.5, 2.5))
    onset, apex = (made.frame(n) for n in (made.course.onset, made.course.apex))
    grey = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (onset, apex)]
    seen = cv2.calcOpticalFlowFarneback(*grey, None, 0.5, 3, 21, 5, 7, 1.5, 0)
    field = made.movement.field(made.pose, 224)
    right, down = ((field[..., axis] > 1.8) for axis in (0, 1))
    np.testing.assert_allclose(seen[right].mean(0), (2.0, 0), atol=0.6)
    np.testing.assert_allclose(seen[down].mean(0), (0, 2.0), atol=0.6)
    (right_row, right_column), (down_row, down_column) = (
        np.argwhere(m).mean(0) for m in (right, down)
    )
    assert right_row < down_row - 50 and right_column > down_column + 40


def test_the_longest_has_the_amplitude_and_beside_the_face_nothing_moves():
    everywhere = np.ones((28, 28))
    made = clip(3 * everywhere, 4 * everywhere, amplitudes=(2.0, 2.0))
    length = np.linalg.norm(made.movement.field(made.pose, 96), axis=-1)
    np.testing.assert_allclose(length.max(), 2 * 96 / 224, rtol=1e-5)
    _, face = draw_person(made.identity, made.pose, 96)
    assert length[face < 0.02].max() == 0
    assert (length[face > 0.98] > 0.9 * length.max()).mean() > 0.6
    assert np.abs(np.diff(length, axis=1)).max() < 0.5 * length.max()


@pytest.mark.parametrize("row, feature", [(0.39 * 28, "eye"), (0.79 * 28, "mouth")])
def test_what_moved_at_eyes_and_mouth_moves_at_those_of_the_face(row, feature):
    for subject in (100_001, 100_002):
        made = clip(bump(row - 0.5, 13.5, 1.0), np.zeros((28, 28)), subject=subject)
        x, y = made.pose.to_face(192)
        length = np.linalg.norm(made.movement.field(made.pose, 192), axis=-1)
        furthest = x.flat[length.argmax()], y.flat[length.argmax()]
        np.testing.assert_allclose(furthest, (0, getattr(made.identity, feature)[1]), atol=0.03)


def test_the_field_turns_with_the_head():
    made = clip(bump(14, 14), np.zeros((28, 28)))
    roll = made.pose.roll
    field = made.movement.field(made.pose, 96).reshape(-1, 2)
    longest = field[np.linalg.norm(field, axis=1).argmax()]
    np.testing.assert_allclose(np.arctan2(longest[1], longest[0]), roll, atol=1e-3)


def test_flow_in_the_corners_alone_moves_nothing():
    corner = np.zeros((28, 28))
    corner[0, 0] = 1
    made = clip(corner, corner)
    with pytest.raises(UserError, match="moves nothing inside of the face"):
        RecordedMovement(made.recorded, made.identity, 1.0).field(made.pose, 96)
