"""The controlled benchmark: maps against movements that are known, rivals beside."""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator

import numpy as np

from mubert_jax.data.alignment import ALIGNERS, aligned
from mubert_jax.data.controlled.clip import ControlledClip, Truth, patch_means
from mubert_jax.data.controlled.nuisances import CONDITIONS
from mubert_jax.data.sets.controlled import FIRST_TEST_SUBJECT
from mubert_jax.errors import UserError
from mubert_jax.perception.maps import Maps, Perceiver
from mubert_jax.perception.rivals import RIVALS
from mubert_jax.perception.scores import Estimate, score, summarise


@dataclasses.dataclass(frozen=True, eq=False)
class ControlledPair:
    """Two frames of a test subject, one moment or two, and what moves between them.

    `onset`, `apex` (H, W, 3) uint8; `amplitude` in pixels of a 224-pixel frame, 0 for one moment.
    """

    onset: np.ndarray
    apex: np.ndarray
    truth: Truth
    subject: int
    amplitude: float


# Difficulty -> amplitudes in pixels of a 224-pixel frame.
DIFFICULTIES = {
    "all": (0.0, 9.0),
    "under 0.7 px": (0.0, 0.7),
    "0.7 to 1.5 px": (0.7, 1.5),
    "over 1.5 px": (1.5, 9.0),
}
CLIPS = 2
FEWEST = 3


def enough_subjects(subjects: int) -> int:
    """The number, if an interval can be drawn from it; UserError if not."""
    if subjects < FEWEST:
        raise UserError(f"--subjects {subjects}: an interval needs {FEWEST} or more")
    return subjects


def benchmark_pairs(
    condition: str, subjects: int, size: int, patch_size: int, seed: int = 0
) -> Iterator[tuple[ControlledPair, ControlledPair]]:
    """(moving, still) of `CLIPS` clips of each test subject, made one by one.

    Moving are onset and apex; still are two moments before the onset.

    Raises:
      UserError: frames of a size that patches do not divide.
    """
    if size % patch_size:
        raise UserError(f"--size {size}: choose a multiple of {patch_size}, the patch")
    last = FIRST_TEST_SUBJECT + subjects
    for number, index in itertools.product(range(FIRST_TEST_SUBJECT, last), range(CLIPS)):
        clip = ControlledClip(number, index, seed, CONDITIONS[condition], size)
        course, amplitude = clip.course, clip.movement.amplitude
        first, onset, apex = (clip.frame(i) for i in (0, course.onset, course.apex))
        moving = clip.truth(course.onset, course.apex, patch_size)
        still = clip.truth(0, course.onset, patch_size)
        yield (
            ControlledPair(onset, apex, moving, number, amplitude),
            ControlledPair(first, onset, still, number, 0.0),
        )


Method = Callable[[ControlledPair], np.ndarray]


def rival_methods(patch_size: int) -> dict[str, Method]:
    """The rows without learning; a map's patch is the mean of its pixels."""

    def pooled(rival):
        def method(pair):
            face = np.kron(pair.truth.face, np.ones((patch_size, patch_size)))
            return patch_means(rival(pair.onset, pair.apex, face), patch_size)

        return method

    return {name: pooled(rival) for name, rival in RIVALS.items()}


LEARNED: dict[str, Callable[[Maps], np.ndarray]] = {
    "DMA": lambda maps: maps.dma[0],
    "DMA × POI": lambda maps: maps.dma_poi[0],
}


def registered(name: str, align: str) -> str:
    """What tables call a map after a registration."""
    return name if align == "none" else f"{name}, {align}"


def learned_methods(
    perceiver: Perceiver,
    alignments: tuple[str, ...] = ("none", *ALIGNERS),
    maps: dict[str, Callable[[Maps], np.ndarray]] = LEARNED,
) -> dict[str, Method]:
    """Every one of `maps`, (g, g) of the `Maps` of one pair, after each kind of registration."""

    def looking(align):
        @functools.cache
        def look(pair):
            return perceiver(pair.onset[None], aligned(align, pair.apex, pair.onset)[None])

        return look

    looks = {align: looking(align) for align in alignments}
    return {
        registered(name, align): lambda pair, look=looks[align], read=read: read(look(pair))
        for name, read in maps.items()
        for align in alignments
    }


def evaluate(
    method: Method, pairs: list[tuple[ControlledPair, ControlledPair]]
) -> dict[str, dict[str, Estimate]]:
    """Difficulty -> score -> estimate, over the (moving, still) pairs of one condition."""
    scored = [tuple(score(method(pair), pair.truth) for pair in both) for both in pairs]
    subjects = np.array([moving.subject for moving, _ in pairs])
    amplitudes = np.array([moving.amplitude for moving, _ in pairs])
    found = {}
    for name, (low, high) in DIFFICULTIES.items():
        rows = np.flatnonzero((amplitudes >= low) & (amplitudes < high))
        if len(np.unique(subjects[rows])) >= FEWEST:
            moving, still = zip(*(scored[row] for row in rows), strict=True)
            found[name] = summarise(moving, still, amplitudes[rows], subjects[rows])
    return found


def mass_on_face(perceiver: Perceiver, pairs) -> float:
    """Share of POI's scores that lie on the face, mean over the moving pairs."""
    shares = []
    for pair, _ in pairs:
        poi = perceiver(pair.onset[None], pair.apex[None]).poi[0]
        shares.append(float((poi * pair.truth.face).sum() / poi.sum()))
    return float(np.mean(shares))
