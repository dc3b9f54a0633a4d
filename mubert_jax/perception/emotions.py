"""Emotion-like labels of synthetic people: are they in the frozen features?

Logistic regression on how a model's features change from onset to apex, leaving one subject out at
a time.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mubert_jax.data.alignment import aligned
from mubert_jax.data.sets.synthetic import FIRST_TEST_SUBJECT
from mubert_jax.data.video import grey
from mubert_jax.models.images import normalise
from mubert_jax.perception.scores import Estimate, resampled
from mubert_jax.synthetic.clip import VISIBLE, SyntheticClip
from mubert_jax.synthetic.conditions import CONDITIONS
from mubert_jax.training.objective import Params

# `Objective.encode`: parameters, extra state, normalised images (B, H, W, 3) -> tokens (B, N, D).
Encode = Callable[[Params, dict, jax.Array], jax.Array]
# Clips per subject: more give the classifier more examples, and take as much longer to draw.
CLIPS = 5
# Cells along a side over which tokens are averaged: more tell places apart better, but leave more
# features to fit to the same few pairs.
CELLS = 7


@dataclasses.dataclass(frozen=True, eq=False)
class Labelled:
    """`onset`, `apex` (P, H, W, 3) uint8, `emotion` and `subject` (P,)."""

    onset: np.ndarray
    apex: np.ndarray
    emotion: np.ndarray
    subject: np.ndarray


def labelled_pairs(
    condition: str, subjects: int, size: int, align: str = "robust", seed: int = 0
) -> Labelled:
    """Onset and registered apex of `CLIPS` clips per test subject, with `VISIBLE` movements."""
    numbers = range(FIRST_TEST_SUBJECT, FIRST_TEST_SUBJECT + subjects)
    rows = []
    for number, index in itertools.product(numbers, range(CLIPS)):
        clip = SyntheticClip(number, index, seed, CONDITIONS[condition], size, amplitudes=VISIBLE)
        onset, apex = (clip.frame(i) for i in (clip.course.onset, clip.course.apex))
        rows.append((onset, aligned(align, apex, onset), clip.movement.emotion, number))
    return Labelled(*(np.array(column) for column in zip(*rows, strict=True)))


def pixel_changes(pairs: Labelled) -> np.ndarray:
    """The change of grey pixels, 28 × 28 per frame: the row without learning."""
    change = grey(pairs.apex) - grey(pairs.onset)
    return np.asarray(cell_means(change[..., None], 4 * CELLS))


def token_changes(encode: Encode, params: Params, extra: dict) -> Callable[[Labelled], np.ndarray]:
    """The apex's tokens less the onset's, averaged over `CELLS` × `CELLS` cells."""

    @jax.jit
    def change(params: Params, extra: dict, onset: jax.Array, apex: jax.Array):
        tokens = encode(params, extra, normalise(jnp.stack([onset, apex])))
        return tokens[1] - tokens[0]

    def features(pairs: Labelled) -> np.ndarray:
        both = zip(pairs.onset, pairs.apex, strict=True)
        found = np.stack([change(params, extra, *frames) for frames in both])
        grid = math.isqrt(found.shape[1])
        return np.asarray(cell_means(found.reshape(len(found), grid, grid, -1), CELLS))

    return features


def recognition(
    features_PxF: np.ndarray,
    pairs: Labelled,
    uf1: Callable[[np.ndarray, np.ndarray], float],
) -> Estimate:
    """UF1 of all predictions together, each subject predicted from the others.

    Args:
      uf1: `recognition.metrics.uf1`, which takes truths and predictions, both (R,).
    """
    # A strong penalty, because there may be more features than pairs.
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.003, max_iter=300))
    predicted = cross_val_predict(
        classifier, features_PxF, pairs.emotion, groups=pairs.subject, cv=LeaveOneGroupOut()
    )

    return resampled(lambda rows: uf1(pairs.emotion[rows], predicted[rows]), pairs.subject)


def cell_means(maps_PxHxHxC: jax.Array | np.ndarray, cells: int) -> jax.Array:
    """Means over cells × cells parts of square maps, as even as whole places allow, flat.

    Returns:
      (P, cells² · C), with as many cells as there are places where these are fewer.
    """
    side = maps_PxHxHxC.shape[1]
    edges = np.linspace(0, side, min(cells, side) + 1).astype(int)
    places = np.arange(side)
    inside = (places >= edges[:-1, None]) & (places < edges[1:, None])
    shares = (inside / inside.sum(1, keepdims=True)).astype(np.float32)
    means = jnp.einsum("ih,jw,phwc->pijc", shares, shares, maps_PxHxHxC)
    return means.reshape(len(means), -1)
