"""Motion tokens: empty for equal frames, taught by known movements alone, and read by V."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from conftest import tiny_config, views_of
from lowered import lowered_for
from scipy.ndimage import gaussian_filter

from mubert_jax.bench.timed import noise_pairs
from mubert_jax.errors import UserError
from mubert_jax.models import motion
from mubert_jax.models.images import LUMA, grey_levels, normalise
from mubert_jax.models.micron_bert import build_model, init_params
from mubert_jax.models.motion import MotionTrunk, log_odds, products
from mubert_jax.objectives import make_objective
from mubert_jax.training import flops

CONFIG = tiny_config(
    model__dma__reads="motion",
    loss__agreement="none",
    loss__warp_weight=1.0,
    loss__warp__surroundings=0.5,
)
FRAMES = np.random.default_rng(0).integers(0, 256, (2, 2, 32, 32, 3), np.uint8)


@functools.cache
def model_and_params():
    model = build_model(CONFIG)
    return model, jax.jit(lambda: init_params(model, jax.random.key(0)))()


def test_grey_levels_are_those_of_the_stored_frame():
    np.testing.assert_allclose(grey_levels(normalise(FRAMES[0])), FRAMES[0] @ LUMA, atol=1e-3)


def test_a_shift_to_the_right_is_in_the_products_as_lucas_and_kanade_have_it():
    """Away from the border, (gx·e) / (gx·gx) is the shift, and what is alike all over is light."""
    y, x = np.mgrid[:48, :48].astype(np.float32)

    def frame(shift):
        return jnp.asarray(128 + 40 * np.sin((x - shift) / 2) * np.cos(y / 3))[None]

    seen = jax.jit(products)(frame(0.0), frame(0.2) + 3)[0, 8:-8, 8:-8]
    xx, xe = seen[..., 0].sum() * 4, seen[..., 3].sum() * 2
    np.testing.assert_allclose(-xe / xx, 0.2, rtol=0.1)


def test_the_products_of_two_blurs_are_those_of_the_docstring():
    a, b = np.random.default_rng(0).uniform(0, 255, (2, 1, 24, 24)).astype(np.float32)

    def blur(image, sigma):
        reach = int(np.ceil(3 * sigma))
        return gaussian_filter(image, sigma, mode="nearest", radius=reach, axes=(1, 2))

    expected = []
    for sigma in (0.7, 1.4):
        smooth = np.stack([blur(a, sigma), blur(b, sigma)])
        padded = np.pad(smooth.mean(0), ((0, 0), (1, 1), (1, 1)), mode="edge")
        gx = (padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]) / 2
        gy = (padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]) / 2
        e = smooth[1] - smooth[0]
        e = e - blur(e, 6)
        n = np.sqrt(gx**2 + gy**2 + 4)
        expected += [gx * gx / n / 4, gx * gy / n / 4, gy * gy / n / 4]
        expected += [gx * e / n / 2, gy * e / n / 2, e / 2, e * e / n / 2, n / 8]
    np.testing.assert_allclose(
        jax.jit(products)(a, b), np.stack(expected, -1), rtol=1e-3, atol=1e-3
    )


def test_a_patch_that_changes_by_a_tenth_of_a_grey_level_has_changed_by_63_percent():
    """1 - 1/e of it; half as much changes by a fifth."""
    frames = np.full((2, 1, 32, 32, 3), 128, np.float32)
    frames[1, :, :8, 8:16] += 0.1
    frames[1, :, 8:16, :8] += 0.05
    model, params = model_and_params()
    look = jax.jit(lambda a, b: model.apply({"params": params}, a, b, method="motion").changed)
    changed = look(*normalise(frames)).reshape(4, 4)
    expected = np.zeros((4, 4))
    expected[0, 1], expected[1, 0] = 1 - np.exp(-1), 1 - np.exp(-0.25)
    np.testing.assert_allclose(changed, expected, atol=1e-3)


def test_nobody_is_surer_than_a_hundredth_of_a_pixel():
    model, params = model_and_params()
    head = params["dma"]["trunk"]["head"]
    sure = head | {"bias": head["bias"].at[3].set(-100.0)}
    dma = params["dma"] | {"trunk": params["dma"]["trunk"] | {"head": sure}}
    variables = {"params": params | {"dma": dma}}
    look = jax.jit(lambda a, b: model.apply(variables, a, b, method="motion").log_variance)
    np.testing.assert_allclose(look(*normalise(FRAMES)), np.log(0.01**2), rtol=1e-6)


def test_the_counted_flops_are_those_of_the_trunks_kernels():
    """Two for every number of a kernel at every place where the layer is."""
    trunk = model_and_params()[1]["dma"]["trunk"]

    def places(name):
        return (32 // 2 ** int(name[5:])) ** 2 if name[5:].isdigit() else 16

    counted = sum(2 * layer["kernel"].size * places(name) for name, layer in trunk.items())
    assert flops.trunk_flops(CONFIG.model) == counted


def test_equal_frames_have_an_empty_map_no_displacement_and_no_tokens():
    model, params = model_and_params()
    frames = normalise(FRAMES)

    @jax.jit
    def look(a, b):
        seen = model.apply({"params": params}, a, b, method="motion")
        _, inside = model.apply({"params": params}, a, b)
        return seen.map, seen.displacement, seen.tokens, inside.patch_weights

    assert not any(np.asarray(x).any() for x in look(frames[0], frames[0]))
    assert all(np.asarray(x).all() for x in look(frames[0], frames[1])[:1])


def test_log_odds_undo_the_map():
    odds = jnp.linspace(-12.0, 12.0, 7)
    np.testing.assert_allclose(log_odds(jax.nn.softplus(odds)), odds, atol=1e-2)


def test_the_weights_are_the_probability_times_s_and_v_reads_the_motion_tokens():
    model, params = model_and_params()
    frames = normalise(FRAMES)

    @jax.jit
    def look(params):
        seen = model.apply({"params": params}, *frames, method="motion")
        return seen, model.apply({"params": params}, *frames)[1]

    seen, inside = look(params)
    expected = (1 - np.exp(-np.asarray(seen.map))) * inside.poi_scores * 16
    np.testing.assert_allclose(inside.patch_weights, expected, rtol=1e-5)
    kernel = params["dma"]["to_v"]["kernel"]
    appearance = inside.patch_weights[..., None] * inside.swapped.tokens
    read = np.concatenate([appearance, seen.tokens], axis=-1)
    value = read @ kernel + params["dma"]["to_v"]["bias"]
    value = value @ params["dma"]["proj"]["kernel"] + params["dma"]["proj"]["bias"]
    np.testing.assert_allclose(inside.dma_features, value, rtol=1e-4, atol=1e-5)


def test_p_dma_learns_to_tell_the_displacement_that_its_motion_tokens_hold():
    """Of motion that it has not met: with the tokens withheld from V, nothing can be learnt."""
    model, params = model_and_params()
    rng = np.random.default_rng(0)
    encode = jax.jit(lambda frames: model.apply({"params": params}, frames, method="encode"))
    encoded = encode(normalise(FRAMES[0]))

    @jax.jit
    def error(dma, tokens):
        seen = motion.Motion(
            tokens=tokens,
            log_odds=jnp.zeros((2, 16)),
            displacement=jnp.zeros((2, 16, 2)),
            log_variance=jnp.zeros((2, 16)),
            changed=jnp.ones((2, 16)),
        )
        variables = {"params": params | {"dma": dma}}
        told = model.apply(variables, seen, encoded, method="told_displacement")
        return jnp.mean(jnp.square(told - tokens[..., :2]))

    def drawn():
        return jnp.asarray(rng.normal(size=(2, 16, 64)), jnp.float32)

    tx = optax.adam(0.01)

    @jax.jit
    def fit(dma, state, tokens):
        updates, state = tx.update(jax.grad(error)(dma, tokens), state)
        return optax.apply_updates(dma, updates), state

    dma, unmet = params["dma"], drawn()
    state, before = tx.init(dma), error(dma, unmet)
    for _ in range(100):
        dma, state = fit(dma, state, drawn())
    assert error(dma, unmet) < 0.3 * before


def test_only_known_movements_teach_the_trunk():
    batch = {name: jnp.asarray(x) for name, x in noise_pairs(2, 32).items()}
    objective = make_objective(CONFIG, jax.devices()[0])
    views = views_of(CONFIG, batch)

    @jax.jit
    @jax.grad
    def gradient(params, reconstruction, warp, told):
        _, (metrics, _) = objective.loss(params, {}, views, jnp.float32(0))
        learnt = reconstruction * metrics["reconstruction"] + warp * metrics["warp"]
        return learnt + told * metrics["told_displacement"]

    def taught_by(**terms):
        nothing = {"reconstruction": 0.0, "warp": 0.0, "told": 0.0}
        taught = gradient(model_and_params()[1], **(nothing | terms))
        return {
            name: max(float(jnp.abs(x).max()) for x in jax.tree.leaves(part))
            for name, part in taught["dma"].items()
        }

    reconstructing = taught_by(reconstruction=1.0)
    assert reconstructing["trunk"] == 0 and reconstructing["to_v"] > 0
    assert taught_by(warp=1.0)["trunk"] > 0
    told = taught_by(told=1.0)
    assert told["trunk"] == 0 and min(told["to_v"], told["displacement_head"]) > 0


def test_odds_beyond_what_exp_can_hold_are_read_back_and_learnt_from():
    odds = jnp.array([-10.0, 0.0, 50.0, 89.0, 500.0])
    read = jax.vmap(jax.value_and_grad(lambda x: log_odds(jax.nn.softplus(x))))(odds)
    np.testing.assert_allclose(read[0], odds, rtol=1e-3)
    np.testing.assert_allclose(read[1], 1, rtol=1e-2)


@pytest.mark.parametrize("patch", [4, 16])
def test_patches_are_powers_of_two(patch):
    images = jnp.zeros((1, 32, 32, 3))
    shapes = jax.eval_shape(
        lambda: MotionTrunk(8, patch).init_with_output(jax.random.key(0), images, images)[0]
    )
    assert shapes.tokens.shape == (1, (32 // patch) ** 2, 8)


@pytest.mark.parametrize(
    "overrides, named",
    [
        ({"model__patch_size": 12, "model__image_size": 48}, "patch_size"),
        ({"model__dma__kind": "cross", "model__poi__enabled": False}, "dma.kind"),
        ({"loss__replaced_patch_weight": 1.0}, "replaced_patch_weight"),
    ],
)
def test_what_motion_cannot_do_is_refused(overrides, named):
    with pytest.raises(UserError, match=named):
        tiny_config(model__dma__reads="motion", **overrides)


def test_on_a_tpu_channels_are_chosen_one_by_one():
    parts = np.random.default_rng(0).normal(size=(5, 2, 3, 4)).astype(np.float32)
    np.testing.assert_array_equal(motion._channels(*parts), np.stack(parts, axis=-1))
    frames = np.zeros((2, 1, 32, 32), np.float32)
    texts = [lowered_for(kind, products, *frames) for kind in ("tpu", "cpu")]
    put_together = [re.search(r"concatenate.*x16xf32>", text) for text in texts]
    assert put_together[0] is None and put_together[1] is not None
