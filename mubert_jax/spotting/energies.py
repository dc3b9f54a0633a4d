"""How much moves between frames that lie several lags apart, while they pass by."""

import os
from array import array
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from mubert_jax.spotting.comparing import PARTS, Comparison, padded, shares

# Milliseconds of the shortest lag; each further one is twice as long. Micro-expressions are seen by
# the first ones, macro-expressions of some seconds by the last.
SHORTEST = 250.0
LAGS = 6
# Times per lag at which an expression is looked for: more take longer, and place it better.
LOOKS = 4
# Times per second at which the place of the face is read anew; it hardly moves in its box.
INTEREST = 2.0
# The most batches that are compared at the same time: one alone leaves processors idle, and more
# wait for each other.
MOST_WORKERS = 4


@dataclass(frozen=True)
class Lags:
    """Lags in frames: `shortest` times a power of 2, and how far apart they are read.

    Attributes:
      rate: frames per second.
    """

    rate: float

    @property
    def shortest(self) -> int:
        lag = max(2, round(SHORTEST / 1000 * self.rate))
        return lag if lag < 2 * LOOKS else lag - lag % LOOKS

    def __iter__(self) -> Iterator[int]:
        return iter(self.shortest << i for i in range(LAGS))

    @property
    def longest(self) -> int:
        return self.shortest << (LAGS - 1)

    def look(self, lag: int) -> int:
        """Frames from one look for an expression of this lag to the next."""
        return max(1, self.shortest // LOOKS) * (lag // self.shortest)

    def step(self, lag: int) -> int:
        """Frames from one comparison at this lag to the next: two scales read it."""
        return self.look(lag) if lag == self.shortest else self.look(lag // 2)

    @property
    def scales(self) -> list[int]:
        """The lags at which an expression is looked for; each needs its double, too."""
        return list(self)[:-1]

    @property
    def comparisons_per_second(self) -> float:
        return sum(self.rate / self.step(lag) for lag in self)


@dataclass(frozen=True, eq=False)
class Energies:
    """The movement between the frames of one stretch.

    Attributes:
      lags: which frames were compared.
      numbers, seconds: of all its frames (T,).
      energy: lag -> mean movement per patch (n,), from frame i · step to lag frames later.
      share: lag -> (n, parts), the share of it in each of `comparing.PARTS`.
    """

    lags: Lags
    numbers: np.ndarray
    seconds: np.ndarray
    energy: dict[int, np.ndarray]
    share: dict[int, np.ndarray]

    def __len__(self):
        return len(self.numbers)


@dataclass(eq=False)
class Meter:
    """Measures the energies of a stretch, frame by frame.

    It keeps as many frames as the longest lag has, and those that wait to be compared, whatever the
    length of the stretch. Batches are the same ones, and come in the same order, however many are
    compared at the same time.

    Args:
      comparison: how frames are compared; from several threads.
      lags: which.
      batch: how many pairs are compared at a time.
      workers: how many batches are compared at the same time; None takes one per processor, up to
        `MOST_WORKERS`.
    """

    comparison: Comparison
    lags: Lags
    batch: int = 16
    workers: int | None = None
    _frames: deque[np.ndarray] = field(default_factory=deque)
    _interests: deque[np.ndarray] = field(default_factory=deque)
    _waiting: list[tuple[int, np.ndarray, np.ndarray, np.ndarray]] = field(default_factory=list)
    _running: deque[tuple[tuple[int, ...], Future]] = field(default_factory=deque)
    # Arrays of the machine's numbers: an hour of Python's own would take ten times the memory.
    _numbers: array = field(default_factory=lambda: array("q"))
    _seconds: array = field(default_factory=lambda: array("d"))
    _energy: dict[int, array] = field(default_factory=dict)
    _share: dict[int, array] = field(default_factory=dict)

    def __post_init__(self):
        for lag in self.lags:
            self._energy[lag], self._share[lag] = array("d"), array("f")
        self._apart = max(1, round(self.lags.rate / INTEREST))
        self._workers = self.workers or min(len(os.sched_getaffinity(0)), MOST_WORKERS)
        self._pool = ThreadPoolExecutor(self._workers, "mubert-compare")

    @property
    def held(self) -> int:
        """How many frames it keeps."""
        return len(self._frames) + 2 * (len(self._waiting) + self.batch * len(self._running))

    def add(self, number: int, seconds: float, face: np.ndarray) -> None:
        """The next frame, (S, S, 3) uint8."""
        at = len(self._numbers)
        self._numbers.append(number)
        self._seconds.append(seconds)
        if at % self._apart == 0:
            self._interests.append(self.comparison.interest(face[None])[0])
        self._frames.append(face)
        if len(self._frames) > self.lags.longest + 1:
            self._frames.popleft()
        for lag in self.lags:
            start = at - lag
            if start < 0 or start % self.lags.step(lag):
                continue
            before = self._frames[len(self._frames) - 1 - lag]
            self._waiting.append((lag, before, face, self._interest(start, at)))
            if len(self._waiting) == self.batch:
                self._compare()
        while self._first_interest(at) < at - self.lags.longest - self._apart:
            self._interests.popleft()

    def _first_interest(self, at: int) -> int:
        """The frame of the oldest interest that is kept."""
        return (at // self._apart - len(self._interests) + 1) * self._apart

    def _interest(self, start: int, at: int) -> np.ndarray:
        return self._interests[(start - self._first_interest(at)) // self._apart]

    def _compare(self) -> None:
        """Has a batch compared, and waits for an older one where many are under way."""
        lags = tuple(lag for lag, *_ in self._waiting)
        pairs = [tuple(pair) for _, *pair in self._waiting]
        self._waiting.clear()
        self._running.append((lags, self._pool.submit(self._compared, pairs)))
        # One more than there are workers, so that none waits for frames to be read.
        while len(self._running) > self._workers + 1:
            self._take()

    def _compared(self, pairs: list[tuple[np.ndarray, ...]]) -> tuple[np.ndarray, np.ndarray]:
        """The mean movement of each pair (P,), and its shares (P, parts)."""
        before, after, interest = padded(pairs, self.batch)
        moved_PxN = self.comparison(before, after, interest)
        return moved_PxN.mean(axis=1), np.asarray(shares(moved_PxN, interest))

    def _take(self) -> None:
        lags, future = self._running.popleft()
        for lag, energy, share in zip(lags, *future.result(), strict=False):
            self._energy[lag].append(energy)
            self._share[lag].extend(share)

    def finish(self) -> Energies:
        """What was measured, when the stretch is over."""
        if self._waiting:
            self._compare()
        while self._running:
            self._take()
        self._pool.shutdown()
        return Energies(
            self.lags,
            np.array(self._numbers),
            np.array(self._seconds),
            {lag: np.array(energy) for lag, energy in self._energy.items()},
            {lag: np.reshape(share, (-1, len(PARTS))) for lag, share in self._share.items()},
        )
