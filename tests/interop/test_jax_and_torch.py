"""The JAX model and the PyTorch module: every intermediate to 1e-5, gradients to 1e-4, f32."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
import torch.nn.functional as F
from conftest import step_of, tiny_config, views_of
from examples import as_torch, assert_close, random_weights, relative_error

from mubert_jax.config import build, to_dict
from mubert_jax.interop.torch_module import (
    MicronBert,
    MicronBertConfig,
    normalise,
    patchify,
)
from mubert_jax.interop.torch_weights import to_official
from mubert_jax.models import images as images_of
from mubert_jax.models.micron_bert import build_model
from mubert_jax.training.checkpoints import Weights
from mubert_jax.training.state import TrainState

CONFIGS = {
    "dma and poi": {},
    "poi literal": {"model__poi__scale": "literal"},
    "no poi": {"model__poi__enabled": False},
    "cross": {"model__dma__kind": "cross", "model__poi__enabled": False},
    "no dma": {"model__dma__kind": "none", "model__poi__enabled": False},
    "pixels": {"model__dma__reads": "pixels", "model__dma__window": 12},
    "pixels, shared": {"model__dma__reads": "pixels", "model__dma__projection": "shared"},
    "motion": {"model__dma__reads": "motion"},
    "motion, recognizer of the displacement": {
        "model__dma__reads": "motion",
        "model__recognizer__reads": "displacement",
    },
    "motion, recognizer of what P_dma tells": {
        "model__dma__reads": "motion",
        "model__recognizer__pool": "displacement",
        "model__recognizer__places": "face",
    },
    "recognizer of the map": {"model__recognizer__reads": "movement"},
    "recognizer of the map over the face": {
        "model__recognizer__reads": "movement",
        "model__recognizer__places": "face",
    },
    "residual": {"model__decoder__predict": "residual", "model__decoder__dim": 48},
    "poi-weighted pool": {"model__recognizer__pool": "poi"},
    "flattened": {"model__recognizer__pool": "flatten"},
    "recognizer of the displacement": {
        "model__dma__reads": "pixels",
        "model__recognizer__reads": "displacement",
    },
}


def torch_model(config, weights, **options):
    sizes = MicronBertConfig.from_model_section(to_dict(config)["model"], **options)
    return MicronBert.from_tensors(as_torch(to_official(config, weights)), sizes)


def nchw(images):
    return torch.tensor(np.asarray(images).transpose(0, 3, 1, 2))


def compare(config, weights, module, side, batch=2):
    """Asserts that all that the two models give of two random images agrees to 1e-5."""
    model = build_model(config)
    shape = (2, batch, side, side, 3)
    onset, apex = np.random.default_rng(1).standard_normal(shape).astype(np.float32)

    @jax.jit
    def ours(params, onset, apex):
        def everything(model):
            patches, inside = model(onset, apex)
            dma = model.config.dma.kind != "none"
            movement = model.difference(inside.swapped, inside.reference) if dma else None
            logits = model.logits(onset, apex) if model.config.recognizer.classes else None
            moved = None
            if dma and model.config.dma.reads != "tokens":
                moved = model.displacement(inside.swapped, inside.reference)
            return patches, inside, movement, moved, logits

        return model.apply({"params": params}, method=everything)

    patches, inside, movement, moved, logits = ours(weights.params, onset, apex)
    with torch.no_grad():
        onset, apex = nchw(onset), nchw(apex)
        their_patches, seen = module(onset, apex)
        for view, name in ((inside.swapped, "swapped"), (inside.reference, "reference")):
            assert_close(view.contextual_token, seen[f"{name}_tokens"][:, 0])
            assert_close(view.tokens, seen[f"{name}_tokens"][:, 1:])
        assert_close(inside.poi_scores, seen["poi_scores"])
        assert_close(inside.dma_features, seen["dma_features"])
        assert_close(patches, their_patches)
        if movement is not None:
            assert_close(movement, module.difference(onset, apex))
        if moved is not None:
            assert_close(moved, module.displacement(onset, apex))
        if config.model.dma.has_diagonal:
            assert_close(inside.dma.diagonal, seen["dma.diagonal"])
        else:
            assert seen["dma.diagonal"] is None
        if logits is not None:
            assert_close(logits, module.logits(onset, apex))


# PyTorch's fused attention is a matter of the encoder alone, which all have.
# Recognizers on motion tokens read what others read, of tokens that "motion" has.
SLOW = ("motion, recognizer of what P_dma tells", "motion, recognizer of the displacement")
WAYS = [
    pytest.param(name, False, marks=pytest.mark.slow) if name in SLOW else (name, False)
    for name in CONFIGS
]
WAYS += [("dma and poi", True), ("motion", True)]


@pytest.mark.parametrize("name, fused", WAYS)
def test_every_intermediate(name, fused):
    config = tiny_config(model__recognizer__classes=3, **CONFIGS[name])
    weights = random_weights(config)
    compare(config, weights, torch_model(config, weights, fused_attention=fused), side=32)


def test_another_image_size():
    trained, asked = tiny_config(), tiny_config(model__image_size=48)
    weights = random_weights(trained)
    compare(asked, weights, torch_model(trained, weights, image_size=48), side=48)


def test_the_encoder_takes_any_size():
    config = tiny_config()
    weights = random_weights(config)
    crop = np.random.default_rng(1).standard_normal((2, 16, 16, 3)).astype(np.float32)
    variables = {"params": weights.params}
    ours = build_model(config).apply(variables, crop, method="encode")
    with torch.no_grad():
        tokens, _ = torch_model(config, weights).backbone(nchw(crop))
    assert_close(ours.tokens, tokens[:, 1:])


@pytest.mark.slow
def test_the_papers_size():
    config = build({"model": {"recognizer": {"classes": 5}}, "loss": {"agreement": "mse"}})
    weights = random_weights(config)
    compare(config, weights, torch_model(config, weights), side=224, batch=1)


def test_normalise_is_the_same():
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)
    ours = images_of.normalise(images).transpose(0, 3, 1, 2)
    assert_close(ours, normalise(torch.tensor(images)), 1e-6)


def recorded_gradients(config, weights, batch):
    """What the real training step differentiates: an optimizer that keeps the gradients."""
    keep = optax.GradientTransformation(
        lambda params: params,
        lambda gradients, _, params: (jax.tree.map(jnp.zeros_like, gradients), gradients),
    )
    step = jax.jit(step_of(config, tx=keep))
    state = TrainState(jnp.zeros((), jnp.int32), weights.params, weights.params, weights.extra)
    state, metrics = step(state, batch)
    return state.opt_state, metrics


def head(tensors, prefix, x):
    """The DINO head from its official tensors."""
    for i in (0, 2, 4):
        x = F.gelu(x) if i else x
        x = F.linear(x, *(tensors[f"{prefix}.mlp.{i}.{leaf}"] for leaf in ("weight", "bias")))
    last = F.normalize(tensors[f"{prefix}.last_layer.weight_v"], dim=1)
    return F.normalize(x, dim=-1) @ last.T


def torch_dino(config, module, tensors, frame, crops):
    """Eq. (10) as DINO: the teacher sees the frame and its full-size crop, the student all."""
    dino = config.loss.dino
    with torch.no_grad():
        teacher_module = MicronBert.from_tensors(
            {
                name: tensors.get(f"teacher.{name}", value)
                for name, value in tensors.items()
                if not name.startswith("teacher.")
            },
            module.config,
        )
        targets = [
            (
                head(tensors, "teacher.head", teacher_module.backbone(view)[0][:, 0])
                - tensors["dino_loss_fn.center"]
            )
            / dino.warmup_teacher_temperature
            for view in (frame, crops[0])
        ]
    students = [
        head(tensors, "student.head", module.backbone(view)[0][:, 0]) / dino.student_temperature
        for view in (frame, *crops)
    ]
    terms = [
        -(target.softmax(-1) * student.log_softmax(-1)).sum(-1).mean()
        for i, target in enumerate(targets)
        for j, student in enumerate(students)
        if i != j
    ]
    return sum(terms) / len(terms)


@pytest.mark.parametrize("agreement", [pytest.param("mse", marks=pytest.mark.slow), "dino"])
def test_gradients_of_the_total_loss(agreement, noise_batch):
    config = tiny_config(loss__agreement=agreement, loss__agreement_weight=0.7)
    weights = random_weights(config)
    gradients, metrics = recorded_gradients(config, weights, noise_batch)

    module = torch_model(config, weights)
    tensors = as_torch(to_official(config, weights))
    heads = {name: tensors[name].requires_grad_() for name in tensors if "student.head" in name}
    frames = views_of(config, noise_batch)
    current, swapped, reference = (
        nchw(getattr(frames, n)) for n in ("current", "swapped", "reference")
    )
    crops = [nchw(crop) for crop in (*frames.global_crops, *frames.local_crops)]
    predicted, seen = module(swapped, reference)
    reconstruction = (predicted - patchify(current, 8)).square().mean()
    if agreement == "mse":
        (crop,) = crops
        agreed = (module.backbone(crop)[0][:, 0] - seen["reference_tokens"][:, 0]).square().mean()
    else:
        agreed = torch_dino(config, module, tensors, reference, crops)
    loss = reconstruction + 0.7 * agreed
    loss.backward()
    assert_close(metrics["reconstruction"], reconstruction.item())
    assert_close(metrics["agreement"], agreed.item())
    assert_close(metrics["loss"], loss.item())

    ours = to_official(config, Weights(gradients))
    theirs = {name: p.grad.numpy() for name, p in module.named_parameters()}
    theirs |= {name: x.grad.numpy() for name, x in heads.items() if x.grad is not None}
    largest = max(float(np.abs(g).max()) for g in theirs.values())
    assert len(theirs) == len(jax.tree.leaves(gradients))
    for name, gradient in theirs.items():
        if np.abs(gradient).max() < 1e-6 * largest:  # W_k's bias: the softmax cancels it
            assert np.abs(ours[name]).max() < 1e-5 * largest
        else:
            assert relative_error(ours[name], gradient) < 1e-4, name
