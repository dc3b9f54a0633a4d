"""The synthetic benchmark: maps against movements that are known, baselines beside."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from mubert_jax.data.alignment import aligned
from mubert_jax.data.sets.synthetic import FIRST_TEST_SUBJECT
from mubert_jax.errors import UserError
from mubert_jax.motion_maps import MotionMap, length
from mubert_jax.perception.maps import Maps, Perceiver
from mubert_jax.perception.scores import Estimate, PairScore, score, summarise
from mubert_jax.synthetic.clip import SyntheticClip, Truth, patch_means
from mubert_jax.synthetic.nuisances import CONDITIONS


@dataclasses.dataclass(frozen=True, eq=False)
class BenchmarkPair:
    """Two frames of a test subject, one moment or two, and what moves between them.

    `onset`, `apex` (H, W, 3) uint8; `amplitude` in pixels of a 224-pixel frame, 0 for one moment.
    """

    onset: np.ndarray
    apex: np.ndarray
    truth: Truth
    subject: int
    amplitude: float
    _registered: dict = dataclasses.field(default_factory=dict, init=False, repr=False)

    def registered(self, align: str) -> np.ndarray:
        """The apex, registered to the onset as every method gets it; found once a pair."""
        if align not in self._registered:
            self._registered[align] = aligned(align, self.apex, self.onset)
        return self._registered[align]


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
) -> Iterator[tuple[BenchmarkPair, BenchmarkPair]]:
    """(moving, still) of `CLIPS` clips of each test subject, made one by one.

    Moving are onset and apex; still are two moments before the onset.

    Raises:
      UserError: frames of a size that patches do not divide.
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
    """What one line of a table reads.

    Attributes:
      method: its map; align: the registration of the frames, "none" for as recorded.
      times: what the map is multiplied by, patch by patch: "", "POI", "S·N" or "true face".
    """

    method: str
    align: str
    times: str = ""


# The maps (g, g) of one pair after one registration: (method, times) -> map.
Reader = Callable[[BenchmarkPair, str], dict[tuple[str, str], np.ndarray]]


def baseline_rows(methods: Mapping[str, MotionMap]) -> list[str]:
    """What the rows of these methods are called; a flow has another, less the face's median."""
    rows = []
    for method in methods.values():
        rows += [method.title]
        if method.gives == "flow":
            rows += [_less_median(method)]
    return rows


def baseline_maps(
    pair: BenchmarkPair, align: str, patch_size: int, methods: Mapping[str, MotionMap]
) -> dict[str, np.ndarray]:
    """Row -> map (g, g) of methods without learning; a map's patch is the mean of its pixels."""
    face = np.kron(pair.truth.face, np.ones((patch_size, patch_size))) > 0.5
    found = {}
    for method in methods.values():
        seen = method(pair.onset, pair.registered(align), face)
        found[method.title] = length(seen)
        if method.gives == "flow":
            found[_less_median(method)] = length(seen - np.median(seen[face], axis=0))
    return {row: patch_means(image, patch_size) for row, image in found.items()}


def _less_median(method: MotionMap) -> str:
    return f"{method.title} - face's median"


def learned_maps(perceiver: Perceiver, pair: BenchmarkPair, align: str) -> Maps:
    """What a model sees of one pair."""
    return perceiver(pair.onset[None], pair.registered(align)[None])


def learned_reader(perceiver: Perceiver) -> Reader:
    """DMA and DMA × POI."""

    def read(pair, align):
        maps = learned_maps(perceiver, pair, align)
        return {("DMA", ""): maps.dma[0], ("DMA", "POI"): maps.dma_poi[0]}

    return read


def baseline_reader(patch_size: int, methods: Mapping[str, MotionMap]) -> Reader:
    """Methods without learning, and the same told the true face."""

    def read(pair, align):
        found = baseline_maps(pair, align, patch_size, methods)
        return times(found, "", 1.0) | times(found, "true face", pair.truth.face)

    return read


def times(maps: dict[str, np.ndarray], what: str, weights) -> dict[tuple[str, str], np.ndarray]:
    """Rows of maps that are weighed alike."""
    return {(method, what): map_gxg * weights for method, map_gxg in maps.items()}


def evaluate(
    read: Reader, pairs: list[tuple[BenchmarkPair, BenchmarkPair]], alignments: tuple[str, ...]
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

    def summary(of_row, rows):
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


def mass_on_face(perceiver: Perceiver, pairs) -> float:
    """Share of POI's scores that lie on the face, mean over the moving pairs."""
    shares = []
    for pair, _ in pairs:
        poi = learned_maps(perceiver, pair, "none").poi[0]
        shares.append(float((poi * pair.truth.face).sum() / poi.sum()))
    return float(np.mean(shares))
