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
    return _cells(change[..., None], 4 * CELLS)


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
        return _cells(found.reshape(len(found), grid, grid, -1), CELLS)

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


def _cells(maps_PxHxWxC: np.ndarray, cells: int):
    """Means over about cells × cells cells, flat: (P, cells² · C)."""
    edges = np.linspace(0, maps_PxHxWxC.shape[1], min(cells, maps_PxHxWxC.shape[1]) + 1)
    starts = edges[:-1].astype(int)
    rows = np.add.reduceat(maps_PxHxWxC, starts, axis=1)
    sums = np.add.reduceat(rows, starts, axis=2)
    return sums.reshape(len(sums), -1)
