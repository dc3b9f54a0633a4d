"""What all labelled sets in memory say of their clips, whatever is seen of them."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from mubert_jax.data.people import Person, merged_classes, merged_people
from mubert_jax.errors import UserError

CLASS_NAMES = "label.labels.txt"


def class_names(directory: Path) -> list[str]:
    """The names of the classes of a data set, in label order; UserError if they are not there."""
    try:
        return (directory / CLASS_NAMES).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise UserError(
            f"{directory}: {CLASS_NAMES}, the names of the classes, cannot be read "
            f"({reason}); copy the folder again"
        ) from error


class LabelledClips:
    """P labelled clips: who shows which class.

    Attributes:
      directory: the folder that they were read from.
      label: (P,) int64, rows of `classes`.
      classes: C class names in label order.
      subject: P names with their data set, such as "casme2/sub01", one spelling per person.
      clip: P names, each unique for its subject.
      dataset: P names, such as "casme2", one spelling per data set.
      space: what synthetic people are unique in; None for real ones.
      notes: which spellings were taken for one person or class.

    Args:
      directory: the folder, for messages.
      stored: the names of the classes as they are stored.
      label: rows of `stored`.
      dataset, subject, clip: as they are stored, one of each per clip.
      space: as above.

    Raises:
      UserError: a label has no class, or two clips of one person have one name.
    """

    def __init__(
        self,
        directory: Path,
        stored: Sequence[str],
        label: Sequence[int],
        dataset: Sequence[str],
        subject: Sequence[str],
        clip: Sequence[str],
        space: str | None = None,
    ):
        self.directory, self.clip, self.space = directory, list(clip), space
        if outside := [i for i, row in enumerate(label) if not 0 <= row < len(stored)]:
            raise UserError(
                f"{directory}: {clip[outside[0]]} has label {label[outside[0]]}, but there are "
                f"{len(stored)} classes; run `mubert prepare` again into a new folder"
            )
        names, of_classes = merged_classes(stored)
        self.classes = list(dict.fromkeys(names))
        self.label = np.array([self.classes.index(names[row]) for row in label], np.int64)
        found = merged_people(dataset, subject)
        self.dataset, self.subject = found.datasets, found.subjects
        self._check_names(subject)
        self.notes = [*of_classes, *found.notes]

    def __len__(self) -> int:
        return len(self.clip)

    @cached_property
    def people(self) -> list[Person]:
        """Who is seen in each clip."""
        if space := self.space:
            return [Person.elsewhere(space, who.rpartition("/")[2]) for who in self.subject]
        return [Person.of(*who) for who in zip(self.dataset, self.subject, strict=True)]

    def take(self, rows: Sequence[int]) -> "LabelledClips":
        """Some of the clips, by their numbers; the classes stay."""
        columns = ([column[i] for i in rows] for column in (self.dataset, self.subject, self.clip))
        label = self.label[rows].tolist()
        return LabelledClips(self.directory, self.classes, label, *columns, space=self.space)

    def _check_names(self, spelt: Sequence[str]) -> None:
        first: dict[tuple[str, str], int] = {}
        for i, name in enumerate(zip(self.subject, self.clip, strict=True)):
            if (before := first.setdefault(name, i)) != i:
                raise UserError(
                    f"{self.directory}: {spelt[before]!r} and {spelt[i]!r} are one person, with "
                    f"two clips called {self.clip[i]!r}; mend the table and run `mubert prepare` "
                    "into a new folder"
                )
