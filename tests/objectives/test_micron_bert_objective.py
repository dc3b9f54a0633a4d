"""What a step computes, of a model so small that it can be followed by hand."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from conftest import tiny_config, views_of

from mubert_jax import losses
from mubert_jax.models.images import normalise
from mubert_jax.models.motion import log_odds
from mubert_jax.models.vit import patchify
from mubert_jax.objectives import micron_bert
from mubert_jax.objectives.micron_bert import (
    Forward,
    MicronBertObjective,
    Views,
    describe,
    student_views,
    teacher_views,
)
from mubert_jax.training.schedules import teacher_momentum
from mubert_jax.training.state import TrainState
from mubert_jax.training.step import make_step


def numbers(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


class Small:
    """A frame's token is its mean colour times one weight, its projection a matrix."""

    def __init__(self, projects: bool, params=None):
        self.projector_config = SimpleNamespace(output_dim=2) if projects else None
        self.params = params

    def bind(self, variables):
        return Small(self.projector_config is not None, variables["params"])

    def encode(self, images):
        token = self.params["encoder"]["weight"] * images.mean((1, 2))
        scores = jax.nn.softmax(token[:, :1] * jnp.arange(1, 5) / 4)
        return SimpleNamespace(contextual_token=token, poi_scores=scores)

    def project(self, tokens):
        return tokens @ self.params["projector"]["matrix"]

    def motion_map(self, first, second):
        return self.params["encoder"]["weight"] * patchify(jnp.abs(second - first), 8).mean(-1)

    def __call__(self, swapped, reference, crops):
        reference = self.encode(reference)
        weight = self.params["encoder"]["weight"]
        diagonal = jax.nn.sigmoid(weight * patchify(swapped, 8).mean(-1))
        return weight * patchify(swapped, 8), SimpleNamespace(
            reference=reference,
            crops=[self.encode(crop) for crop in crops],
            poi_scores=reference.poi_scores,
            dma=SimpleNamespace(diagonal=diagonal),
        )


@pytest.fixture
def frames():
    """Two pairs of 16×16 pixels, so four patches; two full-size crops and three local ones."""
    random = np.random.default_rng(0)
    known = SimpleNamespace(
        first=random.integers(0, 255, (2, 16, 16, 3), np.uint8),
        second=random.integers(0, 255, (2, 16, 16, 3), np.uint8),
        moved=np.array([[True, False, False, False], [False, True, True, False]]),
        still=np.array([[False, True, True, False], [True, False, False, False]]),
    )
    views = ("current", "reference", "swapped")
    images = {name: numbers(2, 16, 16, 3, seed=i) for i, name in enumerate(views)}
    return Views(
        **images,
        known=known,
        face=np.array([[0.5, 0.5, 0.3, 0.4], [0.0, 0.0, 0.0, 0.0]], np.float32),
        swap_mask=np.array([[True, False, True, False], [False, False, True, True]]),
        global_crops=[numbers(2, 16, 16, 3, seed=seed) for seed in (5, 6)],
        local_crops=[numbers(2, 8, 8, 3, seed=seed) for seed in (7, 8, 9)],
    )


def objective_of(projects, **overrides):
    objective = MicronBertObjective(tiny_config(**overrides))
    objective.model = Small(projects)
    return objective


PARAMS = {
    "encoder": {"weight": jnp.float32(0.7)},
    "projector": {"matrix": numbers(3, 2, seed=1)},
}


def projected(images, params=PARAMS):
    mean = np.asarray(images).mean((1, 2))
    return params["encoder"]["weight"] * mean @ params["projector"]["matrix"]


def test_a_teacher_sees_the_frame_and_its_full_size_crops_with_weights_of_its_own(frames):
    own = jax.tree.map(lambda x: 2 * x, PARAMS)
    views = teacher_views(Small(True), own, frames)
    expected = [projected(x, own) for x in (frames.reference, *frames.global_crops)]
    np.testing.assert_allclose(views.frames_and_crops, expected, atol=1e-5)
    assert views.local_crops.shape == (0, 2, 2)


@pytest.mark.parametrize("local", [3, 0])
def test_a_student_sees_the_local_crops_too(frames, local):
    frames = frames.replace(local_crops=frames.local_crops[:local])
    model, variables = Small(True), {"params": PARAMS}
    _, inside = model.bind(variables)(frames.swapped, frames.reference, frames.global_crops)
    views = student_views(model, variables, frames, inside)
    expected = [projected(x) for x in (frames.reference, *frames.global_crops)]
    np.testing.assert_allclose(views.frames_and_crops, expected, atol=1e-5)
    assert views.local_crops.shape == (local, 2, 2)
    for found, crop in zip(views.local_crops, frames.local_crops, strict=True):
        np.testing.assert_allclose(found, projected(crop), atol=1e-5)


def test_without_a_projector_views_are_tokens(frames):
    model, variables = Small(False), {"params": PARAMS}
    _, inside = model.bind(variables)(frames.swapped, frames.reference, frames.global_crops)
    views = student_views(model, variables, frames, inside)
    tokens = [view.contextual_token for view in (inside.reference, *inside.crops)]
    np.testing.assert_array_equal(views.frames_and_crops, tokens)
    assert views.local_crops.shape == (0, 2, 3)


def test_a_loss_of_movements_sees_both_moments_normalised(frames):
    known = frames.known
    found = 0.7 * patchify(jnp.abs(normalise(known.second) - normalise(known.first)), 8).mean(-1)
    expected = losses.warp(found, known.moved, known.still)
    forward = Forward({"params": PARAMS}, frames, None, None)
    value = objective_of(False)._warp(forward)
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_replaced_patches_are_found_on_a_diagonal_alone(frames):
    for dma in (None, SimpleNamespace(diagonal=None)):
        forward = Forward({"params": PARAMS}, frames, None, SimpleNamespace(dma=dma))
        with pytest.raises(ValueError, match="which this model lacks"):
            objective_of(False)._replaced_patch(forward)


def test_what_needs_a_trunk_or_warps_says_so(frames):
    objective = objective_of(False)
    for motion, known, terms in (
        (None, frames.known, (objective._displacement, objective._told_displacement)),
        (None, None, (objective._warp, objective._displacement, objective._told_displacement)),
    ):
        forward = Forward({}, frames.replace(known=known), None, None, motion)
        for term in terms:
            with pytest.raises(ValueError, match="without warps" if known is None else "trunk"):
                term(forward)


def test_a_trunk_is_taught_by_its_own_map_and_by_how_far_patches_moved(frames, monkeypatch):
    for name in ("warp", "displacement"):
        monkeypatch.setattr(losses, name, lambda *arguments: arguments)
    known = SimpleNamespace(moved=1, still=2, displacement=3)
    seen = SimpleNamespace(map=4)
    forward = Forward({}, frames.replace(known=known), None, None, seen)
    objective = objective_of(False)
    assert objective._warp(forward) == (4, 1, 2, log_odds)
    assert objective._displacement(forward) == (seen, 3, 1, 2)


def test_a_teacher_begins_as_the_student_with_a_center_of_nothing():
    params = PARAMS | {"dma": jnp.ones(1)}
    assert MicronBertObjective(tiny_config(loss__agreement="mse")).extra(params) == {}
    extra = MicronBertObjective(tiny_config(loss__dino__output_dim=5)).extra(params)
    assert extra.keys() == {"teacher", "center"} and extra["center"].tolist() == [0.0] * 5
    jax.tree.map(np.testing.assert_array_equal, extra["teacher"], PARAMS)


def test_metrics_by_hand(frames):
    tokens = numbers(2, 3)
    diagonal = np.array([[0.1, 0.2, 0.3, 0.4], [0.5, 0.6, 0.7, 0.8]])
    inside = SimpleNamespace(
        reference=SimpleNamespace(contextual_token=tokens),
        poi_scores=jnp.array([[0.1, 0.2, 0.3, 0.4], [0.7, 0.1, 0.1, 0.1]]),
        dma=SimpleNamespace(diagonal=diagonal),
    )
    found = describe(inside, frames)
    expected = {
        "contextual_std": np.std(tokens, 0).mean(),
        "poi_peak": 4 * 0.55,
        "diagonal_swapped": (0.1 + 0.3 + 0.7 + 0.8) / 4,
        "diagonal_kept": (0.2 + 0.4 + 0.5 + 0.6) / 4,
    }
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5)
    for dma in (None, SimpleNamespace(diagonal=None)):
        inside.dma = dma
        assert describe(inside, frames).keys() == {"contextual_std", "poi_peak"}


def test_a_teacher_follows_by_what_is_left_of_the_momentum():
    teacher = {"encoder": jnp.array([1.0, 3.0]), "projector": jnp.array([2.0])}
    params = {"encoder": jnp.array([2.0, 1.0]), "projector": jnp.array([6.0]), "dma": jnp.ones(1)}
    objective = MicronBertObjective(tiny_config(loss__dino__teacher_momentum=0.6))
    extra = {"teacher": teacher, "center": jnp.array([1.0])}
    after = objective.after_update(params, extra, {"center": jnp.array([2.0])}, 0.5)
    moved = after["teacher"]
    # Half of the way from 0.6 to 1: a fifth of the student.
    np.testing.assert_allclose(moved["encoder"], [1.2, 2.6], rtol=1e-5)
    np.testing.assert_allclose(moved["projector"], [2.8], rtol=1e-5)
    assert moved.keys() == teacher.keys()
    np.testing.assert_allclose(after["center"], [1.1], rtol=1e-5)
    assert objective.after_update(params, {}, {}, 0.5) == {}


TOTAL = 10


def take_step(frames, weight=0.7, **overrides):
    """(state, metrics) after step 4 of 10 by SGD of rate 1."""
    agreement = losses.AGREEMENTS[tiny_config(**overrides).loss.agreement]
    objective = objective_of(agreement.teacher, **overrides)
    objective.views = lambda key, batch: frames
    params = PARAMS | {"encoder": {"weight": jnp.float32(weight)}}
    tx = optax.sgd(1.0)
    twice = jax.tree.map(lambda x: 2 * x, params)
    state = TrainState(
        step=jnp.int32(4),
        params=params,
        opt_state=tx.init(params),
        extra={"teacher": twice, "center": jnp.zeros(2)} if agreement.teacher else {},
    )
    return make_step(objective, tx, TOTAL, jax.random.key(0))(state, {})


WEIGHTS = {"reconstruction": 2.0, "agreement": 0.5, "replaced_patch": 3.0, "warp": 4.0}
WEIGHTS |= {"expectation": 5.0}


def test_a_step_descends_the_weighted_sum_of_its_losses(frames):
    weights = {f"loss__{name}_weight": weight for name, weight in WEIGHTS.items()}
    options = weights | {"loss__agreement": "mse"}
    state, metrics = take_step(frames, **options)
    model = Small(False).bind({"params": PARAMS})
    _, inside = model(frames.swapped, frames.reference, frames.global_crops)
    tokens = [view.contextual_token for view in inside.crops]
    change = losses.change(frames.current, frames.reference, 8)
    expected = {
        "reconstruction": np.mean((0.7 * frames.swapped - frames.current) ** 2),
        "agreement": np.mean([(t - inside.reference.contextual_token) ** 2 for t in tokens]),
        "replaced_patch": losses.replaced_patch(inside.dma.diagonal, frames.swap_mask),
        "warp": objective_of(False)._warp(Forward({"params": PARAMS}, frames, None, None)),
        "expectation": losses.expectation(inside.reference.poi_scores, change),
    }
    expected["loss"] = sum(WEIGHTS[name] * value for name, value in expected.items())
    for name, value in expected.items():
        np.testing.assert_allclose(metrics[name], value, rtol=1e-4)
    assert {"contextual_std", "diagonal_kept"} < metrics.keys()
    around = [take_step(frames, 0.7 + d, **options)[1]["loss"] for d in (0.01, -0.01)]
    slope = float(around[0] - around[1]) / 0.02
    np.testing.assert_allclose(state.params["encoder"]["weight"], 0.7 - slope, rtol=2e-2)
    np.testing.assert_allclose(metrics["gradient_norm"], abs(slope), rtol=2e-2)
    assert int(state.step) == 5 and state.extra == {}


def test_losses_of_no_weight_are_not_computed(frames):
    _, metrics = take_step(frames.replace(known=None), loss__agreement="none")
    assert not {"replaced_patch", "warp", "expectation", "agreement"} & metrics.keys()
    np.testing.assert_allclose(metrics["loss"], metrics["reconstruction"])


def test_a_step_with_a_teacher_compares_with_it_as_it_was(frames):
    options = {"loss__dino__warmup_teacher_temperature": 0.5, "loss__dino__warmup_fraction": 1.0}
    state, metrics = take_step(frames, **options)
    model, config = Small(True), tiny_config(**options)
    bound = model.bind({"params": PARAMS})
    _, inside = bound(frames.swapped, frames.reference, frames.global_crops)
    student = student_views(model, {"params": PARAMS}, frames, inside)
    teacher = teacher_views(model, jax.tree.map(lambda x: 2 * x, PARAMS), frames)
    agreed, seen = losses.dino(student, teacher, jnp.zeros(2), config.loss, 4 / TOTAL)
    np.testing.assert_allclose(metrics["agreement"], agreed, rtol=1e-4)
    center = (1 - config.loss.dino.center_momentum) * seen["center"]
    np.testing.assert_allclose(state.extra["center"], center, rtol=1e-4)
    momentum = teacher_momentum(config.loss.dino.teacher_momentum, 4 / TOTAL)
    expected = momentum * 1.4 + (1 - momentum) * state.params["encoder"]["weight"]
    np.testing.assert_allclose(state.extra["teacher"]["encoder"]["weight"], expected, rtol=1e-5)


@pytest.mark.parametrize(
    "agreement, full_size, local", [("none", 0, 0), ("mse", 2, 0), ("dino", 2, 3)]
)
def test_crops_are_made_for_who_looks_at_them(agreement, full_size, local, noise_batch):
    config = tiny_config(
        loss__agreement=agreement, loss__crop__global_crops=2, loss__crop__local_crops=3
    )
    views = jax.eval_shape(lambda batch: views_of(config, batch), noise_batch)
    assert [x.shape for x in views.global_crops] == [(4, 32, 32, 3)] * full_size
    assert [x.shape for x in views.local_crops] == [(4, 16, 16, 3)] * local
    assert views.swap_mask.shape == (4, 16) and views.known is None


# FLOPs of the encoder on a frame and on a local crop, and of the other parts.
FRAME, LOCAL, DMA, DECODER, PROJECTOR, COMPARISON = (100.0**power for power in range(1, 7))


@pytest.mark.parametrize(
    "options, forward_and_backward, forward",
    [
        ({"agreement": "none"}, 2 * FRAME + DMA + DECODER, 0),
        ({"agreement": "mse"}, 4 * FRAME + DMA + DECODER, 0),
        ({"agreement": "contrastive", "reconstruction_weight": 0.0}, 4 * FRAME + DMA, 0),
        ({"agreement": "none", "warp_weight": 0.5}, 2 * FRAME + DMA + DECODER + 2 * COMPARISON, 0),
        (
            {"agreement": "dino"},
            4 * FRAME + 5 * LOCAL + DMA + DECODER + 8 * PROJECTOR,
            3 * FRAME + 3 * PROJECTOR,
        ),
    ],
)
def test_flops_of_a_pair_are_thrice_the_students_and_once_the_teachers(
    monkeypatch, options, forward_and_backward, forward
):
    """Of a frame, two full-size crops and five local ones, each of which is projected."""
    parts = {"dma": DMA, "decoder": DECODER, "projector": PROJECTOR, "comparison": COMPARISON}
    for name, value in parts.items():
        monkeypatch.setattr(micron_bert.flops, f"{name}_flops", lambda *_, value=value: value)
    of_grid = {4: FRAME, 2: LOCAL}
    monkeypatch.setattr(micron_bert.flops, "encoder_flops", lambda model, grid: of_grid[grid])
    options = {"crop": {"global_crops": 2, "local_crops": 5, "local_size": 16}} | options
    config = tiny_config(**{f"loss__{name}": value for name, value in options.items()})
    counted = MicronBertObjective(config).flops_per_pair()
    assert counted == 3 * forward_and_backward + forward
