"""A `pairs` data set in memory: labelled onset and apex images, and what was annotated."""

import copy
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mubert_jax.data.folder import check_complete, synthetic_space
from mubert_jax.data.labelled_clips import LabelledClips, class_names
from mubert_jax.data.records import PairRecord, decode_image, decode_pair
from mubert_jax.data.source import RecordSource
from mubert_jax.errors import UserError

# Of a record, as `LabelledClips` takes them.
COLUMNS = ("label", "dataset", "subject", "clip")


def annotated_units(directory: Path) -> tuple[list[str], np.ndarray]:
    """The action units of a set's clips, as annotated, and their subjects (P,), as stored.

    Raises:
      UserError: it is no finished set of labelled pairs, or damaged.
    """
    check_complete(directory, "casme2 --input DIR", "pairs")
    source = RecordSource(directory)
    records = [decode_pair(source[i]) for i in range(len(source))]
    return [record.action_units for record in records], np.array([x.subject for x in records])


class LabelledPairs(LabelledClips):
    """P labelled pairs, in the order of the records: by data set, subject and clip.

    Attributes:
      onset, apex: (P, H, W, 3) uint8 RGB.
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
        stored = class_names(self.directory)
        source = RecordSource(self.directory)
        shape = (len(source), image_size, image_size, 3)
        self.onset, self.apex = np.empty(shape, np.uint8), np.empty(shape, np.uint8)
        self.records: list[PairRecord] = [self._read(source, i) for i in range(len(source))]
        columns = ([getattr(r, x) for r in self.records] for x in COLUMNS)
        super().__init__(self.directory, stored, *columns, space=synthetic_space(self.directory))
        self.notes += self._still()

    @property
    def clip_frames(self) -> list[tuple[bytes, ...]]:
        """Encoded images of each clip, from behind its onset to its offset; () where none are."""
        return [record.clip_frames for record in self.records]

    def relabelled(
        self, rows: np.ndarray, label: np.ndarray, classes: Sequence[str]
    ) -> "LabelledPairs":
        """Some of the pairs, by their numbers, with other labels."""
        found = copy.copy(self)
        found.__dict__.pop("people", None)
        found.label, found.classes = np.asarray(label, np.int64), list(classes)
        found.onset, found.apex = self.onset[rows], self.apex[rows]
        for name in ("records", "dataset", "subject", "clip"):
            setattr(found, name, [getattr(self, name)[row] for row in rows])
        return found

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
