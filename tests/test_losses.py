import jax
import jax.numpy as jnp
import numpy as np

from mubert_jax import losses
from mubert_jax.config import LossConfig
from mubert_jax.losses import (
    AGREEMENTS,
    Features,
    change,
    contextual_std,
    dino,
    expectation,
    mse,
    reconstruction,
    replaced_patch,
    warp,
)
from mubert_jax.models.dma import motion_log_odds
from mubert_jax.models.motion import Motion

CONFIG = LossConfig()


def logits(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)


def test_reconstruction_is_the_mean_square_error_over_all_patches():
    a, b = logits(0, 2, 5, 12), logits(1, 2, 5, 12)
    np.testing.assert_allclose(reconstruction(a, b), np.mean((a - b) ** 2), rtol=1e-6)


def test_mse_compares_the_frame_with_each_crop():
    frame, crops = logits(0, 1, 4, 8), logits(1, 2, 4, 8)
    student = Features(jnp.concatenate([frame, crops]), crops[:0])
    loss, statistics = mse(student, None, None, CONFIG, 0.0)
    np.testing.assert_allclose(loss, np.mean((crops - frame) ** 2), rtol=1e-6)
    assert statistics == {}


def test_dino_by_hand():
    student = Features(logits(0, 2, 3, 5), logits(1, 1, 3, 5))
    teacher = Features(logits(2, 2, 3, 5), logits(2, 0, 3, 5))
    center = logits(3, 5)
    loss, seen = dino(student, teacher, center, CONFIG, 0.5)
    students = [*student.frames_and_crops, *student.local_crops]
    terms = []
    for i, t in enumerate(teacher.frames_and_crops):
        target = np.exp((t - center) / 0.04)
        target /= target.sum(-1, keepdims=True)
        for j, s in enumerate(students):
            if i != j:
                log_p = s / 0.1 - np.log(np.exp(s / 0.1).sum(-1, keepdims=True))
                terms.append(-(target * log_p).sum(-1).mean())
    np.testing.assert_allclose(loss, np.mean(terms), rtol=1e-4)
    mean = np.asarray(teacher.frames_and_crops).mean((0, 1))
    np.testing.assert_allclose(seen["center"], mean, rtol=1e-5, atol=1e-6)


def test_no_gradient_reaches_the_teacher():
    student = Features(logits(0, 2, 3, 5), logits(1, 1, 3, 5))

    def loss(teacher):
        return dino(student, Features(teacher, teacher[:0]), jnp.zeros(5), CONFIG, 0.0)[0]

    np.testing.assert_array_equal(jax.grad(loss)(logits(2, 2, 3, 5)), 0)


def test_temperature_warms_up():
    import dataclasses

    warm = dataclasses.replace(CONFIG.dino, warmup_teacher_temperature=0.4, warmup_fraction=0.5)
    config = dataclasses.replace(CONFIG, dino=warm)
    student = Features(logits(0, 2, 3, 5), logits(1, 0, 3, 5))
    teacher = Features(logits(2, 2, 3, 5), logits(2, 0, 3, 5))
    at = [float(dino(student, teacher, jnp.zeros(5), config, p)[0]) for p in (0.0, 0.5, 1.0)]
    cold = float(dino(student, teacher, jnp.zeros(5), CONFIG, 0.0)[0])
    assert abs(at[0] - cold) > 1e-3
    np.testing.assert_allclose(at[1:], cold, rtol=1e-5)
    between = dataclasses.replace(CONFIG.dino, warmup_fraction=0.0, teacher_temperature=0.22)
    half_way = dataclasses.replace(CONFIG, dino=between)
    expected = float(dino(student, teacher, jnp.zeros(5), half_way, 1e-6)[0])
    value = float(dino(student, teacher, jnp.zeros(5), config, 0.25)[0])
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_contextual_std_shows_collapse():
    assert float(contextual_std(jnp.ones((8, 4)))) == 0.0
    assert float(contextual_std(jnp.tile(logits(1, 4), (8, 1)))) < 1e-6
    tokens = logits(0, 64, 4)
    np.testing.assert_allclose(contextual_std(tokens), np.std(tokens, 0).mean(), rtol=1e-5)


def test_names_match_the_configs_choices():
    import dataclasses

    fields = {field.name: field for field in dataclasses.fields(LossConfig)}
    assert set(fields["agreement"].metadata["choices"]) == set(AGREEMENTS)


def test_what_an_agreement_needs():
    needs = {name: (agreement.crops, agreement.teacher) for name, agreement in AGREEMENTS.items()}
    assert needs == {
        "none": (False, False),
        "mse": (True, False),
        "contrastive": (True, False),
        "dino": (True, True),
    }


def test_contrastive_wants_a_frame_nearest_to_its_own_crop():
    random = np.random.default_rng(0)
    frames = random.standard_normal((1, 6, 16)).astype(np.float32)
    near = frames + 0.05 * random.standard_normal((2, 6, 16)).astype(np.float32)
    loss = {}
    for name, crops in {
        "own": near,
        "others": near[:, ::-1],
        "alike": np.ones_like(near) * frames[:, :1],
    }.items():
        views = Features(jnp.concatenate([frames, crops]), jnp.zeros((0, 6, 16)))
        loss[name], statistics = AGREEMENTS["contrastive"].loss(
            views, None, None, LossConfig(), 0.0
        )
        assert statistics == {}
    assert loss["own"] < 0.1 < loss["others"]
    collapsed = Features(jnp.ones((2, 6, 16)), jnp.zeros((0, 6, 16)))
    value, _ = AGREEMENTS["contrastive"].loss(collapsed, None, None, LossConfig(), 0.0)
    np.testing.assert_allclose(value, np.log(6), rtol=1e-5)


def test_contrastive_is_cross_entropy_both_ways():
    random = np.random.default_rng(1)
    tokens = random.standard_normal((2, 5, 8)).astype(np.float32)
    views = Features(jnp.asarray(tokens), jnp.zeros((0, 5, 8)))
    config = LossConfig(contrastive_temperature=0.5)
    value, _ = AGREEMENTS["contrastive"].loss(views, None, None, config, 0.0)
    frame, crop = (x / np.linalg.norm(x, axis=-1, keepdims=True) for x in tokens)
    logits = frame @ crop.T / 0.5
    rows = np.log(np.exp(logits) / np.exp(logits).sum(1, keepdims=True))
    columns = np.log(np.exp(logits) / np.exp(logits).sum(0, keepdims=True))
    np.testing.assert_allclose(value, -0.5 * np.mean(np.diag(rows) + np.diag(columns)), rtol=1e-5)


def test_replaced_patch_by_hand():
    diagonal = jnp.array([[0.9, 0.2, 0.6]])
    mask = jnp.array([[False, True, False]])
    expected = 0.5 * (-np.log(0.8) - (np.log(0.9) + np.log(0.6)) / 2)
    np.testing.assert_allclose(replaced_patch(diagonal, mask), expected, rtol=1e-5)


def test_replaced_patch_that_is_wholly_wrong_is_finite():
    value = replaced_patch(jnp.array([[1.0, 0.0]]), jnp.array([[True, False]]))
    np.testing.assert_allclose(value, -np.log(1e-6), rtol=5e-3)


def test_movement_by_hand():
    strength = jnp.exp(logits(0, 3, 40))
    moved, still = np.zeros((2, 3, 40), bool)
    moved[:, :5], still[:, 10:] = True, True
    probability = np.asarray(jax.nn.sigmoid(motion_log_odds(strength)), np.float64)
    expected = -0.3 * np.log(probability[moved]).mean()
    expected -= 0.7 * np.log(1 - probability[still]).mean()
    np.testing.assert_allclose(warp(strength, moved, still), expected, rtol=1e-4)
    none = moved & False
    kept = -0.7 * np.log(1 - probability[still]).mean()
    np.testing.assert_allclose(warp(strength, none, still), kept, rtol=1e-4)
    found = -0.3 * np.log(probability[moved]).mean()
    np.testing.assert_allclose(warp(strength, moved, none), found, rtol=1e-4)


def test_one_patch_that_moved_counts_as_much_as_many():
    strength = jnp.array([[2.0, 0.1, 0.2]])
    moved, still = np.array([[True, False, False]]), np.array([[False, True, False]])
    log_odds = np.asarray(motion_log_odds(strength), np.float64)[0]
    expected = 0.3 * np.log1p(np.exp(-log_odds[0])) + 0.7 * np.log1p(np.exp(log_odds[1]))
    np.testing.assert_allclose(warp(strength, moved, still), expected, rtol=1e-5)


def test_movement_is_small_if_the_map_is_right_and_does_not_see_what_is_neither():
    moved, still = np.zeros((2, 1, 40), bool)
    moved[:, :5], still[:, 10:] = True, True
    right = jnp.where(moved, 100.0, 1e-3)
    assert warp(right, moved, still) < 0.01 < 1 < warp(100 - right, moved, still)
    gradient = jax.grad(lambda m: warp(m, moved, still))(jnp.linspace(0.1, 4, 40)[None])
    still_at_the_median = np.isin(np.arange(40), [19, 20])
    assert (np.asarray(gradient[0, 5:10]) == 0).all()
    assert (np.asarray(gradient[0, :5]) < 0).all()
    assert (np.asarray(gradient[0, 10:])[~still_at_the_median[10:]] > 0).all()


def test_odds_are_even_at_one_or_at_three_medians():
    quiet = jnp.zeros((1, 9)).at[0, 0].set(1.0)
    noisy = jnp.full((1, 9), 1000.0).at[0, 0].set(3000.0)
    for strength in (quiet, noisy):
        assert abs(float(motion_log_odds(strength)[0, 0])) < 0.01
        assert float(motion_log_odds(strength)[0, 1]) < -1


def test_expectation_by_hand():
    random = np.random.default_rng(0)
    scores = random.dirichlet(np.ones(8), 3)
    change = random.random((3, 8)) ** 4 * 1e-3
    scores[0, change[0].argmax()] = 0.0
    losses = []
    for score, strength in zip(scores, change, strict=True):
        target = np.sqrt(np.maximum(strength - np.quantile(strength, 0.75), 0))
        target /= target.sum()
        better = np.log(8) + np.sum(target * np.log(score + 1e-9))
        losses.append(np.log(8) - np.log1p(np.exp(4 * better)) / 4)
    scores, change = jnp.asarray(scores, jnp.float32), jnp.asarray(change, jnp.float32)
    np.testing.assert_allclose(expectation(scores, change), np.mean(losses), rtol=1e-4)
    assert np.isfinite(expectation(scores, jnp.zeros_like(change)))


def test_expectation_is_least_where_the_movement_is_looked_for():
    strength = jnp.full((4, 64), 0.1).at[:, :8].set(5.0)
    at_it = jnp.full((4, 64), 0.2 / 56).at[:, :8].set(0.1)
    uniform = jnp.full((4, 64), 1 / 64)
    elsewhere = jnp.roll(at_it, 8, axis=1)
    values = [float(expectation(scores, strength)) for scores in (at_it, uniform, elsewhere)]
    assert values == sorted(values) and values[1] - values[0] > 0.5


def test_a_pair_that_is_foretold_badly_teaches_little():
    expected = jnp.full((1, 64), 0.2 / 56).at[:, :8].set(0.1)
    alike, unlike = (
        jnp.full((1, 64), 0.1).at[:, part].set(5.0) for part in (np.s_[:8], np.s_[8:16])
    )

    def pull(strength):
        slope = jax.grad(lambda log_s: expectation(jax.nn.softmax(log_s), strength))
        return float(jnp.abs(slope(jnp.log(expected))).max())

    assert pull(unlike) < 0.2 * pull(alike)


def test_change_sees_what_moved_and_not_what_only_became_brighter():
    frame = jax.random.normal(jax.random.key(0), (1, 16, 16, 3))
    patch = np.s_[:, 8:, :8]
    brighter = frame.at[patch].add(jnp.array([0.3, 0.2, 0.1]))
    moved = frame.at[patch].set(jnp.roll(frame, 1, axis=1)[patch])
    np.testing.assert_allclose(change(frame, brighter, 8), 0, atol=1e-10)
    np.testing.assert_array_equal(change(frame, moved, 8)[0] > 0.5, [False, False, True, False])


def test_change_is_the_variance_in_a_patch_of_each_channel():
    frames = np.random.default_rng(0).random((2, 3, 4, 6, 2)).astype(np.float32)
    difference = frames[0] - frames[1]
    corners = [(i, j) for i in range(0, 4, 2) for j in range(0, 6, 2)]
    expected = [
        [image[i : i + 2, j : j + 2].reshape(4, 2).var(0).mean() for i, j in corners]
        for image in difference
    ]
    np.testing.assert_allclose(change(*map(jnp.asarray, frames), 2), expected, rtol=1e-4)


def test_the_face_is_what_s_should_look_at():
    face = jnp.array([[0.5, 0.25, 0.5, 0.25], [0.0, 0.0, 0.0, 0.0]])
    upper, uniform = jnp.array([0.5, 0.5, 0.0, 0.0]), jnp.full(4, 0.25)
    # Of a grid of two by two patches the ellipse covers the upper two alone.
    np.testing.assert_allclose(losses.face(jnp.stack([upper, upper]), face), np.log(2), rtol=1e-5)
    # The second frame, whose face is not known, does not count, whatever S is there.
    np.testing.assert_allclose(losses.face(jnp.stack([uniform, upper]), face), np.log(4), rtol=1e-5)
    assert losses.face(jnp.stack([uniform, upper]), 0 * face) == 0
    # Frames that do are averaged.
    three = jnp.stack([face[0], face[0], face[1]])
    found = losses.face(jnp.stack([upper, uniform, upper]), three)
    np.testing.assert_allclose(found, (np.log(2) + np.log(4)) / 2, rtol=1e-5)


def test_a_patch_counts_by_the_share_of_it_that_is_face():
    """A circle of half the side in the middle of 4 by 4 patches is evenly on the inner four."""
    face = jnp.array([[0.5, 0.5, 0.25, 0.25]])
    inside = losses._inside(face, 4).reshape(4, 4)
    np.testing.assert_allclose(inside.sum() / 16, np.pi / 16, rtol=0.05)
    np.testing.assert_allclose(inside[1:3, 1:3], inside[1, 1])
    assert inside[0].sum() == inside[:, 0].sum() == 0


def test_the_likelihood_is_largest_at_the_true_displacement_with_its_true_variance():
    rng = np.random.default_rng(0)
    known = jnp.asarray(rng.normal(size=(1, 4, 2)), jnp.float32)
    moved = jnp.array([[True, True, False, False]])
    still = jnp.array([[False, False, True, False]])

    def loss(error, log_variance):
        seen = Motion(
            tokens=jnp.zeros((1, 4, 1)),
            log_odds=jnp.zeros((1, 4)),
            displacement=known + error,
            log_variance=jnp.full((1, 4), log_variance),
            changed=jnp.ones((1, 4)),
        )
        return float(losses.displacement(seen, known, moved, still))

    # An error of 0.5 along both axes: E|d|² / 2 = 0.25 is the variance that fits.
    assert loss(0.5, np.log(0.25)) < min(loss(0.5, np.log(0.2)), loss(0.5, np.log(0.31)))
    assert loss(0.0, 0.0) < loss(0.1, 0.0)
    unlabelled = known.at[0, 3].add(9.0)
    seen = Motion(known[..., :1], known[..., 0], unlabelled, known[..., 0] * 0, moved * 1.0)
    assert float(losses.displacement(seen, known, moved, still)) == 0.0


def test_moved_and_still_patches_weigh_alike_in_what_p_dma_tells():
    known = jnp.zeros((1, 4, 2))
    told = jnp.array([[[3.0, 4.0], [0.0, 0.0], [0.0, 1.0], [9.0, 9.0]]])
    moved = jnp.array([[True, True, False, False]])
    still = jnp.array([[False, False, True, False]])
    assert float(losses.told_displacement(told, known, moved, still)) == (25 / 2 + 1) / 2
