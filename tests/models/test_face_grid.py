"""The same part of a face is in the same place, wherever the face is and however large."""

import jax
import jax.numpy as jnp
import numpy as np
from numpy.testing import assert_allclose

from mubert_jax.config import RecognizerConfig
from mubert_jax.models.face_grid import REACH, face_grid
from mubert_jax.models.recognizer import Recognizer

GRID = 16


def face(middle, half, cells=GRID):
    """S of a face on a frame of `GRID` patches, and a value per cell that is a part of the face."""
    places = (np.arange(cells) + 0.5) * GRID / cells - 0.5
    y, x = ((places - center) / size for center, size in zip(middle, half, strict=True))
    values = np.stack([np.sin(2 * y)[:, None] + 0 * x, y[:, None] * x, 0 * y[:, None] + x], -1)
    return values.reshape(1, cells**2, 3)


def interest(middle, half):
    y, x = ((np.arange(GRID) - center) / size for center, size in zip(middle, half, strict=True))
    inside = np.maximum(1 - (y**2)[:, None] - x**2, 0)
    return (inside / inside.sum()).reshape(1, GRID**2)


def test_a_face_elsewhere_and_of_another_size_is_read_alike():
    large = face_grid(face((7.5, 7.5), (6, 5)), interest((7.5, 7.5), (6, 5)))
    small = face_grid(face((6, 9), (4.5, 4)), interest((6, 9), (4.5, 4)))
    assert_allclose(large, small, atol=0.08)
    assert float(jnp.std(large)) > 0.4


def test_places_are_those_of_the_mean_and_the_spread():
    scores = interest((6, 9), (4, 5))
    rows, columns = np.mgrid[:GRID, :GRID].reshape(2, 1, -1, 1)
    # Counted from 1, so that nothing beyond the frame is not the same as its first patch.
    placed = face_grid(np.concatenate([rows, columns], -1) + 1, scores)[0].reshape(GRID, GRID, 2)
    weights = np.maximum(scores - 0.1 * scores.max(), 0).reshape(GRID, GRID)
    weights /= weights.sum()
    for axis, middle in ((0, 6), (1, 9)):
        share = weights.sum(1 - axis)
        spread = np.sqrt((share * (np.arange(GRID) - middle) ** 2).sum())
        expected = middle + REACH * spread * np.linspace(-1, 1, GRID)
        assert_allclose(placed[..., axis].mean(1 - axis), expected.clip(0, GRID - 1) + 1, atol=1e-4)


def test_cells_may_be_smaller_than_patches():
    middle, half = (7, 8), (5, 4)
    coarse = face_grid(face(middle, half), interest(middle, half)).reshape(GRID, GRID, 3)
    fine = face_grid(face(middle, half, 2 * GRID), interest(middle, half))
    fine = fine.reshape(2 * GRID, 2 * GRID, 3)
    assert_allclose(fine[::31, ::31], coarse[::15, ::15], atol=0.05)


def test_a_little_interest_all_over_the_frame_does_not_widen_the_grid():
    scores = interest((6, 9), (4, 4))
    values = face((6, 9), (4, 4))
    spread_out = scores + 0.05 * scores.max()
    assert_allclose(face_grid(values, spread_out), face_grid(values, scores), atol=0.1)


def test_faces_of_a_batch_are_read_each_by_its_own_s():
    faces = [((6, 9), (4.5, 4)), ((7.5, 7), (6, 5)), ((8, 6), (3, 4))]
    values, scores = (np.concatenate([make(*one) for one in faces]) for make in (face, interest))
    together = face_grid(values, scores)
    for i in range(len(faces)):
        assert_allclose(together[i : i + 1], face_grid(values[i : i + 1], scores[i : i + 1]))


def test_a_uniform_s_covers_the_frame():
    values = np.arange(1, GRID**2 + 1.0).reshape(1, -1, 1)
    placed = face_grid(values, np.full((1, GRID**2), GRID**-2.0))
    assert float(placed.min()) == 1 and float(placed.max()) == GRID**2


def test_an_s_of_one_patch_has_finite_gradients():
    scores = jnp.zeros((1, GRID**2)).at[0, 40].set(1.0)
    values = jnp.asarray(face((6, 9), (4, 4)))
    gradient = jax.grad(lambda scores: jnp.sum(face_grid(values, scores) ** 2))(scores)
    assert jnp.isfinite(gradient).all()


def test_a_recognizer_reads_places_of_the_face():
    values, scores = face((6, 9), (4, 4))[..., :2], interest((6, 9), (4, 4))
    for reads, pool in (("displacement", "mean"), ("dma", "flatten"), ("dma", "displacement")):
        config = RecognizerConfig(classes=3, reads=reads, pool=pool, places="face")
        read = Recognizer(config).apply({}, values, scores, method="forward_features")
        assert_allclose(read, face_grid(values, scores).reshape(1, -1), atol=1e-6)
    config = RecognizerConfig(classes=3, reads="movement", places="face")
    read = Recognizer(config).apply({}, values[..., 0], scores, method="forward_features")
    placed = np.asarray(face_grid(values[..., :1], scores))
    assert_allclose(read, np.log(np.maximum(placed, 0) + 0.03)[..., 0], atol=1e-4)
