"""Spotting: a recording -> what comes and goes in it, stretch by stretch."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from mubert_jax.data.faces import Box, make_detector
from mubert_jax.data.names import printable
from mubert_jax.errors import UserError
from mubert_jax.perception.trained import Trained
from mubert_jax.spotting.calibration import CALIBRATIONS, FALSE_ALARMS, KEPT, Calibration
from mubert_jax.spotting.comparing import DMA, ByModel, ByMotionMap, Comparison
from mubert_jax.spotting.energies import Lags
from mubert_jax.spotting.following import LONGEST_GAP, Follower, Hole
from mubert_jax.spotting.footage import SLOWEST, Footage, thinned, working_rate
from mubert_jax.spotting.found import Found
from mubert_jax.spotting.peaks import RECIPES, ByPeaks
from mubert_jax.spotting.readings import ByBumps, Curve, Gauge, Method


@dataclasses.dataclass(frozen=True)
class SpotOptions:
    """How recordings are spotted.

    Attributes:
      method: one of `comparing.METHODS` or `peaks.RECIPES`.
      crop, detector, margin: as for `mubert perceive`.
      rate: frames per second that are looked at, about; faster recordings are thinned.
      threshold: the lowest score; None takes that of `false_alarms`.
      false_alarms: per minute of still video, as measured on synthetic people; recipes, whose
        scores are relative to the highest of a stretch, cannot read it.
    """

    method: str = DMA
    crop: str = "face"
    detector: str = "haar"
    margin: float = 0.3
    rate: float = 30.0
    threshold: float | None = None
    false_alarms: float = FALSE_ALARMS

    @property
    def calibration(self) -> Calibration:
        return CALIBRATIONS[self.method]

    @property
    def least(self) -> float:
        """The score from which something is an expression."""
        if self.threshold:
            return self.threshold
        if self.method in RECIPES:
            return RECIPES[self.method].share
        return self.calibration.threshold(self.false_alarms)


@dataclasses.dataclass(frozen=True)
class Stretch:
    """Where a face was followed: frame numbers from `first` to `last`, all cut out by `box`."""

    first: int
    last: int
    box: Box | None


def stretch_of(number: int, stretches: Sequence[Stretch]) -> Stretch | None:
    """The stretch that a frame lies in."""
    return next((one for one in stretches if one.first <= number <= one.last), None)


class Spotter:
    """Spots recordings, one after the other.

    Args:
      trained: the model; None for methods without one.
      workers: as for `Meter`.

    Raises:
      UserError: the model has no DMA, or there is no such detector.
    """

    def __init__(self, trained: Trained | None, options: SpotOptions, workers: int | None = None):
        if options.rate < SLOWEST:
            raise UserError(
                f"--rate={options.rate:g} is too slow for micro-expressions; {SLOWEST:g} are needed"
            )
        self.options, self._workers = options, workers
        self.method = _method(trained, options)
        self._detector = make_detector(options.detector) if options.crop == "face" else None

    @property
    def comparison(self) -> Comparison:
        """What its pictures show."""
        return self.method.comparison

    def __call__(self, footage: Footage, seen: Callable[[], None] = lambda: None) -> "Spotting":
        """What is found in a recording, once it is iterated over.

        Args:
          seen: called for every frame that is read.
        """
        rate = working_rate(footage.fps, self.options.rate)
        return Spotting(
            footage,
            self.method,
            self.options,
            Lags(rate),
            self.follower(rate),
            seen,
            self._workers,
        )

    def follower(self, rate: float) -> Follower:
        """One for a recording of this many frames per second."""
        return Follower(
            self.comparison.size,
            rate,
            self._detector,
            self.options.margin,
            self.options.crop == "center",
        )


def _method(trained: Trained | None, options: SpotOptions) -> Method:
    if options.method in RECIPES:
        return ByPeaks(RECIPES[options.method])
    floor = options.calibration.floor
    if options.method != DMA:
        return ByBumps(ByMotionMap(options.method), floor)
    if trained is None:
        raise ValueError(f"{DMA} takes a model")
    return ByBumps(ByModel(trained), floor)


class Spotting:
    """One recording being spotted: iterate over it once.

    Attributes:
      stretches, curves: of all stretches so far, in order.
      frames: the number of the last frame so far, and 1.
      notes: what a reader has to know.
    """

    def __init__(
        self,
        footage: Footage,
        method: Method,
        options: SpotOptions,
        lags: Lags,
        follower: Follower,
        seen: Callable[[], None] = lambda: None,
        workers: int | None = None,
    ):
        self.footage, self._method, self._options = footage, method, options
        self.lags, self._follower, self._seen = lags, follower, seen
        self._workers = workers
        self.stretches: list[Stretch] = []
        self.curves: list[Curve] = []
        self.frames = 0

    @property
    def holes(self) -> list[Hole]:
        """Where nothing could be spotted."""
        return self._follower.holes

    @property
    def notes(self) -> list[str]:
        """What a reader has to know."""
        notes = list(self._follower.notes)
        longest = max((one.last - one.first + 1 for one in self.stretches), default=0)
        seconds, needed = longest / self.footage.fps, 2 * self.lags.scales[-1] / self.lags.rate
        if longest and seconds < needed:
            notes.append(
                f"no stretch is longer than {seconds:.1f} s: expressions of more than "
                f"{seconds / 2:.1f} s cannot be found (all lags take {needed:.1f} s)"
            )
        return notes

    def __iter__(self) -> Iterator[Found]:
        """What is found, with a score of `KEPT` of the threshold or more, as stretches end.

        Raises:
          UserError: there is no face in any frame, or no stretch is long enough for one lag.
        """
        least = KEPT * self._options.least
        for measured in self.measured():
            self.curves.append(self._method.curve(measured))
            yield from self._method.found(measured, least)
        if not any(len(curve.seconds) for curve in self.curves):
            needed = 2 * self.lags.shortest / self.lags.rate
            raise UserError(
                f"{printable(self.footage.path)}: no face is followed for more than {needed:.1f} s "
                "without a cut or a gap; that is too short for an expression"
            )

    def measured(self) -> Iterator[Any]:
        """What the method's gauge has measured in every stretch, as it ends.

        Raises:
          UserError: there is no face in any frame.
        """
        meter, current, span = None, -1, (0, 0, None)
        frames = thinned(self._counted(), self.lags.rate, LONGEST_GAP)
        for seen in self._follower(frames):
            if meter is None or seen.stretch != current:
                if meter is not None:
                    yield self._finished(meter, Stretch(*span))
                meter = self._method.gauge(self.lags, self._workers)
                current, span = seen.stretch, (seen.number, seen.number, seen.box)
            meter.add(seen.number, seen.seconds, seen.face)
            span = (span[0], seen.number, span[2])
        if meter is None:
            raise UserError(
                f"{printable(self.footage.path)}: no face found; if the frames are faces already, "
                "add --crop none"
            )
        yield self._finished(meter, Stretch(*span))

    def _counted(self):
        for frame in self.footage:
            self.frames = frame.number + 1
            self._seen()
            yield frame

    def _finished(self, meter: Gauge, stretch: Stretch) -> Any:
        self.stretches.append(stretch)
        return meter.finish()
