"""The loss, eq. (13): reconstruction, eq. (14), and the agreements H of eq. (10).

A new agreement is one function of `(student, teacher, center, config, progress)` that returns
`(loss, statistics)`, and one line in `AGREEMENTS`. `teacher` and `center` are None where it has no
teacher; `progress` runs from 0 to 1 over the training.
"""

import dataclasses
from collections.abc import Callable

import flax.struct
import jax
import jax.numpy as jnp
import optax

from mubert_jax.config import LossConfig
from mubert_jax.models.dma import motion_log_odds
from mubert_jax.models.motion import Motion
from mubert_jax.models.projector import unit
from mubert_jax.models.vit import patchify

# The weight of the moved patches in `warp`: a larger one finds weaker movements and lets more still
# patches light up.
MOVED_SHARE = 0.3
# How fast the gradient of `expectation` fades, per nat of cross-entropy above a uniform S: a larger
# one ignores more outliers, and more pairs that are only hard.
OUTLIER_SHARPNESS = 4.0

# What an agreement returns: the loss, and statistics of the batch.
Loss = tuple[jax.Array, dict[str, jax.Array]]


@flax.struct.dataclass
class Features:
    """What an agreement compares: float32 features of a batch of frames and of their crops.

    `frames_and_crops` (1 + G, B, K), the frame I_{t+δ} itself first; `local_crops` (L, B, K). K is
    the size of the contextual token, or of the projection where the agreement has a teacher.
    """

    frames_and_crops: jax.Array
    local_crops: jax.Array


@dataclasses.dataclass(frozen=True)
class Agreement:
    """A `loss`, and whether it needs crops of the frame, and an EMA teacher with a projector."""

    loss: Callable[..., Loss]
    crops: bool = True
    teacher: bool = False


def reconstruction(predicted_BxNxP: jax.Array, target_BxNxP: jax.Array) -> jax.Array:
    """L_r of eq. (14): the mean square error over all patches, in normalised pixels."""
    return jnp.mean(jnp.square(predicted_BxNxP - target_BxNxP))


def replaced_patch(diagonal_BxN: jax.Array, swap_mask_BxN: jax.Array) -> jax.Array:
    """-log-likelihood of the swap mask if diag(Â) is the probability that a patch was kept.

    Swapped and kept patches count alike, however many there are. Beyond the paper.
    """
    # Clipped so that both logarithms are finite in float32.
    diagonal_BxN = jnp.clip(diagonal_BxN, 1e-6, 1 - 1e-6)
    swapped = jnp.mean(-jnp.log1p(-diagonal_BxN), where=swap_mask_BxN)
    kept = jnp.mean(-jnp.log(diagonal_BxN), where=~swap_mask_BxN)
    return 0.5 * (swapped + kept)


def warp(
    map_BxN: jax.Array,
    moved_BxN: jax.Array,
    still_BxN: jax.Array,
    log_odds: Callable[[jax.Array], jax.Array] = motion_log_odds,
) -> jax.Array:
    """Binary cross-entropy of the calibrated map, read by `log_odds`, with known movements.

    Moved patches weigh `MOVED_SHARE`, still ones the rest, however many there are; patches that
    are neither do not count. Beyond the paper.
    """
    entropy_BxN = optax.sigmoid_binary_cross_entropy(log_odds(map_BxN), moved_BxN)
    moved, still = _means(entropy_BxN, moved_BxN, still_BxN)
    return MOVED_SHARE * moved + (1 - MOVED_SHARE) * still


def displacement(
    motion: Motion, known_BxNx2: jax.Array, moved_BxN: jax.Array, still_BxN: jax.Array
) -> jax.Array:
    """Negative log-likelihood of known displacements, with the variance that the trunk expects.

    A normal distribution per patch, alike along both axes (Nix and Weigend, 1994); moved and still
    patches weigh alike, however many there are. Beyond the paper.
    """
    error_BxN = jnp.sum(jnp.square(motion.displacement - known_BxNx2), axis=-1)
    likelihood_BxN = error_BxN * jnp.exp(-motion.log_variance) / 2 + motion.log_variance
    moved, still = _means(likelihood_BxN, moved_BxN, still_BxN)
    return (moved + still) / 2


def told_displacement(
    told_BxNx2: jax.Array, known_BxNx2: jax.Array, moved_BxN: jax.Array, still_BxN: jax.Array
) -> jax.Array:
    """The mean square error of displacements, in pixels²; moved and still patches weigh alike.

    Unlike the likelihood it has no steep gradient where nothing moved, which would take the step
    away from all else under a clipped norm. Beyond the paper.
    """
    error_BxN = jnp.sum(jnp.square(told_BxNx2 - known_BxNx2), axis=-1)
    moved, still = _means(error_BxN, moved_BxN, still_BxN)
    return (moved + still) / 2


def _means(
    values_BxN: jax.Array, moved_BxN: jax.Array, still_BxN: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """The mean over moved and over still patches, however many there are; 0 over none."""
    moved = jnp.sum(values_BxN, where=moved_BxN) / jnp.maximum(moved_BxN.sum(), 1)
    still = jnp.sum(values_BxN, where=still_BxN) / jnp.maximum(still_BxN.sum(), 1)
    return moved, still


def change(current_BxHxWxC: jax.Array, reference_BxHxWxC: jax.Array, patch_size: int) -> jax.Array:
    """How much movement a pair shows, (B, N): the variance of I_t - I_{t+δ} in each patch.

    A patch that only becomes brighter shows none. It needs no network: DMA's map, which asks
    whether a patch moved at all, would spread POI over walls and silhouettes. Beyond the paper.
    """
    difference = patchify(current_BxHxWxC - reference_BxHxWxC, patch_size)
    channels = current_BxHxWxC.shape[-1]
    difference = difference.reshape(*difference.shape[:2], patch_size**2, channels)
    return jnp.mean(jnp.var(difference, axis=2), axis=-1)


def expectation(scores_BxN: jax.Array, change_BxN: jax.Array) -> jax.Array:
    """How badly S, computed from one frame, predicts where the pair changes.

    The cross-entropy of S with the square root of what `change` shows above its upper quartile. A
    pair that S predicts worse than a uniform S would is an outlier, such as one whose background
    moves, and its gradient fades. Beyond the paper.
    """
    above_BxN = change_BxN - jnp.quantile(change_BxN, 0.75, axis=-1, keepdims=True)
    entropy_B = _cross_entropy(jnp.sqrt(jnp.maximum(above_BxN, 0)), scores_BxN)
    uniform = jnp.log(scores_BxN.shape[-1])
    logits_B = -OUTLIER_SHARPNESS * (entropy_B - uniform)
    return uniform - jnp.mean(jax.nn.softplus(logits_B)) / OUTLIER_SHARPNESS


def face(scores_BxN: jax.Array, face_Bx4: jax.Array) -> jax.Array:
    """How badly S, computed from one frame, looks at the face in it.

    The cross-entropy of S with the share of each patch that is face, of the frames whose face is
    known. Beyond the paper.

    Args:
      face_Bx4: the ellipse of the face: its middle (x, y) and half axes as shares of the frame's
        sides; 0 where it is not known.
    """
    target_BxN = _inside(face_Bx4, round(scores_BxN.shape[-1] ** 0.5))
    known_B = jnp.sum(target_BxN, axis=-1) > 0
    entropy_B = _cross_entropy(target_BxN, scores_BxN)
    return jnp.sum(entropy_B) / jnp.maximum(jnp.sum(known_B), 1)


def _cross_entropy(weights_BxN: jax.Array, scores_BxN: jax.Array) -> jax.Array:
    """Of S with the distribution that has these weights, (B,); 0 where all of them are 0."""
    target_BxN = weights_BxN / jnp.maximum(jnp.sum(weights_BxN, axis=-1, keepdims=True), 1e-9)
    return -jnp.sum(target_BxN * jnp.log(scores_BxN + 1e-9), axis=-1)


def _inside(ellipse_Bx4: jax.Array, grid: int) -> jax.Array:
    """The share of each patch that is inside an ellipse, (B, grid²), by its points on a lattice."""
    points = 4  # per side of a patch: shares to a sixteenth
    place = (jnp.arange(grid * points) + 0.5) / (grid * points)
    x_Bx1, y_Bx1, width_Bx1, height_Bx1 = jnp.split(ellipse_Bx4, 4, axis=-1)
    across = ((place - x_Bx1) / jnp.maximum(width_Bx1, 1e-9)) ** 2
    down = ((place - y_Bx1) / jnp.maximum(height_Bx1, 1e-9)) ** 2
    inside = (down[:, :, None] + across[:, None, :] < 1).astype(jnp.float32)
    return inside.reshape(-1, grid, points, grid, points).mean((2, 4)).reshape(-1, grid**2)


def no_agreement(
    student: Features, teacher: None, center: None, config: LossConfig, progress: jax.Array
) -> Loss:
    """No agreement: L_agg = 0."""
    return jnp.zeros(()), {}


def mse(
    student: Features, teacher: None, center: None, config: LossConfig, progress: jax.Array
) -> Loss:
    """L_agg of eq. (15): MSE(p^CT, p^CT of the crop). Collapses alone: watch `contextual_std`."""
    frame, crops = student.frames_and_crops[:1], student.frames_and_crops[1:]
    return jnp.mean(jnp.square(crops - frame)), {}


def contrastive(
    student: Features, teacher: None, center: None, config: LossConfig, progress: jax.Array
) -> Loss:
    """InfoNCE: among all crops of the batch, a frame's own crop should have the nearest p^CT.

    Beyond the paper. It cannot collapse: tokens that are all alike have the loss log B.
    """
    frame_BxK = unit(student.frames_and_crops[0])
    crops_GxBxK = unit(student.frames_and_crops[1:])
    logits_GxBxB = jnp.einsum("bk,gck->gbc", frame_BxK, crops_GxBxK)
    logits_GxBxB /= config.contrastive_temperature
    own = jnp.arange(len(frame_BxK))
    of_frames = jax.nn.log_softmax(logits_GxBxB, axis=-1)[:, own, own]
    of_crops = jax.nn.log_softmax(logits_GxBxB, axis=-2)[:, own, own]
    return -0.5 * jnp.mean(of_frames + of_crops), {}


def dino(
    student: Features,
    teacher: Features,
    center: jax.Array,
    config: LossConfig,
    progress: jax.Array,
) -> Loss:
    """Cross-entropy of every student view with every other teacher view.

    The teacher sees the frame and its full-size crops, centred by `center` (K,) and sharpened by a
    temperature that warms up over `warmup_fraction` of the training. The statistics are the
    `center` of this batch alone.
    """
    dino = config.dino
    warm = jnp.clip(progress / max(dino.warmup_fraction, 1e-9), 0, 1)
    start, end = dino.warmup_teacher_temperature, dino.teacher_temperature
    temperature = start + (end - start) * warm
    teacher_GxBxK = jax.lax.stop_gradient(teacher.frames_and_crops)
    targets_GxBxK = jax.nn.softmax((teacher_GxBxK - center) / temperature)
    student_VxBxK = jnp.concatenate([student.frames_and_crops, student.local_crops])
    log_probabilities_VxBxK = jax.nn.log_softmax(student_VxBxK / dino.student_temperature)
    entropy_GxV = -jnp.einsum("gbk,vbk->gv", targets_GxBxK, log_probabilities_VxBxK)
    entropy_GxV /= teacher_GxBxK.shape[1]
    teacher_views, student_views = entropy_GxV.shape
    other_GxV = 1.0 - jnp.eye(teacher_views, student_views)
    loss = jnp.sum(entropy_GxV * other_GxV) / jnp.sum(other_GxV)
    return loss, {"center": jnp.mean(teacher_GxBxK, axis=(0, 1))}


AGREEMENTS = {
    "none": Agreement(no_agreement, crops=False),
    "mse": Agreement(mse),
    "contrastive": Agreement(contrastive),
    "dino": Agreement(dino, teacher=True),
}


def contextual_std(contextual_token_BxD: jax.Array) -> jax.Array:
    """Standard deviation of p^CT over the batch, mean over dimensions; near 0 is a collapse."""
    return jnp.mean(jnp.std(contextual_token_BxD, axis=0))
