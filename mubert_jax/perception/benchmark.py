"""The synthetic benchmark: maps against known movements, with baselines beside them."""

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from mubert_jax.config import PerceptionConfig
from mubert_jax.data.alignment import aligned
from mubert_jax.data.sets.synthetic import FIRST_TEST_SUBJECT
from mubert_jax.errors import UserError
from mubert_jax.motion_maps import MotionMap, length
from mubert_jax.perception.maps import Maps, Perceiver
from mubert_jax.perception.registering import ByInterest
from mubert_jax.perception.scores import Estimate, PairScore, score, summarise
from mubert_jax.synthetic.clip import SyntheticClip, Truth, patch_means
from mubert_jax.synthetic.conditions import CONDITIONS


@dataclasses.dataclass(frozen=True, eq=False)
class BenchmarkPair:
    """Two frames of a test subject, and what moves between them.

    `onset`, `apex` (H, W, 3) uint8; `amplitude` in pixels of a 224-pixel frame, 0 if nothing moves.
    """

    onset: np.ndarray
    apex: np.ndarray
    truth: Truth
    subject: int
    amplitude: float
    _registered: dict = dataclasses.field(default_factory=dict, init=False, repr=False)

    def registered(self, align: str, by_interest: ByInterest | None = None) -> np.ndarray:
        """The apex, registered to the onset as every method gets it; computed once per pair.

        Args:
          by_interest: For "poi", whose model's POI; it is computed once for each.

        Raises:
          ValueError: "poi" without a model.
        """
        how = align if align != "poi" else by_interest
        if how is None:
            raise ValueError("a registration by POI needs a model")
        if how not in self._registered:
            self._registered[how] = (
                aligned(how, self.apex, self.onset)
                if isinstance(how, str)
                else how(self.onset[None], self.apex[None])[0]
            )
        return self._registered[how]


# Difficulty -> amplitudes in pixels of a 224-pixel frame: about equal thirds of
# `synthetic.clip.AMPLITUDES`, on the logarithmic scale on which these are drawn.
DIFFICULTIES = {
    "all": (0.0, 9.0),
    "under 0.7 px": (0.0, 0.7),
    "0.7 to 1.5 px": (0.7, 1.5),
    "over 1.5 px": (1.5, 9.0),
}
# Clips per subject: intervals are over subjects, so more subjects tell more than more clips.
CLIPS = 2
# Two subjects can be resampled in only three ways, which makes no interval.
FEWEST = 3


def enough_subjects(subjects: int) -> int:
    """The number, if it is enough for an interval; UserError if not."""
    if subjects < FEWEST:
        raise UserError(f"--subjects {subjects}: an interval needs {FEWEST} or more")
    return subjects


def benchmark_pairs(
    condition: str, subjects: int, size: int, patch_size: int, seed: int = 0
) -> Iterator[tuple[BenchmarkPair, BenchmarkPair]]:
    """(moving, still) for `CLIPS` clips of each test subject, made one by one.

    The moving pair is onset and apex, the still one two moments up to the onset.

    Raises:
      UserError: patches do not divide frames of this size.
    """
    if size % patch_size:
        raise UserError(f"--size {size}: choose a multiple of {patch_size}, the patch")
    last = FIRST_TEST_SUBJECT + subjects
    for number, index in itertools.product(range(FIRST_TEST_SUBJECT, last), range(CLIPS)):
        clip = SyntheticClip(number, index, seed, CONDITIONS[condition], size)
        course, amplitude = clip.course, clip.movement.amplitude
        first, onset, apex = (clip.frame(i) for i in (0, course.onset, course.apex))
        moving = clip.truth(course.onset, course.apex, patch_size)
        still = clip.truth(0, course.onset, patch_size)
        yield (
            BenchmarkPair(onset, apex, moving, number, amplitude),
            BenchmarkPair(first, onset, still, number, 0.0),
        )


class Row(NamedTuple):
    """What one line of a table shows.

    Attributes:
      method: Where its map comes from.
      align: The registration of the frames; "none" leaves them as recorded.
      times: What the map is multiplied by, patch by patch: "", "POI", "S·N" or "true face".
    """

    method: str
    align: str
    times: str = ""


# (pair, registration) -> the maps (g, g) of the pair after it, by (method, times).
Reader = Callable[[BenchmarkPair, str], dict[tuple[str, str], np.ndarray]]


def baseline_rows(methods: Mapping[str, MotionMap]) -> list[str]:
    """The names of these methods' rows; a flow has a second one, less the face's median."""
    rows = []
    for method in methods.values():
        rows += [method.title]
        if method.gives == "flow":
            rows += [_less_median(method)]
    return rows


def baseline_maps(
    pair: BenchmarkPair,
    align: str,
    patch_size: int,
    methods: Mapping[str, MotionMap],
    by_interest: ByInterest | None = None,
) -> dict[str, np.ndarray]:
    """Row -> map (g, g) of methods without learning; a patch has the mean of its pixels."""
    face = np.kron(pair.truth.face, np.ones((patch_size, patch_size))) > 0.5
    found = {}
    for method in methods.values():
        seen = method(pair.onset, pair.registered(align, by_interest), face)
        found[method.title] = length(seen)
        if method.gives == "flow":
            found[_less_median(method)] = length(seen - np.median(seen[face], axis=0))
    return {row: patch_means(image, patch_size) for row, image in found.items()}


def _less_median(method: MotionMap) -> str:
    return f"{method.title} - face's median"


def as_registered(reading: PerceptionConfig) -> PerceptionConfig:
    """`reading` for frames that are registered already, as those of the benchmark are."""
    return dataclasses.replace(reading, align="none")


def learned_maps(
    perceiver: Perceiver, pair: BenchmarkPair, align: str, by_interest: ByInterest | None = None
) -> Maps:
    """A model's maps of one pair.

    Raises:
      ValueError: the perceiver would register the frames once more.
    """
    if perceiver.align != "none":
        raise ValueError("the benchmark registers its frames; give a perceiver with align='none'")
    return perceiver(pair.onset[None], pair.registered(align, by_interest)[None])


def learned_reader(perceiver: Perceiver, by_interest: ByInterest | None = None) -> Reader:
    """Reads DMA and DMA × POI."""

    def read(pair: BenchmarkPair, align: str):
        maps = learned_maps(perceiver, pair, align, by_interest)
        return {("DMA", ""): maps.dma[0], ("DMA", "POI"): maps.dma_poi[0]}

    return read


def baseline_reader(patch_size: int, methods: Mapping[str, MotionMap]) -> Reader:
    """Reads methods without learning, alone and times the true face."""

    def read(pair: BenchmarkPair, align: str):
        found = baseline_maps(pair, align, patch_size, methods)
        return times(found, "", 1.0) | times(found, "true face", pair.truth.face)

    return read


def times(
    maps: Mapping[str, np.ndarray], what: str, weights: np.ndarray | float
) -> dict[tuple[str, str], np.ndarray]:
    """(method, `what`) -> map, all multiplied by the same weights, which `what` names."""
    return {(method, what): map_gxg * weights for method, map_gxg in maps.items()}


def evaluate(
    read: Reader,
    pairs: Sequence[tuple[BenchmarkPair, BenchmarkPair]],
    alignments: Sequence[str],
) -> dict[Row, dict[str, dict[str, Estimate]]]:
    """Row -> difficulty -> score -> estimate, over the (moving, still) pairs of one condition."""
    scored: dict[Row, list[list[PairScore]]] = {}
    for align, both in itertools.product(alignments, pairs):
        read_of_both = [read(pair, align) for pair in both]
        for method, weight in read_of_both[0]:
            of_both = [
                score(maps[method, weight], pair.truth)
                for maps, pair in zip(read_of_both, both, strict=True)
            ]
            scored.setdefault(Row(method, align, weight), []).append(of_both)
    subjects = np.array([moving.subject for moving, _ in pairs])
    amplitudes = np.array([moving.amplitude for moving, _ in pairs])
    chosen = {
        name: (amplitudes >= low) & (amplitudes < high)
        for name, (low, high) in DIFFICULTIES.items()
    }

    def summary(of_row: list[list[PairScore]], rows: np.ndarray):
        moving, still = zip(*itertools.compress(of_row, rows), strict=True)
        return summarise(moving, still, amplitudes[rows], subjects[rows])

    return {
        row: {
            name: summary(of_row, rows)
            for name, rows in chosen.items()
            if len(np.unique(subjects[rows])) >= FEWEST
        }
        for row, of_row in scored.items()
    }


def mass_on_face(
    perceiver: Perceiver, pairs: Iterable[tuple[BenchmarkPair, BenchmarkPair]]
) -> float:
    """The share of POI's scores that lies on the face, mean over the moving pairs."""
    shares = []
    for pair, _ in pairs:
        poi = learned_maps(perceiver, pair, "none").poi[0]
        shares.append(float((poi * pair.truth.face).sum() / poi.sum()))
    return float(np.mean(shares))
