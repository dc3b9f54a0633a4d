"""What a bump is: a micro- or a macro-expression, a blink, or a part of speech."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from mubert_jax.spotting.bumps import Bump
from mubert_jax.spotting.comparing import PARTS
from mubert_jax.spotting.energies import Energies
from mubert_jax.spotting.intervals import MACRO, MICRO, Interval

# Milliseconds: the longest micro-expression, by the field's convention, and the longest blink.
LONGEST_MICRO, LONGEST_BLINK = 500.0, 450.0
# A blink is nearly all at the eyes, and little of it between them, where brows would be drawn
# together.
AT_EYES, BETWEEN = 0.85, 0.2
# Speech is at least so many bumps, nearly all at the mouth, each so many seconds from the next.
SYLLABLES, AT_MOUTH, APART = 3, 0.7, 0.8
BLINK, SPEECH = "blink", "speech"


@dataclasses.dataclass(frozen=True)
class Found:
    """Something that came and went.

    Attributes:
      what: "micro", "macro", "blink" or "speech".
      onset, apex, offset: frame numbers of the recording; the first and the last belong to it.
      start, peak, end: the same in seconds.
      score: its height over the noise.
      lag: seconds between the frames in which it was seen.
      emotion: the most probable one, of a recognizer; "" without one.
      probabilities: emotion -> probability, of the same; {} without one.
    """

    what: str
    onset: int
    apex: int
    offset: int
    start: float
    peak: float
    end: float
    score: float
    lag: float
    emotion: str = ""
    probabilities: Mapping[str, float] = dataclasses.field(default_factory=dict, compare=False)

    @property
    def is_expression(self) -> bool:
        return self.what in (MICRO, MACRO)

    def interval(self, subject: str, video: str) -> Interval:
        """The row of a table."""
        place = self.onset, self.offset, self.apex
        return Interval(subject, video, *place, self.what, self.emotion, self.score)


def found_in(energies: Energies, bumps: Sequence[Bump]) -> list[Found]:
    """What the bumps of a stretch are, by their onset.

    Syllables in a row are one stretch of speech. The score of speech is its highest.
    """
    said = [_what(energies, bump) for bump in bumps]
    talking = [bump.share[list(PARTS).index("mouth")] >= AT_MOUTH for bump in bumps]
    found, run = [], list[int]()
    for i, mouth in enumerate(talking):
        if run and (not mouth or said[i].start - said[run[-1]].end > APART):
            found += _speech([said[j] for j in run])
            run = []
        if mouth:
            run.append(i)
        else:
            found.append(said[i])
    found += _speech([said[j] for j in run])
    return sorted(found, key=lambda one: one.onset)


def _speech(run: list[Found]) -> list[Found]:
    """One stretch, where there are enough syllables, else what there was."""
    if len(run) < SYLLABLES:
        return run
    highest = max(run, key=lambda one: one.score)
    first, last = run[0], run[-1]
    whole = dataclasses.replace(highest, onset=first.onset, start=first.start)
    return [dataclasses.replace(whole, what=SPEECH, offset=last.offset, end=last.end)]


def _what(energies: Energies, bump: Bump) -> Found:
    places = np.arange(len(energies))
    ends = [bump.onset, bump.apex, bump.offset]
    numbers = np.interp(ends, places, energies.numbers).round().astype(int)
    seconds = np.interp(ends, places, energies.seconds)
    lasts = (bump.offset - bump.onset + 1) / energies.lags.rate * 1000
    part = dict(zip(PARTS, bump.share, strict=True))
    what = MICRO if lasts <= LONGEST_MICRO else MACRO
    at_eyes = part["eyes"] >= AT_EYES and part["between the eyes"] <= BETWEEN
    if at_eyes and lasts <= LONGEST_BLINK:
        what = BLINK
    onset, apex, offset = map(int, numbers)
    start, peak, end = map(float, seconds)
    lag = bump.lag / energies.lags.rate
    return Found(what, onset, apex, offset, start, peak, end, bump.score, lag)
