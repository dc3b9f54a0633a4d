"""A `pairs` data set in memory: labelled onset and apex images, and what was annotated."""

import os
from functools import cached_property
from pathlib import Path

import numpy as np

from mubert_jax.data.folder import check_complete, synthetic_space
from mubert_jax.data.people import Person, merged_classes, merged_people
from mubert_jax.data.records import PairRecord, decode_image, decode_pair
from mubert_jax.data.source import RecordSource
from mubert_jax.errors import UserError

_WHO = ("dataset", "subject")
_CLASS_NAMES = "label.labels.txt"


class LabelledPairs:
    """P labelled pairs, in the order of the records: by data set, subject and clip.

    Attributes:
      onset, apex: (P, H, W, 3) uint8 RGB.
      label: (P,) int64, rows of `classes`.
      classes: C class names in label order.
      subject: P names with their data set, such as "casme2/sub01", one spelling per person.
      clip: P names, each unique for its subject.
      dataset: P names, such as "casme2", one spelling per data set.
      records: P `PairRecord`s with everything that is annotated, their images left empty.
      notes: which spellings were taken for one person or class, and how many pairs show no
        movement.

    Args:
      directory: a folder that `mubert prepare` made from a labelled set.
      image_size: height and width that the stored images must have.

    Raises:
      UserError: the data set is missing, of frames, half prepared, damaged, or has images of
        another size.
    """

    def __init__(self, directory: str | os.PathLike, image_size: int = 224):
        self.directory = Path(directory)
        self.image_size = image_size
        check_complete(self.directory, "casme2 --input DIR", "pairs")
        stored = _classes(self.directory)
        source = RecordSource(self.directory)
        shape = (len(source), image_size, image_size, 3)
        self.onset, self.apex = np.empty(shape, np.uint8), np.empty(shape, np.uint8)
        self.records: list[PairRecord] = [self._read(source, i) for i in range(len(source))]
        if outside := [r for r in self.records if not 0 <= r.label < len(stored)]:
            raise UserError(
                f"{self.directory}: {outside[0].clip} has label {outside[0].label}, but there are "
                f"{len(stored)} classes; run `mubert prepare` again into a new folder"
            )
        names, of_classes = merged_classes(stored)
        self.classes = list(dict.fromkeys(names))
        label = [self.classes.index(names[record.label]) for record in self.records]
        self.label = np.array(label, np.int64)
        found = merged_people(*([getattr(r, x) for r in self.records] for x in _WHO))
        self.dataset, self.subject = found.datasets, found.subjects
        self.clip = [record.clip for record in self.records]
        self._check_clips()
        self.notes = [*of_classes, *found.notes, *self._still()]

    def __len__(self) -> int:
        return len(self.records)

    @cached_property
    def people(self) -> list[Person]:
        """Who is seen in each pair."""
        if synthetic := synthetic_space(self.directory):
            return [Person.elsewhere(synthetic, who.rpartition("/")[2]) for who in self.subject]
        return [Person.of(*who) for who in zip(self.dataset, self.subject, strict=True)]

    def _check_clips(self) -> None:
        """UserError where two spellings of one person have clips of one name."""
        who = list(zip(self.subject, self.clip, strict=True))
        if twice := [i for i, one in enumerate(who) if who.index(one) < i]:
            first, second = (self.records[i].subject for i in (who.index(who[twice[0]]), twice[0]))
            raise UserError(
                f"{self.directory}: {first!r} and {second!r} are one person, with two clips "
                f"called {self.clip[twice[0]]!r}; mend the table and run `mubert prepare` into a "
                "new folder"
            )

    def _still(self) -> list[str]:
        still = int((self.onset == self.apex).all(axis=(1, 2, 3)).sum())
        if not still:
            return []
        return [
            f"{still} of {len(self)} clips show no movement (onset and apex are the same image); "
            "they are learnt from and tested as they are labelled"
        ]

    def _read(self, source: RecordSource, number: int) -> PairRecord:
        try:
            record = decode_pair(source[number])
            for images, encoded in ((self.onset, record.onset), (self.apex, record.apex)):
                image = decode_image(encoded, images[number])
                if image.shape != images[number].shape:
                    raise self._other_size(image)
        except UserError as error:
            if str(self.directory) in str(error):
                raise
            raise UserError(f"{self.directory}: record {number}: {error}") from error
        return PairRecord(**vars(record) | {"onset": b"", "apex": b""})

    def _other_size(self, image: np.ndarray) -> UserError:
        height, width = image.shape[:2]
        return UserError(
            f"{self.directory}: images are stored as {width}x{height}, asked for are "
            f"{self.image_size}x{self.image_size}; run `mubert prepare --size "
            f"{self.image_size}` into a new folder, or set --config.model.image_size={width}"
        )


def _classes(directory: Path) -> list[str]:
    try:
        return (directory / _CLASS_NAMES).read_text().splitlines()
    except OSError as error:
        raise UserError(
            f"{directory}: {_CLASS_NAMES}, the names of the classes, cannot be read "
            f"({error.strerror}); copy the folder again"
        ) from error
