"""What happens in a long video, and when: expressions, and what may be taken for one.

The lengths of expressions are those of the field (micro-expressions last half a second at most);
how often things happen, and how far they go, are those of a drawing and come from no measurement.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from mubert_jax.errors import UserError
from mubert_jax.synthetic.expressions import EMOTIONS

MICRO, MACRO = "micro", "macro"
BLINK, SPEECH, TURN, LIGHT, CUT = "blink", "speech", "turn", "light", "cut"
EXPRESSIONS = (MICRO, MACRO)
KINDS = (*EXPRESSIONS, BLINK, SPEECH, TURN, LIGHT, CUT)
# Kind -> how long one lasts, in seconds. A camera that jumps does so within a frame, or shows
# black ones between.
SECONDS = {
    MICRO: (0.17, 0.5),
    MACRO: (0.5, 4.0),
    BLINK: (0.1, 0.3),
    SPEECH: (2.0, 8.0),
    TURN: (0.8, 3.0),
    LIGHT: (0.6, 4.0),
    CUT: (0.0, 0.15),
}
# Kind -> how strong one is: pixels of a 224-pixel frame, but for blinks (share of the eye that is
# closed) and light (its relative change).
STRENGTHS = {
    MICRO: (1.0, 3.0),
    MACRO: (3.0, 9.0),
    BLINK: (0.85, 1.0),
    SPEECH: (2.5, 6.0),
    TURN: (5.0, 14.0),
    LIGHT: (0.08, 0.3),
    CUT: (1.0, 1.0),
}
# Kind -> when it is strongest, and how long it stays so, as shares of its length.
_PEAK = {kind: (0.25, 0.45) for kind in KINDS}
_HELD = {
    MICRO: 0.1,
    MACRO: 0.3,
    BLINK: 0.15,
    SPEECH: 0.5,
    TURN: 0.4,
    LIGHT: 0.4,
    CUT: 1.0,
}
# How often lengths are drawn anew that do not fit together into a short video.
_ATTEMPTS = 100
# The share of cuts without black frames.
_WITHOUT_BLACK = 0.5


@dataclasses.dataclass(frozen=True)
class Rates:
    """How often things happen, per minute.

    Attributes:
      micro, macro: expressions.
      blink, speech, turn, light, cut: what is none: blinks, stretches of talking, turns of the
        head, changes of the light, and jumps of the camera.
      apart: seconds between two of them, at least.
      overlapping: whether blinks, and all that is neither a blink nor an expression, go their own
        ways; expressions never overlap each other.
    """

    micro: float = 3.0
    macro: float = 2.0
    blink: float = 12.0
    speech: float = 0.0
    turn: float = 0.0
    light: float = 0.0
    cut: float = 0.0
    apart: float = 1.0
    overlapping: bool = False


@dataclasses.dataclass(frozen=True)
class Event:
    """One thing that happens, in frames; its first and its last frame both belong to it.

    Attributes:
      kind: one of `KINDS`.
      onset, apex, offset: its first frame, the first at full strength, and its last.
      held: the last frame at full strength.
      strength: as in `STRENGTHS`.
      seed: what else is drawn for it is drawn from this.
      emotion: what an expression shows, else "".
    """

    kind: str
    onset: int
    apex: int
    offset: int
    held: int
    strength: float
    seed: int
    emotion: str = ""

    def share(self, frame: float) -> float:
        """How much of it there is at a frame: a raised cosine up, and one down; 0 outside."""
        if frame <= self.apex:
            way = (frame - self.onset + 1) / (self.apex - self.onset + 1)
        elif frame <= self.held:
            way = 1.0
        else:
            way = (self.offset + 1 - frame) / (self.offset + 1 - self.held)
        return float(0.5 - 0.5 * np.cos(np.pi * np.clip(way, 0, 1)))


def draw_events(
    random: np.random.Generator, rates: Rates, frames: int, fps: float
) -> tuple[Event, ...]:
    """The events of a video, by their onset.

    Raises:
      UserError: there is no room for so many.
    """
    tracks = [KINDS]
    if rates.overlapping:
        tracks = [EXPRESSIONS, (BLINK,), (SPEECH, TURN, LIGHT, CUT)]
    events = [event for kinds in tracks for event in _track(random, rates, kinds, frames, fps)]
    return tuple(sorted(events, key=lambda event: (event.onset, event.kind)))


def _track(
    random: np.random.Generator, rates: Rates, kinds: Sequence[str], frames: int, fps: float
) -> list[Event]:
    """Events one after another, with random pauses between."""
    numbers = {}
    for kind in kinds:
        expected = getattr(rates, kind) * frames / fps / 60
        numbers[kind] = int(expected) + int(random.random() < expected % 1)
    apart, count = int(np.ceil(rates.apart * fps)), sum(numbers.values())
    asked, free = [], -1
    for _ in range(_ATTEMPTS):
        asked = [
            (k, _length(random, k, fps)) for k, number in numbers.items() for _ in range(number)
        ]
        free = frames - sum(length for _, length in asked) - apart * (count + 1)
        if free >= 0:
            break
    else:
        raise UserError(
            f"{count} events do not fit into {frames / fps:g} s, {rates.apart:g} s apart; choose "
            "more seconds or less rates"
        )
    asked = [asked[i] for i in random.permutation(count)]
    pauses = np.cumsum(random.dirichlet(np.ones(count + 1))) * free
    events, before = [], 0
    for (kind, length), pause in zip(asked, pauses, strict=False):
        events.append(_event(random, kind, int(pause) + before + apart, length))
        before += length + apart
    return events


def _length(random: np.random.Generator, kind: str, fps: float) -> int:
    """In frames, so that their number over `fps` is within `SECONDS`; one frame at least."""
    shortest, longest = SECONDS[kind]
    frames = round(random.uniform(shortest, longest) * fps)
    # A rate with a period, such as 29.97, must not push a whole number over the edge.
    least, most = int(np.ceil(shortest * fps - 1e-9)), int(longest * fps + 1e-9)
    return max(1, min(max(frames, least), most))


def _event(random: np.random.Generator, kind: str, onset: int, length: int) -> Event:
    last = onset + length - 1
    apex = onset + round((length - 1) * random.uniform(*_PEAK[kind]))
    held = min(last, apex + int(length * _HELD[kind]))
    if kind == CUT:
        last = onset if random.random() < _WITHOUT_BLACK else last
        apex, held = onset, last
    low, high = STRENGTHS[kind]
    strength = float(np.exp(random.uniform(np.log(low), np.log(high))))
    emotions = list(EMOTIONS)
    emotion = emotions[random.integers(len(emotions))] if kind in EXPRESSIONS else ""
    return Event(kind, onset, apex, last, held, strength, int(random.integers(2**31)), emotion)
