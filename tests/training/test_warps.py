"""Movements put on a frame: what moves is known, and nothing else tells the moments apart."""

import dataclasses

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import tiny_config, views_of

from mubert_jax.config import WarpConfig
from mubert_jax.synthetic.clip import SyntheticClip
from mubert_jax.training import warps
from mubert_jax.training.degradation import compressed, light, sensor_noise
from mubert_jax.training.warps import warped_pairs

SIDE, PATCH = 64, 8
# The movement and nothing else.
ALONE = WarpConfig(
    amplitude=(3.0, 3.5),
    drift=0.0,
    registered=0.0,
    gain=0.0,
    gradient=0.0,
    noise=(1e-6, 2e-6),
    compressed=0.0,
)


@pytest.fixture(scope="module")
def faces():
    return np.stack([SyntheticClip(subject, 0, size=SIDE).frame(0) for subject in range(8)])


def keys(count=8, seed=0):
    return jax.random.split(jax.random.key(seed), count)


def patch_difference(known):
    change = np.abs(np.asarray(known.first) - np.asarray(known.second)).mean(-1)
    grid = SIDE // PATCH
    return change.reshape(-1, grid, PATCH, grid, PATCH).mean((2, 4)).reshape(-1, grid**2)


def ramps(along_y, along_x):
    """(64, 64, 3) uint8, so many grey levels a pixel down and to the right."""
    y, x = np.mgrid[:SIDE, :SIDE]
    grey = 128 + along_y * (y - SIDE // 2) + along_x * (x - SIDE // 2)
    return np.repeat(np.round(grey)[..., None], 3, -1).astype(np.uint8)


def move(monkeypatch, *, field=(0.0, 0.0), drift=(0.0, 0.0)):
    """Every movement is `field`, every drift `drift`: (down, to the right) or functions of x."""

    def everywhere(values, x):
        return [value(x) if callable(value) else jnp.full(x.shape, value) for value in values]

    monkeypatch.setattr(warps, "local_movement", lambda *_: lambda y, x: everywhere(field, x))
    monkeypatch.setattr(warps, "drift", lambda *_: lambda y, x: everywhere(drift, x))


@pytest.mark.parametrize(
    ("down", "right", "registered"),
    [(2.0, 0.0, 0.0), (0.0, 3.0, 1.0), (-1.0, 2.0, 0.0), (-1.0, 2.0, 1.0)],
)
def test_what_moves_down_is_further_down_and_what_moves_right_is_further_right(
    monkeypatch, down, right, registered
):
    move(monkeypatch, field=(down, right))
    config = dataclasses.replace(ALONE, registered=registered)
    for along in ((3, 0), (0, 3)):
        image = ramps(*along)
        known = warped_pairs(keys(), np.stack([image] * 8), PATCH, config)
        # What was at a place is now further on: on a ramp, all is darker by slope times way.
        darker = (np.asarray(known.first) - np.asarray(known.second))[:, 9:-9, 9:-9]
        np.testing.assert_allclose(darker, along[0] * down + along[1] * right, atol=1 + registered)
        np.testing.assert_allclose(darker.mean(), along[0] * down + along[1] * right, atol=0.2)


def test_the_head_drifts_the_other_way_for_all_of_the_frame(monkeypatch):
    move(monkeypatch, drift=(2.0, -1.0))
    known = warped_pairs(keys(), np.stack([ramps(3, 1)] * 8), PATCH, ALONE)
    brighter = (np.asarray(known.second) - np.asarray(known.first))[:, 9:-9, 9:-9]
    np.testing.assert_allclose(brighter, 3 * 2 - 1, atol=1e-3)
    assert np.asarray(known.still).all() and not np.asarray(known.moved).any()


def test_a_patch_has_moved_if_it_moves_enough_and_shows_it(monkeypatch):
    shares = np.array([1.0, 0.26, 0.24, 0.021, 0.019, 0.0, 0.0, 0.0], np.float32)
    move(monkeypatch, field=(lambda x: 2 * jnp.asarray(shares)[x.astype(int) // PATCH], 0.0))
    visible = {3.0: [0, 1], 0.75: [0], 0.3: []}
    for slope, columns in visible.items():
        known = warped_pairs(keys(), np.stack([ramps(slope, 0)] * 8), PATCH, ALONE)
        moved, still = (np.asarray(x).reshape(8, 8, 8)[:, 1:-1] for x in (known.moved, known.still))
        np.testing.assert_array_equal(moved, np.isin(np.arange(8), columns) & np.ones_like(moved))
        np.testing.assert_array_equal(still, (shares < 0.02) & np.ones_like(still))


def test_what_moves_along_its_own_edges_does_not_show(monkeypatch):
    move(monkeypatch, field=(1.5, 1.5))
    for along, shows in (((1, -1), False), ((1, 1), True)):
        known = warped_pairs(keys(), np.stack([ramps(*along)] * 8), PATCH, ALONE)
        inner = np.asarray(known.moved).reshape(8, 8, 8)[:, 1:-1, 1:-1]
        assert (inner == shows).all() and not np.asarray(known.still).any()


def test_registration_moved_a_frame_by_up_to_two_pixels_of_224(monkeypatch):
    shifts = []

    def local_movement(key, side, config):
        def field(y, x):
            jax.debug.callback(lambda *shift: shifts.append(shift), y[0, 0], x[0, 0])
            return jnp.zeros_like(y), jnp.zeros_like(x)

        return field

    monkeypatch.setattr(warps, "local_movement", local_movement)
    config = dataclasses.replace(ALONE, registered=1.0)
    for seed in range(2):
        warped_pairs(keys(seed=seed), np.stack([ramps(3, 0)] * 8), PATCH, config)
    jax.effects_barrier()
    shifts = np.array([shift for shift in shifts if np.any(shift)]) / (2 * SIDE / 224)
    assert shifts.shape == (16, 2) and (np.abs(shifts) <= 1).all() and np.abs(shifts).max() > 0.8
    assert (shifts.min(0) < 0).all() and (shifts.max(0) > 0).all()
    assert np.abs(np.corrcoef(shifts.T)[0, 1]) < 0.7


def local_fields(count=400, side=56, **options):
    """(down, to the right), each (count, 57, 57): fields on a grid of whole pixels."""
    config = WarpConfig(**{"places": 1, "amplitude": (4.0, 4.0), "sigma": (0.5, 0.5)} | options)
    y, x = jnp.mgrid[: side + 1, : side + 1].astype(jnp.float32)
    one = jax.vmap(lambda key: warps.local_movement(key, side, config)(y, x))
    return [np.asarray(part, np.float64) for part in one(keys(count))]


def test_a_local_movement_is_a_gaussian_window_shifted_one_way():
    down, right = local_fields(sigma=(0.1, 0.4))
    length = np.hypot(down, right)
    peak = length.max((1, 2))
    # In pixels of this frame, a quarter of 224: the share of a place is 0.5 to 1.
    assert 0.5 <= peak.min() < 0.52 and 0.995 < peak.max() <= 1 + 1e-6
    rows, columns = np.array([np.unravel_index(x.argmax(), x.shape) for x in length]).T / 56
    for middle in (rows, columns):
        assert 0.09 <= middle.min() < 0.12 and 0.88 < middle.max() <= 0.91
    assert np.abs(np.corrcoef(rows, columns)[0, 1]) < 0.2
    angle = np.arctan2(down.sum((1, 2)), right.sum((1, 2)))
    np.testing.assert_allclose(down, np.sin(angle)[:, None, None] * length, atol=1e-4)
    np.testing.assert_allclose(right, np.cos(angle)[:, None, None] * length, atol=1e-4)
    assert np.abs(np.exp(1j * angle).mean()) < 0.1
    logs = np.log(np.maximum(length, 1e-30))
    near = logs[:, 1:-1, 1:-1] > -2
    widths = []
    for axis in (1, 2):
        bend = np.diff(logs, 2, axis=axis)
        bend = bend[:, :, 1:-1] if axis == 1 else bend[:, 1:-1]
        bend = np.ma.masked_array(bend, ~near)
        assert np.ptp(bend, axis=(1, 2)).max() < 1e-3
        widths.append(np.sqrt(-1 / bend.mean((1, 2))) / 56)
    assert all(0.099 < w.min() < 0.11 and 0.36 < w.max() < 0.401 for w in widths)
    assert np.abs(np.corrcoef(*widths)[0, 1]) < 0.2


def test_the_first_place_moves_and_every_other_half_of_the_time():
    down, right = local_fields(places=2, sigma=(0.02, 0.02), count=200)
    volume = np.abs(down).sum((1, 2)) + np.abs(right).sum((1, 2))
    total = np.hypot(down, right).sum((1, 2)) / (2 * np.pi * (0.02 * 56) ** 2)
    assert total.min() > 0.4 and 1.5 < total.max() < 2.1 and (volume > 0).all()
    assert 0.4 < (total < 1).mean() < 0.65


def test_drift_is_a_shift_and_a_turn_about_the_middle():
    side, strongest = 16, 7.0
    config = WarpConfig(drift=strongest)
    rows, columns = jnp.mgrid[:side, :side].astype(jnp.float32)
    down, right = jax.vmap(lambda key: warps.drift(key, len(rows), config)(rows, columns))(
        keys(4000)
    )
    down, right = np.asarray(down), np.asarray(right)
    middle = np.s_[:, side // 2, side // 2]
    length = np.hypot(down[middle], right[middle]) / (strongest * side / 224)
    assert 0.998 < length.max() <= 1 and np.abs(length.mean() - 1 / 3) < 0.02
    assert np.abs(np.median(length) - 1 / 4) < 0.02
    angle = np.arctan2(down[middle], right[middle])
    assert np.abs(np.exp(1j * angle).mean()) < 0.1
    turn = (down[:, 0, -1] - down[:, 0, 0]) / (side - 1)
    turned_down = turn[:, None, None] * (columns - side / 2) + down[middle][:, None, None]
    turned_right = right[middle][:, None, None] - turn[:, None, None] * (rows - side / 2)
    np.testing.assert_allclose(down, turned_down, atol=1e-5)
    np.testing.assert_allclose(right, turned_right, atol=1e-5)
    turn = turn / (strongest / 224)
    assert -1 - 1e-5 < turn.min() < -0.998 and 0.998 < turn.max() < 1 + 1e-5
    assert abs(turn.mean()) < 0.05


def test_a_moment_is_recorded_under_light_with_noise_and_perhaps_compressed(faces):
    image = jnp.asarray(faces[0, 16:48, 16:48], jnp.float32).at[0, 0].set(255.0).at[0, 1].set(0.0)
    key = jax.random.key(5)
    config = WarpConfig(gain=0.3, gradient=0.2, noise=(6.0, 6.0), quality=(60.0, 60.0))
    of_light, _, of_noise, _, _ = jax.random.split(key, 5)
    lit = image * light(of_light, (32, 32), 0.3, 0.2)[..., None]
    noisy = lit + sensor_noise(of_noise, lit, 6.0)
    for share, expected in ((0.0, noisy), (1.0, compressed(noisy, 60.0))):
        found = warps.degraded(key, image, dataclasses.replace(config, compressed=share))
        found = np.asarray(found)
        expected = np.clip(np.round(expected), 0, 255)
        assert np.mean(found != expected) < 0.01 and np.abs(found - expected).max() <= 1


def test_levels_are_whole_and_from_0_to_255():
    levels = warps.levels(jnp.array([-2.0, -0.4, 0.6, 254.6, 256.0, 300.0]))
    np.testing.assert_array_equal(levels, [0, 0, 1, 255, 255, 255])


def test_patch_means_are_row_by_row():
    means = warps._patch_means(jnp.arange(16.0).reshape(4, 4), 2)
    np.testing.assert_array_equal(means, [2.5, 4.5, 10.5, 12.5])


def test_without_nuisances_still_patches_are_equal_and_moved_ones_are_not(faces):
    known = warped_pairs(keys(), faces, PATCH, ALONE)
    change, moved, still = patch_difference(known), np.asarray(known.moved), np.asarray(known.still)
    assert moved.any() and still.any() and not (moved & still).any()
    assert change[still].max() < 0.75
    assert change[moved].mean() > 10 * change[still].mean()


def test_registration_leaves_its_mark_everywhere_and_no_shift(faces):
    config = dataclasses.replace(ALONE, registered=1.0)
    known = warped_pairs(keys(), faces, PATCH, config)
    change, moved, still = patch_difference(known), np.asarray(known.moved), np.asarray(known.still)
    assert 0.05 < np.median(change[still]) < change[moved].mean() / 2


@pytest.mark.parametrize(
    "nuisance",
    [{"gain": 0.2}, {"gradient": 0.4}, {"noise": (4.0, 5.0)}, {"drift": 6.0}, {"compressed": 1.0}],
    ids=lambda nuisance: next(iter(nuisance)),
)
def test_every_nuisance_changes_still_patches(faces, nuisance):
    config = dataclasses.replace(ALONE, **nuisance)
    known = warped_pairs(keys(), faces, PATCH, config)
    quiet = warped_pairs(keys(), faces, PATCH, ALONE)
    still = np.asarray(known.still)
    np.testing.assert_array_equal(still, quiet.still)
    assert patch_difference(known)[still].mean() > 4 * patch_difference(quiet)[still].mean()


def test_a_function_of_the_key_and_the_frame(faces):
    first = warped_pairs(keys(), faces, PATCH, WarpConfig())
    again = warped_pairs(keys(), faces, PATCH, WarpConfig())
    other = warped_pairs(keys(seed=1), faces, PATCH, WarpConfig())
    fourth = np.full(8, 3)
    alone = warped_pairs(keys()[fourth], faces[fourth], PATCH, WarpConfig())
    np.testing.assert_array_equal(first.second, again.second)
    assert np.abs(np.asarray(first.second) - np.asarray(other.second)).mean() > 0.5
    np.testing.assert_allclose(alone.second[0], first.second[3], atol=1.0)


def test_a_step_sees_them_only_if_its_loss_asks(noise_batch):
    def known(config):
        return jax.eval_shape(lambda batch: views_of(config, batch).known, noise_batch)

    assert known(tiny_config()) is None
    asked = known(tiny_config(loss__warp_weight=1.0))
    assert asked.first.shape == noise_batch["reference"].shape


@pytest.mark.parametrize("quality", [50, 75, 95])
def test_compression_is_jpegs(faces, quality):
    grey = np.repeat(cv2.cvtColor(faces[0], cv2.COLOR_RGB2GRAY)[..., None], 3, -1)
    _, data = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, quality])
    theirs = cv2.imdecode(data, cv2.IMREAD_COLOR).astype(float)
    ours = np.clip(np.round(compressed(jnp.asarray(grey, jnp.float32), quality)), 0, 255)
    damage = np.abs(theirs - grey).mean()
    assert np.abs(ours - theirs).mean() < 0.25 * damage + 0.05


def test_light_and_noise_are_as_strong_as_asked():
    gains = np.stack([light(key, (32, 32), 0.1, 0.0) for key in keys(64)])
    assert 0.08 < np.abs(gains - 1).max() <= 0.1 and np.ptp(gains, axis=(1, 2)).max() < 1e-6
    slopes = np.stack([light(key, (32, 32), 0.0, 0.1) for key in keys(64)])
    assert 0.05 < np.ptp(slopes, axis=(1, 2)).max() <= 0.1 * np.sqrt(2)
    middle = jnp.full((128, 128, 3), 127.5)
    assert np.std(sensor_noise(keys()[0], middle, 3.0)) == pytest.approx(3.0, rel=0.02)


@pytest.mark.slow
def test_surroundings_that_move_by_themselves_are_neither_moved_nor_still(monkeypatch, faces):
    move(monkeypatch)
    alone, together = (
        warped_pairs(keys(), faces, PATCH, dataclasses.replace(ALONE, surroundings=share))
        for share in (0.0, 1.0)
    )
    assert np.asarray(alone.still).all()
    middle = np.asarray(together.still).reshape(8, 8, 8)
    assert middle[:, 3:5, 3:5].all() and not middle[:, [0, 0, 7, 7], [0, 7, 0, 7]].any()
    inside, outside = (
        patch_difference(together)[labelled].mean()
        for labelled in (np.asarray(together.still), ~np.asarray(together.still))
    )
    assert outside > 10 * inside


def test_surroundings_shift_around_an_ellipse_near_the_middle():
    side, config = 32, WarpConfig(surroundings=0.5)
    rows, columns = jnp.mgrid[:side, :side].astype(jnp.float32)
    drawn = jax.vmap(lambda key: warps._surroundings(key, rows, columns, config))(keys(1500))
    outside, down, right = map(np.asarray, drawn)
    there = outside.any((1, 2))
    assert 0.45 < there.mean() < 0.55
    inside = ~outside[there]
    middles, widths = [], []
    for axis in (2, 1):
        share = inside.any(axis)
        first, last = share.argmax(1), side - 1 - share[:, ::-1].argmax(1)
        middles.append((first + last) / 2 / side)
        widths.append((last - first + 1) / side)
    for middle, width in zip(middles, widths, strict=True):
        assert 0.38 < middle.min() < 0.41 and 0.59 < middle.max() < 0.62
        assert 0.46 < width.min() < 0.53 and 0.87 < width.max() < 0.92
    assert np.abs(np.corrcoef(*middles)[0, 1]) < 0.1 > np.abs(np.corrcoef(*widths)[0, 1])
    length, angle = np.hypot(down, right) * 224 / side, np.arctan2(down, right)
    least, most = 0.2, 4.0
    assert least * 0.9999 < length.min() < least * 1.004
    assert most * 0.996 < length.max() < most * 1.0001
    np.testing.assert_allclose(np.median(length), np.sqrt(least * most), rtol=0.1)
    assert np.abs(np.exp(1j * angle).mean()) < 0.05


def test_a_displacement_is_to_the_right_and_down(monkeypatch, faces):
    move(monkeypatch, field=(0.5, -1.0))
    known = warped_pairs(keys(), faces, PATCH, ALONE)
    np.testing.assert_allclose(known.displacement, np.broadcast_to([-1.0, 0.5], (8, 64, 2)))
