"""The foreign condition: its truth is what the frames show, and it is made another way."""

import itertools

import cv2
import numpy as np
import pytest

from mubert_jax.data import video
from mubert_jax.errors import UserError
from mubert_jax.synthetic import foreign
from mubert_jax.synthetic.clip import SyntheticClip
from mubert_jax.synthetic.drawing import Pose
from mubert_jax.synthetic.expressions import EMOTIONS, Expression
from mubert_jax.synthetic.foreign import Foreign, through_codec
from mubert_jax.synthetic.identity import Identity
from mubert_jax.synthetic.mesh import PULLS, MeshMovement, landmarks
from mubert_jax.synthetic.movements import ACTION_UNITS

UPRIGHT = Pose((0.5, 0.5), 0.3, 0.0, (0, -0.5, 1), 0.5)
# A camera that adds nothing, so that what is left is the mesh.
QUIET = Foreign(0, 0, 0, 0, 0, 0, electrons=1e9, read_noise=0)


def clip(**fields):
    return SyntheticClip(**{"subject": 1, "index": 0, "size": 64, "nuisances": Foreign()} | fields)


def movement(emotion="surprise", seed=0, amplitude=2.0):
    random = np.random.default_rng(seed)
    expression = Expression.typical(random, emotion)
    return MeshMovement.of_expression(random, Identity.draw(seed), expression, amplitude)


def test_the_same_clip_is_the_same_video_again():
    first, again = clip(), clip()
    for number in (7, 0, 7):
        np.testing.assert_array_equal(first.frame(number), again.frame(number))
    assert (clip(index=1).frame(0) != first.frame(0)).mean() > 0.3


def test_every_action_unit_of_an_emotion_pulls_landmarks_that_exist():
    assert PULLS.keys() == ACTION_UNITS.keys()
    names = landmarks(Identity.draw(0))
    assert {name for pulls in PULLS.values() for name in pulls} <= names.keys()


@pytest.mark.parametrize("emotion", EMOTIONS)
def test_the_field_has_the_pulls_at_the_landmarks_and_is_affine_between(emotion):
    moved = movement(emotion)
    field = moved.field(UPRIGHT, 448)
    assert np.linalg.norm(field, axis=-1).max() == pytest.approx(4.0, rel=0.06)
    for (x, y), pull in zip(moved.points, moved.pulls, strict=True):
        place = np.array(UPRIGHT.center) + np.array((x, y)) * UPRIGHT.half_width
        column, row = (place * 448 - 0.5).round().astype(int)
        np.testing.assert_allclose(field[row, column], 4.0 * pull, atol=0.45)
    # Second differences vanish but at the edges of triangles.
    bend = (
        np.abs(np.diff(field, 2, axis=0)).max(-1)[:, 1:-1]
        + np.abs(np.diff(field, 2, axis=1)).max(-1)[1:-1]
    )
    moving = np.linalg.norm(field, axis=-1)[1:-1, 1:-1] > 0.2
    assert moving.sum() > 200
    assert (bend[moving] < 1e-4).mean() > 0.75 and bend[moving].max() > 0.02


def test_what_does_not_move_does_not_move_at_all():
    """A Gaussian window has a tail everywhere; a mesh ends."""
    field = movement().field(UPRIGHT, 224)
    assert (field == 0).all(-1).mean() > 0.7


def test_landmarks_go_their_own_ways():
    pulls = movement(seed=3).pulls
    ways = [np.degrees(np.arctan2(*pull)) for pull in pulls if pull.any()]
    assert len(ways) > 4 and np.ptp(np.unwrap(np.radians(ways))) > np.radians(15)


@pytest.mark.parametrize("emotion", ["surprise", "happiness"])
def test_the_truth_is_the_flow_that_the_pictures_show(emotion):
    made = next(
        found
        for index in itertools.count()
        if (
            found := clip(index=index, size=224, nuisances=QUIET, amplitudes=(2.5, 2.6))
        ).movement.emotion
        == emotion
    )
    onset, apex = made.course.onset, made.course.apex
    truth = made.truth(onset, apex, 8)
    grey = [
        cv2.cvtColor((np.clip(made._clean(i), 0, 1) * 255).astype(np.uint8), cv2.COLOR_RGB2GRAY)
        for i in (onset, apex)
    ]
    flow = cv2.calcOpticalFlowFarneback(*grey, None, 0.5, 3, 21, 5, 7, 1.5, 0)
    length = np.linalg.norm(flow, axis=-1).reshape(28, 8, 28, 8).mean((1, 3))
    moved = (truth.displacement > 1.0) & (truth.visible > 3)
    assert moved.sum() > 4
    assert np.abs(length[moved] - truth.displacement[moved]).mean() < 0.6
    assert length[truth.displacement == 0].mean() < 0.1


def test_what_is_no_movement_is_not_in_the_truth():
    made = clip()
    still = made.truth(0, made.course.onset, 8)
    assert still.displacement.max() == 0 and still.face.max() > 0.9
    assert (made.frame(0) != made.frame(made.course.onset)).mean() > 0.5


def test_noise_is_that_of_photons():
    """Its variance grows with the light, as Poisson's does, on top of what is read."""
    camera = Foreign(exposure=0, gamma=0, electrons=2000, read_noise=10)
    walks, random = np.zeros(8), np.random.default_rng(0)
    for light in (0.05, 0.3, 0.8):
        flat = np.full((200, 200, 3), light ** (1 / foreign.DISPLAY_GAMMA))
        level = camera._exposed(flat, walks, random) / 255
        electrons = level**foreign.DISPLAY_GAMMA * 2000
        assert electrons.mean() == pytest.approx(2000 * light, rel=0.01)
        assert electrons.var() == pytest.approx(2000 * light + 100, rel=0.08)


def test_the_frames_went_through_a_video_codec():
    """It keeps what is there, and loses noise that a picture by itself would have kept."""
    made, camera = clip(size=96), Foreign()
    raw = [
        camera._exposed(made._clean(i), made._path.at(i / 24), made._random(5, i))
        for i in range(24)
    ]
    kept = through_codec(raw)
    np.testing.assert_array_equal(made.frame(11), kept[11])
    lost = np.abs(kept[11].astype(int) - raw[11])
    assert 0.5 < lost.mean() < 12


def test_odd_sizes_go_through_the_codec():
    frames = list(np.random.default_rng(0).integers(0, 255, (3, 33, 35, 3), np.uint8))
    assert [frame.shape for frame in through_codec(frames)] == [(33, 35, 3)] * 3


def test_without_the_encoder_one_line_says_so(monkeypatch):
    monkeypatch.setattr(video, "CODEC", "none")
    with pytest.raises(UserError, match="cannot encode none"):
        clip().frame(0)
