"""One pretraining step: (state, batch) -> (state, metrics), pure."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import optax
from jax.sharding import NamedSharding

from mubert_jax import losses
from mubert_jax.config import Config
from mubert_jax.models.micron_bert import MicronBert, side_by_side
from mubert_jax.models.swapping import blockwise_masks, swap
from mubert_jax.models.vit import patchify
from mubert_jax.training import schedules
from mubert_jax.training.movements import known_movements
from mubert_jax.training.state import TrainState, teacher_part
from mubert_jax.training.views import normalise, pair_keys, random_crops, recorded_alike

_MOVEMENT = 6


def make_step(
    config: Config,
    model: MicronBert,
    tx: optax.GradientTransformation,
    total_steps: int,
    batch_sharding: NamedSharding | None = None,
) -> Callable[[TrainState, dict], tuple[TrainState, dict]]:
    """Builds the step that `jax.jit` compiles.

    Its batch holds uint8 `current` and `reference` (B, H, W, 3) and uint32 `index` (B,), on
    devices as `batch_sharding` says; its metrics are float32 scalars.
    """
    agreement = losses.AGREEMENTS[config.loss.agreement]

    def gradients_of(state: TrainState, batch: dict):
        """Gradients, metrics and the new centre of a batch, or of a part of one."""
        frames = make_views(config, batch, batch_sharding)
        progress = state.step / total_steps
        teacher = teacher_views(model, state.teacher, frames) if agreement.teacher else None

        def loss_fn(params):
            variables = {"params": params}
            predicted, intermediates = model.apply(
                variables, frames["swapped"], frames["reference"], frames["global_crops"]
            )
            reconstruction = losses.reconstruction(
                predicted, patchify(frames["current"], config.model.patch_size)
            )
            student = student_views(model, variables, frames, intermediates)
            agreed, center = agreement.loss(student, teacher, state.center, config.loss, progress)
            loss = (
                config.loss.reconstruction_weight * reconstruction
                + config.loss.agreement_weight * agreed
            )
            metrics = {"reconstruction": reconstruction, "agreement": agreed}
            if config.loss.spotting_weight:
                diagonal = intermediates.dma.diagonal
                metrics["spotting"] = losses.spotting(diagonal, frames["swap_mask"])
                loss += config.loss.spotting_weight * metrics["spotting"]
            if config.loss.movement_weight:
                metrics["movement"] = movement_loss(model, variables, frames["known"])
                loss += config.loss.movement_weight * metrics["movement"]
            if config.loss.expectation_weight:
                metrics["expectation"] = losses.expectation(
                    intermediates.reference.poi_scores,
                    losses.change(frames["current"], frames["reference"], config.model.patch_size),
                )
                loss += config.loss.expectation_weight * metrics["expectation"]
            metrics["loss"] = loss
            return loss, (metrics | describe(intermediates, frames), center)

        gradients, (metrics, center) = jax.grad(loss_fn, has_aux=True)(state.params)
        return gradients, metrics, center

    def step(state: TrainState, batch: dict):
        parts = config.training.accumulate
        gradients, metrics, center = mean_over_parts(partial(gradients_of, state), batch, parts)
        updates, opt_state = tx.update(gradients, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        metrics["gradient_norm"] = optax.tree.norm(gradients)
        metrics["learning_rate"] = schedules.learning_rate(config.optimizer, total_steps)(
            state.step
        )
        return TrainState(
            step=state.step + 1,
            params=params,
            opt_state=opt_state,
            teacher=follow(config, state.teacher, params, state.step / total_steps),
            center=center,
        ), metrics

    return step


def mean_over_parts(of_part: Callable, batch: dict, parts: int):
    """Mean of what `of_part` gives of each of `parts` equal parts of a batch, one at a time.

    Every device keeps its own examples: part i holds examples i, i + parts, ...
    """
    if parts == 1:
        return of_part(batch)
    split = jax.tree.map(lambda x: x.reshape(-1, parts, *x.shape[1:]).swapaxes(0, 1), batch)
    first = jax.tree.map(lambda x: x[0], split)
    nothing = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(of_part, first))
    total, _ = jax.lax.scan(
        lambda total, part: (jax.tree.map(jnp.add, total, of_part(part)), None), nothing, split
    )
    return jax.tree.map(lambda x: x / parts, total)


def movement_loss(model, variables, known):
    """How well the calibrated map finds the movements put on I_{t+δ}."""
    first, second = normalise(known.first), normalise(known.second)
    found = model.apply(variables, first, second, method="movement")
    return losses.movement(found, known.moved, known.still)


def make_views(config: Config, batch: dict, batch_sharding: NamedSharding | None = None) -> dict:
    """What a step learns from.

    I_t, I_{t+δ}, I_{t/s} and the crops of I_{t+δ}, normalised; the swap mask (B, N); and, where
    the loss needs them, I_{t+δ} under known movements.
    """
    keys = pair_keys(config.training.seed, batch["index"])
    split_keys = jax.vmap(lambda key: jax.random.split(key, 5), out_axes=1)
    swap_keys, global_keys, local_keys, current_keys, reference_keys = split_keys(keys)
    mask = blockwise_masks(swap_keys, config.model.grid, config.swapping, batch_sharding)
    current, reference = normalise(batch["current"]), normalise(batch["reference"])
    other = reference if config.swapping.kind == "swap" else jnp.zeros_like(reference)
    swapped = swap(current, other, mask, config.model.patch_size)
    current, swapped = recorded_alike(current_keys, (current, swapped), config.augmentation)
    (reference,) = recorded_alike(reference_keys, (reference,), config.augmentation)
    agreement, crop = losses.AGREEMENTS[config.loss.agreement], config.loss.crop
    globals_ = crop.global_crops if agreement.crops else 0
    locals_ = crop.local_crops if agreement.teacher else 0
    size = config.model.image_size
    known = None
    if config.loss.movement_weight:
        movement_keys = jax.vmap(lambda key: jax.random.fold_in(key, _MOVEMENT))(keys)
        known = known_movements(
            movement_keys, batch["reference"], config.model.patch_size, config.loss.movement
        )
    return {
        "known": known,
        "current": current,
        "reference": reference,
        "swapped": swapped,
        "swap_mask": mask,
        "global_crops": random_crops(
            global_keys, reference, globals_, size, crop.global_scale, crop
        ),
        "local_crops": random_crops(
            local_keys, reference, locals_, crop.local_size, crop.local_scale, crop
        ),
    }


def student_views(model, variables, frames, intermediates) -> losses.Views:
    """Contextual features of the frame and its crops; projected where the model has a projector."""
    full_size = (intermediates.reference, *intermediates.crops)
    full_size_GxBxD = jnp.stack([view.contextual_token for view in full_size])
    if model.projector_config is None:
        return losses.Views(full_size_GxBxD, full_size_GxBxD[:0])
    return losses.Views(
        model.apply(variables, full_size_GxBxD, method="project"),
        _encode_and_project(model, variables, frames["local_crops"], len(frames["current"])),
    )


def teacher_views(model, teacher, frames) -> losses.Views:
    """The teacher's features of the frame and its full-size crops; it sees no local ones."""
    views = [frames["reference"], *frames["global_crops"]]
    features = _encode_and_project(model, {"params": teacher}, views, len(frames["current"]))
    return losses.Views(features, features[:0])


def _encode_and_project(model, variables, views, batch):
    """(V, B, K) of V views of equal size, in one encoder call."""
    if not views:
        return jnp.zeros((0, batch, model.projector_config.output_dim))
    encoded = model.apply(variables, side_by_side(*views), method="encode")
    projected = model.apply(variables, encoded.contextual_token, method="project")
    return projected.reshape(batch, len(views), -1).swapaxes(0, 1)


def describe(intermediates, frames) -> dict:
    """Metrics that show whether the parts do their work.

    `contextual_std` near 0 is a collapse; `diagonal_kept` and `diagonal_swapped` are the mean of
    diag(Â) over kept and over swapped patches: DMA tells them apart when they differ.
    """
    metrics = {
        "contextual_std": losses.contextual_std(intermediates.reference.contextual_token),
        "poi_peak": jnp.mean(jnp.max(intermediates.poi_scores, axis=-1))
        * intermediates.poi_scores.shape[-1],
    }
    if intermediates.dma is not None and intermediates.dma.diagonal is not None:
        swapped = frames["swap_mask"]
        diagonal = intermediates.dma.diagonal
        metrics["diagonal_swapped"] = jnp.mean(diagonal, where=swapped)
        metrics["diagonal_kept"] = jnp.mean(diagonal, where=~swapped)
    return metrics


def follow(config: Config, teacher: dict | None, params: dict, progress) -> dict | None:
    """The teacher, moved towards the student; None where there is none."""
    if teacher is None:
        return None
    momentum = schedules.teacher_momentum(config.loss.dino, progress)
    return jax.tree.map(
        lambda old, new: old * momentum + new * (1 - momentum), teacher, teacher_part(params)
    )
