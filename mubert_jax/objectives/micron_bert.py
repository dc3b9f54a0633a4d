"""Micron-BERT: reconstruct I_t from I_{t/s} and I_{t+δ}, and agree on crops; eq. (13).

Beyond the paper: known warps teach DMA's map, and changes teach POI where to expect them.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

from mubert_jax import losses
from mubert_jax.config import Config
from mubert_jax.models.images import normalise
from mubert_jax.models.micron_bert import (
    Intermediates,
    MicronBert,
    build_model,
    init_params,
    side_by_side,
)
from mubert_jax.models.motion import Motion, log_odds
from mubert_jax.models.swapping import blockwise_mask, swap
from mubert_jax.models.vit import patchify
from mubert_jax.training import flops, schedules
from mubert_jax.training.objective import Metrics, Objective, Params
from mubert_jax.training.views import degraded_alike, pair_keys, random_crops
from mubert_jax.training.warps import WarpedPair, warped_pairs

# Folded into a pair's key for its warps; the other views' keys are split from it.
_WARP = 6


@flax.struct.dataclass
class Views:
    """What a step learns from; images are normalised, (B, H, W, 3).

    Attributes:
      current, reference: I_t and I_{t+δ}.
      swapped: I_{t/s}.
      swap_mask: Which of its patches come from I_{t+δ}, (B, N) boolean.
      global_crops, local_crops: Crops of I_{t+δ}, each (B, size, size, 3).
      known: I_{t+δ} under known movements; None where the loss does not use them.
      face: Where the face is in I_{t+δ}, (B, 4); 0 where nobody knows.
    """

    current: jax.Array
    reference: jax.Array
    swapped: jax.Array
    swap_mask: jax.Array
    global_crops: list[jax.Array]
    local_crops: list[jax.Array]
    known: WarpedPair | None
    face: jax.Array


@dataclasses.dataclass(frozen=True)
class Forward:
    """What the terms of the loss are computed from.

    `motion` is what a trunk sees of the known movements; None where there is no trunk to teach.
    """

    variables: Mapping[str, Any]
    views: Views
    predicted: jax.Array
    intermediates: Intermediates
    motion: Motion | None = None


@dataclasses.dataclass(frozen=True)
class Term:
    """A part of the loss: `of` computes a scalar from a `Forward`."""

    name: str
    weight: float
    of: Callable[[Forward], jax.Array]


class MicronBertObjective(Objective):
    """Eq. (13), and what `config.loss` adds to it. A term of weight 0 is not computed.

    Where the agreement has a teacher, `extra` holds the EMA `teacher` of encoder and projector and
    its `center` (K,).
    """

    panels = {
        "reconstruction": {"reconstruction": "L_r, eq. (14)"},
        "agreement and replaced patches": {
            "agreement": "L_agg, eq. (10)",
            "replaced_patch": "detection of swapped patches",
        },
        "warps": {"warp": "cross-entropy of the map"},
        "displacement by warps": {"displacement": "negative log-likelihood"},
        "displacement that P_dma tells": {"told_displacement": "mean square error"},
        "POI's expectation": {"expectation": "cross-entropy of S"},
        "POI on the face": {"face": "cross-entropy of S"},
        "contextual token (0 = collapse)": {"contextual_std": "std over the batch"},
        "diag(Â)": {"diagonal_swapped": "swapped patches", "diagonal_kept": "kept patches"},
    }

    def __init__(self, config: Config):
        super().__init__(config)
        self.model = build_model(config)
        self.agreement = losses.AGREEMENTS[config.loss.agreement]
        weights = config.loss
        self.teaches_motion = config.model.dma.reads == "motion" and bool(weights.warp_weight)
        terms = [
            Term("reconstruction", weights.reconstruction_weight, self._reconstruction),
            Term("replaced_patch", weights.replaced_patch_weight, self._replaced_patch),
            Term("warp", weights.warp_weight, self._warp),
            Term("expectation", weights.expectation_weight, self._expectation),
            Term("face", weights.face_weight, self._face),
        ]
        if self.teaches_motion:
            weight = weights.displacement_weight
            terms.append(Term("displacement", weight, self._displacement))
            terms.append(Term("told_displacement", weight, self._told_displacement))
        self.terms = [term for term in terms if term.weight]
        self.agrees = bool(weights.agreement_weight) and weights.agreement != "none"

    def init(self, key: jax.Array) -> Params:
        return init_params(self.model, key)

    def extra(self, params: Params) -> dict:
        if not self.agreement.teacher:
            return {}
        center = jnp.zeros(self.config.loss.dino.output_dim)
        return {"teacher": jax.tree.map(jnp.copy, teacher_part(params)), "center": center}

    def views(self, key: jax.Array, batch: dict[str, jax.Array]) -> Views:
        config, crop = self.config, self.config.loss.crop
        patch_size, size = config.model.patch_size, config.model.image_size
        keys = pair_keys(key, batch["index"])
        split_keys = jax.vmap(lambda key: jax.random.split(key, 5), out_axes=1)
        swap_keys, global_keys, local_keys, current_keys, reference_keys = split_keys(keys)
        mask = jax.vmap(lambda key: blockwise_mask(key, config.model.grid, config.swapping))(
            swap_keys
        )
        current, reference = normalise(batch["current"]), normalise(batch["reference"])
        other = reference if config.swapping.kind == "swap" else jnp.zeros_like(reference)
        swapped = swap(current, other, mask, patch_size)
        current, swapped = degraded_alike(current_keys, (current, swapped), config.augmentation)
        (reference,) = degraded_alike(reference_keys, (reference,), config.augmentation)
        known = None
        if config.loss.warp_weight:
            warp_keys = jax.vmap(lambda key: jax.random.fold_in(key, _WARP))(keys)
            known = warped_pairs(warp_keys, batch["reference"], patch_size, config.loss.warp)
        globals_ = crop.global_crops if self.agreement.crops else 0
        locals_ = crop.local_crops if self.agreement.teacher else 0
        return Views(
            current=current,
            reference=reference,
            swapped=swapped,
            swap_mask=mask,
            global_crops=random_crops(
                global_keys, reference, globals_, size, crop.global_scale, crop
            ),
            local_crops=random_crops(
                local_keys, reference, locals_, crop.local_size, crop.local_scale, crop
            ),
            known=known,
            face=batch["face"],
        )

    def loss(
        self, params: Params, extra: dict, views: Views, progress: jax.Array
    ) -> tuple[jax.Array, tuple[Metrics, dict]]:
        variables = {"params": params}
        model = self.model.bind(variables)
        predicted, intermediates = model(views.swapped, views.reference, views.global_crops)
        seen = None
        if self.teaches_motion:
            known = _known(views)
            seen = model.motion(normalise(known.first), normalise(known.second))
        forward = Forward(variables, views, predicted, intermediates, seen)
        metrics = {term.name: term.of(forward) for term in self.terms}
        loss = sum((term.weight * metrics[term.name] for term in self.terms), jnp.zeros(()))
        statistics = {}
        if self.agrees:
            metrics["agreement"], statistics = self._agreement(forward, extra, progress)
            loss += self.config.loss.agreement_weight * metrics["agreement"]
        return loss, (metrics | describe(intermediates, views), statistics)

    def after_update(
        self, params: Params, extra: dict, statistics: dict, progress: jax.Array
    ) -> dict:
        if not extra:
            return extra
        dino = self.config.loss.dino
        momentum = schedules.teacher_momentum(dino.teacher_momentum, progress)
        teacher = optax.incremental_update(teacher_part(params), extra["teacher"], 1 - momentum)
        center = optax.incremental_update(
            statistics["center"], extra["center"], 1 - dino.center_momentum
        )
        return {"teacher": teacher, "center": center}

    def _reconstruction(self, forward: Forward):
        target = patchify(forward.views.current, self.config.model.patch_size)
        return losses.reconstruction(forward.predicted, target)

    def _replaced_patch(self, forward: Forward):
        dma = forward.intermediates.dma
        if dma is None or dma.diagonal is None:
            raise ValueError("replaced-patch detection reads diag(Â), which this model lacks")
        return losses.replaced_patch(dma.diagonal, forward.views.swap_mask)

    def _warp(self, forward: Forward):
        """How well the calibrated map finds the movements put on I_{t+δ}."""
        known = _known(forward.views)
        if forward.motion is not None:
            return losses.warp(forward.motion.map, known.moved, known.still, log_odds)
        frames = normalise(known.first), normalise(known.second)
        found = self.model.bind(forward.variables).motion_map(*frames)
        return losses.warp(found, known.moved, known.still)

    def _displacement(self, forward: Forward):
        """How well the trunk tells how far, and which way, patches of I_{t+δ} were moved."""
        known = _known(forward.views)
        if forward.motion is None:
            raise ValueError("displacements are those that a motion trunk tells")
        return losses.displacement(forward.motion, known.displacement, known.moved, known.still)

    def _told_displacement(self, forward: Forward):
        """How well P_dma tells the same, through a linear layer; V and that layer learn from it."""
        known, seen = _known(forward.views), jax.lax.stop_gradient(forward.motion)
        if seen is None:
            raise ValueError("P_dma tells what a motion trunk saw")
        encoded = jax.lax.stop_gradient(forward.intermediates.reference)
        told = self.model.bind(forward.variables).told_displacement(seen, encoded)
        return losses.told_displacement(told, known.displacement, known.moved, known.still)

    def _expectation(self, forward: Forward):
        views = forward.views
        change = losses.change(views.current, views.reference, self.config.model.patch_size)
        return losses.expectation(forward.intermediates.reference.poi_scores, change)

    def _face(self, forward: Forward):
        return losses.face(forward.intermediates.reference.poi_scores, forward.views.face)

    def _agreement(self, forward: Forward, extra: dict, progress: jax.Array):
        variables, views = forward.variables, forward.views
        student = student_views(self.model, variables, views, forward.intermediates)
        teacher = None
        if self.agreement.teacher:
            teacher = teacher_views(self.model, extra["teacher"], views)
        return self.agreement.loss(
            student, teacher, extra.get("center"), self.config.loss, progress
        )

    def encode(self, params: Params, extra: dict, images: jax.Array) -> jax.Array:
        return self.model.bind({"params": params}).encode(images).tokens

    def flops_per_pair(self) -> float:
        """Student forward and backward, teacher forward; the decoder only where L_r has weight."""
        model, crop, loss = self.config.model, self.config.loss.crop, self.config.loss
        crops = crop.global_crops if self.agreement.crops else 0
        student = (2 + crops) * flops.encoder_flops(model, model.grid)
        student += flops.dma_flops(model)
        if loss.reconstruction_weight:
            student += flops.decoder_flops(model)
        teacher = 0.0
        if self.agreement.teacher:
            projector = flops.projector_flops(model, loss.dino)
            local = flops.encoder_flops(model, crop.local_size // model.patch_size)
            student += crop.local_crops * local
            student += (1 + crops + crop.local_crops) * projector
            teacher = (1 + crops) * (flops.encoder_flops(model, model.grid) + projector)
        if loss.warp_weight:
            student += 2 * flops.comparison_flops(model)
        return 3 * student + teacher


def _known(views: Views) -> WarpedPair:
    if views.known is None:
        raise ValueError("these views were drawn without warps")
    return views.known


def teacher_part(params: Params) -> Params:
    """The parameters that a teacher follows."""
    return {name: params[name] for name in ("encoder", "projector")}


def student_views(
    model: MicronBert, variables: Mapping[str, Any], views: Views, intermediates: Intermediates
) -> losses.Features:
    """Contextual features of the frame and its crops; projected where the model has a projector."""
    full_size = (intermediates.reference, *intermediates.crops)
    full_size_GxBxD = jnp.stack([view.contextual_token for view in full_size])
    if model.projector_config is None:
        return losses.Features(full_size_GxBxD, full_size_GxBxD[:0])
    features_GxBxK = model.bind(variables).project(full_size_GxBxD)
    if not views.local_crops:
        return losses.Features(features_GxBxK, features_GxBxK[:0])
    return losses.Features(features_GxBxK, _encode_and_project(model, variables, views.local_crops))


def teacher_views(model: MicronBert, teacher: Params, views: Views) -> losses.Features:
    """The teacher's features of the frame and its full-size crops; it sees no local ones."""
    full_size = [views.reference, *views.global_crops]
    features_GxBxK = _encode_and_project(model, {"params": teacher}, full_size)
    return losses.Features(features_GxBxK, features_GxBxK[:0])


def _encode_and_project(
    model: MicronBert, variables: Mapping[str, Any], views: Sequence[jax.Array]
):
    """(V, B, K) of V views of equal size, at least one, in one encoder call."""
    bound = model.bind(variables)
    projected = bound.project(bound.encode(side_by_side(*views)).contextual_token)
    return projected.reshape(-1, len(views), projected.shape[-1]).swapaxes(0, 1)


def describe(intermediates: Intermediates, views: Views) -> Metrics:
    """Metrics that show whether the parts do their work.

    `contextual_std` near 0 is a collapse; `poi_peak` is the largest score over the mean one;
    `diagonal_kept` and `diagonal_swapped` are the means of diag(Â) over kept and over swapped
    patches: DMA tells them apart when they differ.
    """
    metrics = {
        "contextual_std": losses.contextual_std(intermediates.reference.contextual_token),
        "poi_peak": jnp.mean(jnp.max(intermediates.poi_scores, axis=-1))
        * intermediates.poi_scores.shape[-1],
    }
    if intermediates.dma is not None and intermediates.dma.diagonal is not None:
        swapped = views.swap_mask
        diagonal = intermediates.dma.diagonal
        metrics["diagonal_swapped"] = jnp.mean(diagonal, where=swapped)
        metrics["diagonal_kept"] = jnp.mean(diagonal, where=~swapped)
    return metrics
