"""MagNet learns from movements that are known: by how much they are magnified, and of what."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import tiny_config
from magnet_files import made_up

from mubert_jax.cli import main
from mubert_jax.errors import UserError
from mubert_jax.models.magnet import PAPER
from mubert_jax.objectives import make_objective
from mubert_jax.objectives.magnet import Views, example, magnification
from mubert_jax.training.sampling import by_gathers
from mubert_jax.training.writers import read_metrics

SIDE, SLOPE = 32, 4.0
# Grey levels that grow to the right: what they have changed by is how far they have moved.
RAMP = np.broadcast_to(100 + SLOPE * np.arange(SIDE)[:, None], (4, SIDE, SIDE, 3))
BATCH = {"current": jnp.asarray(RAMP, jnp.uint8), "index": jnp.arange(4, dtype=jnp.uint32)}
PLAIN = {
    "amplitude": (5.0, 5.0),
    "furthest": 40.0,
    "sigma": (0.2, 0.2),
    "colours": 0.0,
    "noise": 0.0,
    "still": 0.0,
}


def config_of(size=SIDE, **options):
    return tiny_config(
        objective__name="magnet", model__image_size=size, objective__options=PLAIN | options
    )


@functools.cache
def made():
    """`example` of every frame of the batch, compiled once for all values of three options."""

    def of_batch(**options):
        options = dataclasses.replace(make_objective(config_of()).options, **options)
        keys = jax.random.split(jax.random.key(0), 4)
        images = jnp.asarray(RAMP, jnp.float32)
        return jax.vmap(lambda key, image: example(key, image, options, by_gathers))(keys, images)

    return jax.jit(of_batch)


def levels(views):
    """Views as NumPy arrays in grey levels."""
    frames = dataclasses.asdict(jax.device_get(views))
    factor = frames.pop("factor")
    return {name: (x + 1) * 127.5 for name, x in frames.items()} | {"factor": factor}


def views_of(colours=0.0, noise=0.0, still=0.0):
    return levels(made()(colours=colours, noise=noise, still=still))


@pytest.fixture(scope="module")
def plain():
    return views_of()


def test_the_same_movement_is_factor_times_as_large(plain):
    np.testing.assert_allclose(plain["first"], RAMP, atol=1e-3)
    moved = plain["first"] - plain["unmagnified"]  # SLOPE × pixels to the right
    magnified = plain["first"] - plain["magnified"]
    assert (1 <= plain["factor"]).all() and (plain["factor"] <= 8).all()
    assert np.ptp(plain["factor"]) > 1
    for one, more, factor in zip(moved, magnified, plain["factor"], strict=True):
        inside = np.s_[8:-8, 8:-8]
        assert 0.1 < np.abs(one).max() < SLOPE * 5 * SIDE / 224 + 1e-3
        np.testing.assert_allclose(more[inside], factor * one[inside], atol=0.02)
    for name in ("second", "repainted"):
        np.testing.assert_allclose(plain[name], plain["unmagnified"], atol=1e-3)


@pytest.fixture(scope="module")
def painted():
    return views_of(colours=0.5, noise=0.3)


def test_colours_change_from_a_to_b_and_not_from_a_to_c_nor_from_b_to_m(plain, painted):
    same = painted["repainted"] - plain["repainted"]
    assert (np.abs(same.mean((1, 2))) < 1).all()  # but for noise
    change = np.abs(painted["second"] - painted["repainted"]).mean((1, 2))
    assert (change.max(axis=1) > 5).all()
    corners = np.s_[:, ::31, ::31]
    np.testing.assert_allclose(
        painted["magnified"][corners], painted["unmagnified"][corners], atol=8
    )


def test_what_is_read_is_noisy_and_what_is_wanted_is_not(plain, painted):
    noise = [painted[name] - plain[name] for name in ("first", "repainted")]
    for one in noise:
        left, right = (one[:, :, half].std() for half in (np.s_[:8], np.s_[-8:]))
        assert 0.1 < left < right < 0.3 * np.sqrt(255)
    assert np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1] < 0.5
    for name, rough in {"magnified": False, "unmagnified": False, "second": True}.items():
        from_row_to_row = np.abs(np.diff(painted[name], n=2, axis=1))
        assert (np.median(from_row_to_row) > 0.1) == rough


def test_some_pairs_are_still():
    views = views_of(still=0.7)
    moves = np.abs(views["unmagnified"] - views["first"]).max((1, 2, 3)) > 1e-3
    assert moves.any() and not moves.all()
    np.testing.assert_allclose(views["magnified"][~moves], views["first"][~moves], atol=1e-3)


@pytest.mark.slow
def test_a_crop_keeps_the_pixels_of_a_movement():
    objective = make_objective(config_of(crop=16, furthest=30.0))
    cut = levels(jax.jit(objective.views)(jax.random.key(0), BATCH))
    assert cut["first"].shape == (4, 16, 16, 3)
    pixels = np.abs(cut["unmagnified"] - cut["first"])[:, 3:-3, 3:-3].max() / SLOPE
    assert 0.3 < pixels / (5 * SIDE / 224) <= 1.001
    assert len({float(x[0, 0, 0]) for x in cut["first"]}) == 4


@pytest.fixture(scope="module")
def learned(painted):
    """Parameters, two small examples, and the loss."""
    objective = make_objective(config_of())
    small = {
        name: jnp.asarray(x[:2, 8:24, 8:24] / 127.5 - 1 if x.ndim == 4 else x[:2])
        for name, x in painted.items()
    }
    return made_up(PAPER), Views(**small), objective.loss


@pytest.fixture(scope="module")
def loss(learned):
    """The loss of views alone, and its metrics."""
    params, views, of = learned
    loss = jax.jit(lambda views: of(params, {}, views, jnp.float32(0)))
    return views, lambda **changed: loss(views.replace(**changed))


@pytest.mark.slow
def test_it_learns_and_every_parameter_does(learned):
    params, views, of = learned
    both = jax.jit(jax.value_and_grad(lambda params: of(params, {}, views, jnp.float32(0))[0]))
    losses = []
    for step in range(6):
        value, gradients = both(params)
        if step == 0:
            leaves = jax.tree_util.tree_leaves_with_path(gradients)
            assert [path for path, x in leaves if not np.abs(x).max() > 0] == []
        gradients = jax.device_get(gradients)
        steepness = sum(float(np.sum(x**2)) for x in jax.tree.leaves(gradients))
        rate = 0.2 * float(value) / steepness  # a fifth of the way to 0, were it a plane
        params = jax.tree.map(lambda x, gradient, rate=rate: x - rate * gradient, params, gradients)
        losses.append(float(value))
    assert losses[-1] < 0.7 * losses[0]


def test_textures_do_not_know_of_movements_nor_shapes_of_colours(loss):
    views, of = loss

    def parts(**changed):
        total, (metrics, _) = of(**changed)
        representations = metrics["textures"] + metrics["shapes"]
        assert float(total) == pytest.approx(float(metrics["magnified"] + 0.1 * representations))
        return metrics["textures"], metrics["shapes"]

    textures, shapes = parts(repainted=views.first, magnified=views.second)
    assert textures == 0 and shapes > 0
    textures, shapes = parts(repainted=views.second)
    assert textures > 0 and shapes == 0


def test_the_factor_is_read(loss):
    _, of = loss
    factors = (jnp.full(2, factor, jnp.float32) for factor in (1.0, 30.0))
    one, other = (of(factor=factor)[1][0]["magnified"] for factor in factors)
    assert one != other


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_how_much_it_magnifies(share):
    unmagnified, wanted = np.random.default_rng(0).normal(size=(2, 2, 4, 4, 3)).clip(-1, 1)
    found = magnification(
        jnp.asarray(unmagnified + share * (wanted - unmagnified)), wanted, unmagnified
    )
    assert found["gain"] == pytest.approx(share, abs=1e-5)
    assert found["over_unmagnified"] == pytest.approx(1 - share, abs=1e-5)


@pytest.mark.parametrize(
    "options, said",
    [
        ({"factor": 0.5}, "factor is 0.5; choose 1 or more"),
        ({"amplitude": (3.0, 2.0)}, "amplitude is (3.0, 2.0); it needs 0 < low <= high"),
        ({"places": 0}, "places is 0; choose 1 or more"),
        ({"still": 1.0}, "still is 1.0; it takes [0, 1)"),
        ({"noise": -0.1}, "noise is -0.1; it cannot be negative"),
        ({"colours": 2.0}, "colours is 2.0; it takes 0 to 1"),
        ({"crop": 18}, "crop is 18; it needs a multiple of 4 from 16 to the 32"),
        ({"furthest": 80.0}, "furthest is 80.0; it needs at least the amplitude's 5, and less"),
        ({"furthest": 4.0}, "furthest is 4.0; it needs at least the amplitude's 5"),
    ],
)
def test_options_that_make_no_sense_are_one_line(options, said):
    with pytest.raises(UserError) as raised:
        make_objective(config_of(**options))
    assert said in str(raised.value) and "\n" not in str(raised.value)


def test_an_image_size_that_it_cannot_halve_twice():
    config = tiny_config(
        objective__name="magnet",
        objective__options=PLAIN,
        model__image_size=30,
        model__patch_size=2,
        loss__agreement="none",
    )
    with pytest.raises(UserError, match="image_size is 30; MagNet needs a multiple of 4"):
        make_objective(config)


@pytest.mark.slow
def test_a_run_is_exported_and_magnifies(frames_set, tmp_path):
    """The published config, smaller and shorter, from frames to a magnified picture."""
    run, weights, picture = (tmp_path / name for name in ("run", "w.safetensors", "m.png"))
    flags = ["model.image_size=32", "training.steps=2", "runtime.mesh=(1,1,1)", "data.delta=(1,3)"]
    flags += [f"data.path={frames_set}", "objective.options.crop=16"]
    config = [f"--config.{flag}" for flag in flags]
    named = ["--config=configs/baselines/magnet.py", f"--workdir={run}"]
    assert main(["pretrain", *named, *config]) == 0
    assert (run / "training.png").exists()
    rows = read_metrics(run)
    assert {"gain", "over_unmagnified", "magnified", "textures", "shapes"} <= rows[-1].keys()
    export = ["export", f"--checkpoint={run}", "--format=safetensors", f"--output={weights}"]
    assert main(export) == 0
    seen = []
    for source in (run, weights):
        frame = frames_set.parent / "in" / "clip0" / "img0.png"
        pair = [f"--onset={frame}", f"--apex={frame.with_name('img3.png')}"]
        assert main(["magnify", *pair, f"--weights={source}", f"--output={picture}"]) == 0
        seen.append(picture.read_bytes())
    assert seen[0] == seen[1]
