"""Labelled pairs of synthetic faces that move as real people were recorded to."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console

from mubert_jax.data.clips import Clip, Interval
from mubert_jax.data.labelled.annotation import Annotation
from mubert_jax.data.labelled.collected import Collected, PairOptions
from mubert_jax.data.labelled.prepare import store
from mubert_jax.data.labelled.report import PairsReport
from mubert_jax.data.people import Person
from mubert_jax.data.published_flow import CLASSES, FlowField, read_published_flow
from mubert_jax.data.searching import PassedOver
from mubert_jax.data.sets.synthetic import FIRST_TEST_SUBJECT, Drawn, read_subjects
from mubert_jax.errors import UserError
from mubert_jax.synthetic.clip import AMPLITUDES, SyntheticClip, check_amplitudes
from mubert_jax.synthetic.conditions import CONDITIONS, known_conditions
from mubert_jax.synthetic.recorded import Recorded


@dataclass(frozen=True)
class RecordedCast:
    """Which clips are made: one per recorded flow, and one face per recorded person.

    Attributes:
      motions: the folder with the flow, as `read_published_flow` takes it.
      amplitudes: the range of the largest movement, in pixels of a 224-pixel frame.
      frames, conditions, seed, size: as for `Cast`.
      photos: a folder of photographs, one sub-folder per face, instead of drawings.
    """

    motions: Path
    amplitudes: tuple[float, float] = AMPLITUDES
    frames: int = 24
    conditions: tuple[str, ...] = ("lab", "lab", "lab", "busy-lab")
    seed: int = 0
    size: int = 224
    photos: Path | None = None

    def __post_init__(self):
        if self.frames < 8:
            raise UserError(f"--frames {self.frames}: choose 8 or more")
        check_amplitudes(self.amplitudes)
        known_conditions(self.conditions)

    def describe(self, fields: Sequence[FlowField]) -> str:
        """The cast, and what was recorded of it, in one line."""
        digest = hashlib.sha256()
        for field in fields:
            digest.update(f"{field.person}/{field.name}".encode())
            digest.update(field.channels.tobytes())
        low, high = self.amplitudes
        return (
            f"recorded: amplitude={low:g}-{high:g} frames={self.frames} "
            f"conditions={'+'.join(self.conditions)} seed={self.seed} size={self.size} "
            f"photos={self.photos and self.photos.resolve()} "
            f"motions={self.motions.resolve()} ({digest.hexdigest()[:8]})"
        )


def prepare_recorded(
    cast: RecordedCast,
    output: str | os.PathLike,
    options: PairOptions,
    console: Console | None = None,
) -> PairsReport:
    """Makes a `pairs` set of every recorded flow; its subjects are the people who were recorded.

    Raises:
      UserError: as for `prepare` and `read_published_flow`, and where there are fewer people on
        photographs than were recorded.
    """
    found = read_published_flow(cast.motions, CLASSES)
    passed = found.passed
    collected = Collected(
        _clips(cast, found.fields, passed),
        found.dropped,
        CLASSES,
        found.published,
        found.published_subjects,
        str(cast.motions),
        found.notes,
        passed,
    ).check(lenient=True)
    source = cast.describe(found.fields)
    return store("synthetic", source, collected, output, options, console)


def _clips(cast: RecordedCast, fields: Sequence[FlowField], passed: PassedOver) -> list[Clip]:
    """One clip per field, each a function of the seed, its person and its name alone."""
    people = [Person.of(field.dataset, field.subject) for field in fields]
    photos = _photos(cast.photos, people, passed)
    clips = []
    for field, person in zip(fields, people, strict=True):
        number = FIRST_TEST_SUBJECT + _digest(f"{person.space}/{person.name}")
        index = _digest(field.name)
        condition = cast.conditions[(number + index) % len(cast.conditions)]
        mine = photos.get(person, [None])
        emotion = field.emotion
        make = partial(
            SyntheticClip,
            subject=number,
            index=index,
            seed=cast.seed,
            nuisances=CONDITIONS[condition],
            size=cast.size,
            frames=cast.frames,
            amplitudes=cast.amplitudes,
            photo=mine[index % len(mine)],
            recorded=Recorded(emotion, field.displacement()),
        )
        said = Annotation(field.dataset, field.subject, field.name, (), None, None, None, emotion)
        course = make().course
        interval = Interval(
            said, field.label, emotion, 0.0, course.onset, course.apex, offset=course.offset
        )
        frames = Drawn(make, cast.frames, field.path)
        clips.append(Clip(said.name, said.person, frames, (interval,)))
    return clips


def _photos(
    folder: Path | None, people: Sequence[Person], passed: PassedOver
) -> Mapping[Person, Sequence[Path | None]]:
    """The photographs of the face that each recorded person gets; nothing for drawn faces."""
    if folder is None:
        return {}
    passed_here = PassedOver(folder)
    faces = list(read_subjects(folder, passed_here).values())
    passed.update(passed_here)
    recorded = sorted(set(people), key=lambda person: (person.space, person.name))
    if len(faces) < len(recorded):
        raise UserError(
            f"{folder}: photographs of {len(faces)} people, but {len(recorded)} were recorded and "
            "each takes a face of their own; add people, or draw them without --input"
        )
    return dict(zip(recorded, faces, strict=False))


def _digest(name: str) -> int:
    """A number from 0 to 2³² - 1 that the name alone decides."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
