"""Reading DMA and POI together: S focused, noise measured where POI looks."""

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mubert_jax.perception import focus as module

evidence, focus, weighted_median = map(
    jax.jit, (module.evidence, module.focus, module.weighted_median)
)
SIDE = 14


def a_face(seed=0, outside=0.2):
    """Attention that scatters: (1, N), and the patches of the face (1, N)."""
    face = np.zeros((SIDE, SIDE), bool)
    face[3:11, 4:10] = True
    scores = np.where(face, 1.0, outside) * np.random.default_rng(seed).gamma(4, size=face.shape)
    return (scores / scores.sum()).reshape(1, -1).astype(np.float32), face.reshape(1, -1)


def test_focused_scores_are_on_the_face_and_cover_it():
    scores, face = a_face()
    focused = np.asarray(focus(scores))
    assert abs(focused.mean() - 1) < 1e-5
    assert scores[face].sum() < 0.75 and focused[face].sum() / focused.sum() > 0.95
    inside = face.reshape(SIDE, SIDE).copy()
    inside[[3, 10], :], inside[:, [4, 9]] = False, False
    assert (focused.reshape(SIDE, SIDE)[inside] > 0.5).mean() > 0.6
    even = np.asarray(focus(np.where(face, 1.0, 0.05).astype(np.float32)))
    assert (even.reshape(SIDE, SIDE)[inside] > 2).all()


def test_uniform_scores_stay_uniform_in_the_middle_and_nothing_is_lost_at_the_edge():
    focused = np.asarray(focus(jnp.full((2, SIDE**2), 1 / SIDE**2)))
    np.testing.assert_allclose(focused, 1, rtol=1e-4)


def test_focus_follows_the_scores_however_they_are_turned():
    scores, _ = a_face()
    grid = scores.reshape(SIDE, SIDE)
    turned = np.asarray(focus(grid.T.reshape(1, -1))).reshape(SIDE, SIDE)
    np.testing.assert_allclose(turned.T, np.asarray(focus(scores)).reshape(SIDE, SIDE), rtol=1e-3)


@given(st.integers(0, 2**31), st.sampled_from((1, 6, 29)))
@settings(deadline=None, max_examples=30)
def test_weighted_median_is_the_median_of_repeated_values(seed, count):
    random = np.random.default_rng(seed)
    values, times = random.random((2, count)).astype(np.float32), random.integers(1, 5, (2, count))
    found = weighted_median(jnp.asarray(values), jnp.asarray(times, jnp.float32))
    expected = [
        [np.quantile(np.repeat(*row), 0.5, method="inverted_cdf")]
        for row in zip(values, times, strict=True)
    ]
    np.testing.assert_array_equal(found, expected)


def test_evidence_of_equal_frames_is_nothing():
    scores, _ = a_face()
    assert not np.asarray(evidence(jnp.zeros_like(scores), focus(scores))).any()


def test_evidence_is_the_map_times_the_squared_probability_times_where_poi_looks():
    """Written out for one frame: eq. W = m · P(moved)² · S'·N, the noise found where POI looks."""
    random = np.random.default_rng(3)
    scores, _ = a_face()
    m = random.gamma(2, 0.7, scores.shape).astype(np.float32)
    focused = np.asarray(focus(scores))
    order = np.argsort(m[0])
    weight = np.cumsum(focused[0][order])
    floor = m[0][order][np.searchsorted(weight, weight[-1] / 2)]
    odds = (m / (1 + 3.0 * floor) + 1e-4) ** 1.6
    expected = m * (odds / (1 + odds)) ** 2 * focused
    found = np.asarray(evidence(jnp.asarray(m), jnp.asarray(focused)))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6)


def test_a_background_that_moves_neither_shows_nor_hides_the_face():
    scores, face = a_face()
    random = np.random.default_rng(1)
    quiet = np.where(face, random.gamma(4, 0.02, face.shape), 0.01).astype(np.float32)
    quiet[0, 5 * SIDE + 6] = 4.0
    busy = np.where(face, quiet, 30.0).astype(np.float32)
    focused = focus(scores)
    still, moving = (np.asarray(evidence(jnp.asarray(m), focused)) for m in (quiet, busy))
    np.testing.assert_allclose(moving[face], still[face], rtol=0.3)
    assert moving.argmax() == 5 * SIDE + 6
    plain = busy * scores
    assert plain.argmax() != 5 * SIDE + 6


def test_noise_fades_and_movement_stays():
    focused = jnp.ones((1, SIDE**2))
    random = np.random.default_rng(2)
    noise = random.gamma(4, 0.1, (1, SIDE**2)).astype(np.float32)
    moved = noise.copy()
    moved[0, :10] = 20.0
    faint, strong = (np.asarray(evidence(jnp.asarray(m), focused)) for m in (noise, moved))
    assert faint.sum() < 0.25 * noise.sum()
    np.testing.assert_allclose(strong[0, :10], 20.0, rtol=0.1)
    assert (np.argsort(strong[0]) == np.argsort(moved[0], kind="stable")).mean() > 0.9


def test_it_is_differentiable_and_finite_where_poi_looks_nowhere():
    scores = np.zeros((1, SIDE**2), np.float32)
    scores[0, 0] = 1
    gradient = jax.grad(lambda s: evidence(jnp.ones_like(s), focus(s)).sum())(jnp.asarray(scores))
    assert np.isfinite(np.asarray(gradient)).all()


def test_focus_is_the_smoothed_scores_all_or_nothing():
    """Written out for two frames: a window of 0.1 of the side, a sigmoid at 0.75 of the peak."""
    side = 5
    scores = np.random.default_rng(4).gamma(2, size=(2, side, side))
    place = np.arange(side)
    weight = np.exp(-0.5 * ((place[:, None] - place) / (0.1 * side)) ** 2)
    smooth = np.stack([weight @ grid @ weight.T for grid in scores])
    smooth /= np.outer(weight.sum(1), weight.sum(1))
    odds = (smooth / smooth.max((1, 2), keepdims=True) / 0.75) ** 20
    expected = odds / (1 + odds)
    expected /= expected.mean((1, 2), keepdims=True)
    found = np.asarray(focus(jnp.asarray(scores.reshape(2, -1), jnp.float32)))
    np.testing.assert_allclose(found.reshape(scores.shape), expected, rtol=1e-4)
