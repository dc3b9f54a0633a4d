"""Minutes of one drawn person, in which expressions of known times happen, and other things."""

import dataclasses
import functools
from collections.abc import Callable, Iterator

import cv2
import numpy as np

from mubert_jax.errors import UserError
from mubert_jax.synthetic.clip import OVERSAMPLING
from mubert_jax.synthetic.drawing import Pose, draw_person
from mubert_jax.synthetic.events import (
    BLINK,
    CUT,
    EXPRESSIONS,
    LIGHT,
    MACRO,
    SPEECH,
    TURN,
    Event,
    Rates,
    draw_events,
)
from mubert_jax.synthetic.expressions import BOTH, Expression
from mubert_jax.synthetic.identity import Identity
from mubert_jax.synthetic.lids_and_lips import LidsAndLips
from mubert_jax.synthetic.movements import ACTION_UNITS, Movement, Shift
from mubert_jax.synthetic.nuisances import Nuisances, Wander

# In which head, background and light go the ways that `Nuisances` measures, in seconds.
_PERIOD = 12.0
# How steep a displacement may be: at 1, skin would fold. It is measured on a field of so many
# pixels a side.
_STEEPEST, _COARSE = 0.8, 112
# The action units of lids, and how far these can go: pixels of a 224-pixel frame.
_LIDS, _LIDS_REACH = (5, 7), 3.0
# Syllables per second, and how far the corners of the mouth go of what the jaw does.
_SYLLABLES, _CORNERS = (2.0, 6.0), 0.35
# How much of a turn of the head the middle of the face shows within its outline.
_WITHIN = 0.6


@dataclasses.dataclass(frozen=True)
class LongVideo:
    """A video, which is a function of its fields alone; its frames are made one by one.

    Attributes:
      subject, index: who is seen, and which of the subject's videos this is.
      seed: another seed gives other people and other videos.
      nuisances: what else changes all the time, as over a clip of 12 s.
      rates: how often what happens.
      size: the side of the frames in pixels.
      fps: frames per second.
      seconds: how long it lasts.

    Raises UserError for a length, a size or a rate that is out of range.
    """

    subject: int
    index: int = 0
    seed: int = 0
    nuisances: Nuisances = Nuisances()
    rates: Rates = Rates()
    size: int = 112
    fps: float = 30.0
    seconds: float = 60.0

    def __post_init__(self):
        if not 10 <= self.fps <= 1000:
            raise UserError(f"--fps {self.fps:g}: choose 10 to 1000 frames per second")
        if not 16 <= self.size <= 1024:
            raise UserError(f"--size {self.size}: choose 16 to 1024 pixels")
        if not 1 <= self.seconds <= 86_400:
            raise UserError(f"--seconds {self.seconds:g}: choose 1 to 86,400")

    def _random(self, *purpose: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, self.subject, self.index, 11, *purpose])

    @property
    def frames(self) -> int:
        """The number of frames."""
        return round(self.seconds * self.fps)

    @functools.cached_property
    def identity(self) -> Identity:
        """The person whom `SyntheticClip` draws for the same seed and subject."""
        random = np.random.default_rng([self.seed, self.subject])
        return Identity.draw(int(random.integers(2**31)))

    @functools.cached_property
    def pose(self) -> Pose:
        return self.nuisances.draw_pose(self._random(0))

    @functools.cached_property
    def events(self) -> tuple[Event, ...]:
        """Everything that happens, by its onset.

        Raises:
          UserError: there is no room for so much.
        """
        return draw_events(self._random(1), self.rates, self.frames, self.fps)

    @property
    def expressions(self) -> list[Event]:
        """The micro- and macro-expressions among the events."""
        return [event for event in self.events if event.kind in EXPRESSIONS]

    def frame(self, number: int) -> np.ndarray:
        """(size, size, 3) uint8 RGB, as a camera would record it."""
        return self._recorded(number)

    def __len__(self) -> int:
        return self.frames

    def __iter__(self) -> Iterator[np.ndarray]:
        """All frames, in order; never more than a few pictures are held."""
        return (self.frame(number) for number in range(self.frames))

    def movement(self, event: Event) -> Movement:
        """What moves in an expression.

        A large one takes more skin along than a small one, as skin does not fold, and lids do not
        go as far as brows or lips. Macro-expressions are alike on both sides.
        """
        random = np.random.default_rng([event.seed, 0])
        expression = Expression.typical(random, event.emotion)
        if event.strength > _LIDS_REACH:
            lids = dict.fromkeys(_LIDS, (_LIDS_REACH / event.strength,) * 2)
            units = {unit: lids.get(unit, sides) for unit, sides in expression.units.items()}
            expression = dataclasses.replace(expression, units=units)
        made = Movement.of_expression(random, self.identity, expression, event.strength)
        if event.kind == MACRO:
            made = dataclasses.replace(made, shifts=tuple(map(_on_both_sides, made.shifts)))
        while _steepness(made.field(self.pose, _COARSE)) > _STEEPEST:
            made = dataclasses.replace(made, shifts=tuple(map(_wider, made.shifts)))
        return made

    @functools.cached_property
    def _canvas(self) -> int:
        return self.size * OVERSAMPLING

    @functools.cached_property
    def _path(self) -> Wander:
        return self.nuisances.path.draw(self._random(3))

    @functools.cached_property
    def _drawn(self) -> tuple[np.ndarray, np.ndarray]:
        """Person and background, oversampled."""
        person, _ = draw_person(self.identity, self.pose, self._canvas)
        background = self.nuisances.draw_background(self._random(4), self._canvas)
        return person.astype(np.float32), background.astype(np.float32)

    @functools.cached_property
    def _lids_and_lips(self) -> LidsAndLips:
        return LidsAndLips(self.identity, self.pose, self._canvas)

    @functools.cached_property
    def _recorded(self) -> Callable[[int], np.ndarray]:
        """Number -> frame."""
        dice = functools.partial(self._random, 5)
        return self.nuisances.recording(self._clean, self._period, self._path, dice)

    @property
    def _period(self) -> int:
        """In frames."""
        return max(1, round(_PERIOD * self.fps))

    def _clean(self, number: int) -> np.ndarray:
        """The frame before light and camera, (size, size, 3) floats."""
        active = self._active(number)
        if any(event.kind == CUT and self._black(event) for event in active):
            return np.zeros((self.size, self.size, 3), np.float32)
        head = self._head(number, active)
        displacement = self._displacement(number, active)
        person = self._moved(head, displacement)
        opacity = np.clip(person[..., 3:], 0, 1)
        picture = person[..., :3] + self._behind(number) * (1 - opacity)
        picture = cv2.resize(picture, (self.size, self.size), interpolation=cv2.INTER_AREA)
        for event in active:
            if event.kind == LIGHT:
                picture = picture * (1 + event.share(number) * self._lamp(event))[..., None]
        return picture

    def _active(self, number: int) -> list[Event]:
        """What happens at a frame."""
        first, last = np.searchsorted(self._starts, [number - self._longest, number + 1])
        return [event for event in self.events[first:last] if event.offset >= number]

    @functools.cached_property
    def _starts(self) -> np.ndarray:
        return np.array([event.onset for event in self.events])

    @functools.cached_property
    def _longest(self) -> int:
        return max((event.offset - event.onset + 1 for event in self.events), default=0)

    def _head(self, number: int, active: list[Event]) -> np.ndarray:
        """The (2, 3) matrix that takes a pixel of this frame to where it was drawn."""
        matrix = self.nuisances.head_motion(self._path, number / self._period, self._canvas)
        for event in active:
            if event.kind == TURN:
                matrix = _after(matrix, self._turn(event, event.share(number)))
        return _after(matrix, self._camera(self._view(number)))

    def _turn(self, event: Event, share: float) -> np.ndarray:
        """What a turn of the head does to its outline: it moves, and leans a little."""
        random, canvas = np.random.default_rng([event.seed, 1]), self._canvas
        to = _direction(random) * event.strength * (1 - _WITHIN) * canvas / 224 * share
        lean = float(random.uniform(-2.5, 2.5)) * share
        matrix = cv2.getRotationMatrix2D((canvas / 2, canvas * 0.75), lean, 1.0)
        matrix[:, 2] -= matrix[:, :2] @ to
        return matrix

    def _view(self, number: int) -> int:
        """How often the camera has jumped before."""
        return int(np.searchsorted(self._cuts, number, side="right"))

    @functools.cached_property
    def _cuts(self) -> np.ndarray:
        return np.array([event.onset for event in self.events if event.kind == CUT])

    def _camera(self, view: int) -> np.ndarray:
        """The (2, 3) matrix of a view: the first is as drawn, the others are elsewhere."""
        matrix = np.eye(2, 3)
        if view:
            random, canvas = self._random(7, view), self._canvas
            scale = float(np.exp(random.uniform(-0.15, 0.15)))
            to = random.uniform(-0.07, 0.07, 2) * canvas
            matrix = np.array([[scale, 0, 0], [0, scale, 0]])
            matrix[:, 2] = canvas / 2 * (1 - scale) + to
        return matrix

    def _black(self, event: Event) -> bool:
        """Whether a cut shows black frames."""
        return event.offset > event.onset

    def _displacement(self, number: int, active: list[Event]) -> np.ndarray | None:
        """What moves in the face (canvas, canvas, 2), in pixels; None where nothing does."""
        total = None
        fields: dict[Event, np.ndarray] = {}
        for event in active:
            if event.kind in (LIGHT, CUT):
                continue
            if total is None:
                total = np.zeros((self._canvas, self._canvas, 2), np.float32)
            share = event.share(number)
            if event.kind == BLINK:
                self._lids_and_lips.close(total, event.strength * share)
                continue
            kept = self._fields.get(event)
            fields[event] = self._field(event) if kept is None else kept
            if event.kind == SPEECH:
                jaw, corners = self._syllable(event, number)
                self._lids_and_lips.open(total, jaw * share * self._canvas / 224)
                share *= corners
            total += share * fields[event]
        self._fields.clear()
        self._fields.update(fields)
        return total

    @functools.cached_property
    def _fields(self) -> dict[Event, np.ndarray]:
        """The displacements of what happens at the moment."""
        return {}

    def _field(self, event: Event) -> np.ndarray:
        """The displacement of an event at its apex, (canvas, canvas, 2) in pixels."""
        if event.kind == TURN:
            return self._turned_within(event)
        if event.kind == SPEECH:
            shifts = tuple(
                dataclasses.replace(shift, sides=BOTH) for shift in _corners(self.identity)
            )
            movement = Movement("none", (), shifts, event.strength * _CORNERS)
        else:
            movement = self.movement(event)
        return movement.field(self.pose, self._canvas).astype(np.float32)

    def _turned_within(self, event: Event) -> np.ndarray:
        """The middle of a turning face goes further than its outline, which stays."""
        x, y = self.pose.to_face(self._canvas)
        nearness = np.clip(1 - x**2 - (y / self.identity.height) ** 2, 0, None)
        to = _direction(np.random.default_rng([event.seed, 1]))
        far = event.strength * _WITHIN * self._canvas / 224
        return (nearness[..., None] * (to * far)).astype(np.float32)

    def _syllable(self, event: Event, number: int) -> tuple[float, float]:
        """How far the jaw is down, in pixels of 224, and the corners of the mouth out, -1 to 1."""
        random = np.random.default_rng([event.seed, 2])
        rates, phases = random.uniform(*_SYLLABLES, 6), random.uniform(0, 2 * np.pi, 6)
        waves = np.sin(phases + 2 * np.pi * rates * number / self.fps)
        jaw = np.clip(0.35 + waves[:3].sum() / 2.5, 0, 1)
        return float(event.strength * jaw), float(waves[3:].mean())

    def _lamp(self, event: Event) -> np.ndarray:
        """The relative change of the light at each pixel, (size, size)."""
        random = np.random.default_rng([event.seed, 3])
        angle, brighter = random.uniform(0, 2 * np.pi), random.choice((-1, 1))
        rows, columns = np.mgrid[: self.size, : self.size].astype(np.float32) / self.size - 0.5
        across = columns * np.cos(angle) + rows * np.sin(angle)
        return brighter * event.strength * (1 + across)

    def _moved(self, head: np.ndarray, displacement: np.ndarray | None) -> np.ndarray:
        """The person as head and face have moved, (canvas, canvas, 4)."""
        person, canvas = self._drawn[0], (self._canvas, self._canvas)
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        if displacement is None:
            return cv2.warpAffine(
                person, head, canvas, flags=flags, borderMode=cv2.BORDER_REPLICATE
            )
        local = cv2.warpAffine(
            displacement, head, canvas, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        )
        x, y = np.moveaxis(self._grid @ head.T.astype(np.float32) - local, -1, 0)
        return cv2.remap(person, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)

    @functools.cached_property
    def _grid(self) -> np.ndarray:
        """(x, y, 1) of every pixel, (canvas, canvas, 3)."""
        rows, columns = np.mgrid[: self._canvas, : self._canvas].astype(np.float32)
        return np.stack([columns, rows, np.ones_like(rows)], axis=-1)

    def _behind(self, number: int) -> np.ndarray:
        """The background as the camera sees it, (canvas, canvas, 3); kept while it is the same."""
        shift = self.nuisances.background_motion(self._path, number / self._period, self._canvas)
        key = (*shift, self._view(number))
        if self._seen.get("key") != key:
            matrix = self._camera(key[2])
            matrix = np.column_stack([matrix[:, :2], matrix[:, 2] - matrix[:, :2] @ shift])
            self._seen["key"] = key
            self._seen["behind"] = cv2.warpAffine(
                self._drawn[1],
                matrix,
                (self._canvas, self._canvas),
                flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_REFLECT,
            )
        return self._seen["behind"]

    @functools.cached_property
    def _seen(self) -> dict:
        return {}


def _after(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The (2, 3) matrix that takes a pixel where `first` takes what `second` gives."""
    return np.column_stack(
        [first[:, :2] @ second[:, :2], first[:, :2] @ second[:, 2] + first[:, 2]]
    )


def _steepness(field: np.ndarray) -> float:
    """How much a displacement in pixels changes from a pixel to the next, at most."""
    return max(float(np.abs(np.diff(field, axis=axis)).max()) for axis in (0, 1))


def _wider(shift: Shift) -> Shift:
    return dataclasses.replace(shift, sigma=(shift.sigma[0] * 1.1, shift.sigma[1] * 1.1))


def _on_both_sides(shift: Shift) -> Shift:
    return dataclasses.replace(shift, sides=(max(shift.sides),) * 2)


def _direction(random: np.random.Generator) -> np.ndarray:
    """Mostly to a side: right and down, of length 1."""
    angle = random.choice((0, np.pi)) + random.normal(0, 0.5)
    return np.array([np.cos(angle), np.sin(angle)])


def _corners(person: Identity) -> list[Shift]:
    """What goes out and in while somebody talks."""
    return ACTION_UNITS[14](person)
