"""Synthetic people whose movements are known; see `mubert_jax.synthetic`."""

import dataclasses
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from mubert_jax.data.clips import Clip, Frames
from mubert_jax.data.names import printable
from mubert_jax.data.records import Ellipse
from mubert_jax.data.searching import PassedOver, files_with
from mubert_jax.data.video import IMAGE_SUFFIXES
from mubert_jax.errors import UserError
from mubert_jax.synthetic.clip import SyntheticClip
from mubert_jax.synthetic.conditions import CONDITIONS, known_conditions
from mubert_jax.synthetic.foreign import Foreign
from mubert_jax.synthetic.nuisances import Nuisances
from mubert_jax.synthetic.wild import Wild

# Subjects from here on are for testing: `mubert bench perception` takes them, and no training may.
FIRST_TEST_SUBJECT = 100_000


@dataclasses.dataclass(frozen=True)
class Cast:
    """Which clips are made.

    Attributes:
      subjects, first_subject: how many people, and the number of the first.
      clips: recordings per person.
      frames: frames per recording.
      conditions: names of `conditions.CONDITIONS`, which the clips of a subject take in turn; only
        test people take one that is not for training.
      seed: another seed makes other people.
      size: side of the frames in pixels.
      backgrounds: a folder of photographs, parts of which are behind people outside the lab,
        beside scenes that are drawn.
      photos: a folder of photographs, one sub-folder per subject, instead of drawings; `subjects`
        is then the most that are taken.
    """

    subjects: int = 60
    first_subject: int = 0
    clips: int = 4
    frames: int = 24
    conditions: tuple[str, ...] = ("lab", "lab", "lab", "busy-lab")
    seed: int = 0
    size: int = 224
    backgrounds: Path | None = None
    photos: Path | None = None

    def __post_init__(self):
        for name, least in {"subjects": 1, "clips": 1, "frames": 8, "first_subject": 0}.items():
            if getattr(self, name) < least:
                flag = f"--{name.replace('_', '-')}"
                raise UserError(f"{flag} {getattr(self, name)}: choose {least} or more")
        known_conditions(self.conditions)
        for name in self.conditions:
            if self.first_subject < FIRST_TEST_SUBJECT and not CONDITIONS[name].for_training:
                raise UserError(
                    f"--conditions {name}: is for testing alone, so that nothing learns from it; "
                    f"--first-subject={FIRST_TEST_SUBJECT} makes test people"
                )
        outside = [name for name, made in CONDITIONS.items() if isinstance(made, Wild)]
        if self.backgrounds and not set(outside) & set(self.conditions):
            raise UserError(
                f"--backgrounds {self.backgrounds}: nobody is recorded before them; add one of "
                f"{', '.join(outside)} to --conditions"
            )

    def recorded_under(self, passed: PassedOver) -> dict[str, Nuisances | Foreign]:
        """Condition -> what else changes; files beside photographs are told to `passed`.

        Raises:
          UserError: `backgrounds` does not exist, or holds no photograph.
        """
        made = {name: CONDITIONS[name] for name in self.conditions}
        if self.backgrounds is None:
            return made
        photographs = read_backgrounds(self.backgrounds, passed)
        return {
            name: dataclasses.replace(nuisances, photographs=photographs)
            if isinstance(nuisances, Wild)
            else nuisances
            for name, nuisances in made.items()
        }

    def __str__(self):
        values = dataclasses.asdict(self) | {"conditions": "+".join(self.conditions)}
        if self.backgrounds is None:
            del values["backgrounds"]
        return "made: " + " ".join(f"{name}={value}" for name, value in values.items())


def clips(cast: Cast, passed: PassedOver | None = None) -> list[Clip]:
    """One clip per recording, in any condition; movements show an emotion or are anywhere.

    Other files in a folder of photographs are told to `passed`.
    """
    passed = PassedOver(cast.photos) if passed is None else passed
    numbers = range(cast.first_subject, cast.first_subject + cast.subjects)
    if cast.photos is None:
        people = [(number, f"s{number:06d}", [None]) for number in numbers]
    else:
        found = read_subjects(cast.photos, passed).items()
        people = [(n, name, photos) for n, (name, photos) in zip(numbers, found, strict=False)]
    nuisances = cast.recorded_under(passed)
    return [
        _clip(cast, nuisances, number, name, index, photos[index % len(photos)])
        for number, name, photos in people
        for index in range(cast.clips)
    ]


def read_subjects(folder: Path, passed: PassedOver) -> dict[str, list[Path]]:
    """Subject -> photographs, one sub-folder per subject; other files are told to `passed`.

    Raises:
      UserError: the folder does not exist, or no sub-folder holds a photograph.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; --input takes one sub-folder per subject")
    subjects: dict[str, list[Path]] = {}
    for path, photos in files_with(IMAGE_SUFFIXES, folder, passed):
        if path == folder:
            for photo in photos:
                passed.add("photograph outside the sub-folders of subjects", photo)
        else:
            subject = printable(path.relative_to(folder).parts[0])
            subjects.setdefault(subject, []).extend(photos)
    if not subjects:
        raise UserError(
            f"{folder}: no photograph in any sub-folder (looked for "
            f"{' '.join(sorted(IMAGE_SUFFIXES))}); one sub-folder per subject is needed"
            f"{passed.clause()}"
        )
    return {subject: sorted(photos) for subject, photos in sorted(subjects.items())}


def read_backgrounds(folder: Path, passed: PassedOver) -> tuple[Path, ...]:
    """The photographs in a folder and below; other files are told to `passed`.

    Raises:
      UserError: the folder does not exist, or holds no photograph.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; --backgrounds takes one with photographs")
    photographs = sorted(
        path for _, paths in files_with(IMAGE_SUFFIXES, folder, passed) for path in paths
    )
    if not photographs:
        raise UserError(
            f"{folder}: no photograph (looked for {' '.join(sorted(IMAGE_SUFFIXES))})"
            f"{passed.clause()}"
        )
    return tuple(photographs)


def _clip(
    cast: Cast,
    nuisances: Mapping[str, Nuisances | Foreign],
    subject: int,
    person: str,
    index: int,
    photo: Path | None,
) -> Clip:
    condition = cast.conditions[(subject + index) % len(cast.conditions)]
    make = partial(
        SyntheticClip,
        subject=subject,
        index=index,
        seed=cast.seed,
        nuisances=nuisances[condition],
        size=cast.size,
        frames=cast.frames,
        labelled=False,
        photo=photo,
    )
    name = f"{person}/{index:02d}-{condition}"
    return Clip(name, person, Drawn(make, cast.frames, Path(name)))


class Drawn(Frames):
    """The frames of a recording that is drawn anew at every request.

    Args:
      make: gives the recording.
      count: the number of its frames.
      file: what it is drawn from, or a name where it is drawn from nothing.
    """

    def __init__(self, make: Callable[[], SyntheticClip], count: int, file: Path):
        self._make, self._count, self.files = make, count, (file,)
        self._faces: Sequence[Ellipse] = ()

    @property
    def expected(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[tuple[int, np.ndarray]]:
        return self.read(range(self._count))

    def face(self, number: int) -> Ellipse:
        if not self._faces:
            self._start()
        return self._faces[number]

    def read(self, numbers: Collection[int]) -> Iterator[tuple[int, np.ndarray]]:
        recording = self._start()
        return ((number, recording.frame(number)) for number in sorted(set(numbers)))

    def _start(self) -> SyntheticClip:
        """The recording; its pictures are not kept, as a data set holds thousands of clips."""
        recording = self._make()
        self._faces = [recording.face(number) for number in range(self._count)]
        return recording

    def sample(self, count: int) -> list[np.ndarray]:
        numbers = np.linspace(0, self._count - 1, count).astype(int)
        return [image for _, image in self.read(numbers)]
