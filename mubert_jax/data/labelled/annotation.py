"""What a sheet says about one clip, and what may become of a clip before any image is read."""

from dataclasses import dataclass

NO_MOVEMENT = "onset and apex are the same frame"
"""The note of a kept clip whose two images are one; reports count it, in these very words."""


class Refused(Exception):
    """This clip could get a wrong label or wrong images: strict runs stop, lenient ones drop it."""


class LeftOut(Exception):
    """This clip does not belong to the data set asked for; every run drops it and lists it."""


@dataclass(frozen=True)
class Annotation:
    """One annotated clip; frame numbers are None where the sheet gives none.

    Attributes:
      dataset: name of the data set, such as "casme2".
      subject: who is seen, as `subject` of a record without the data set.
      clip: unique for the subject.
      places: keys of the folder of its frames, as `LabelledSet.locate` gives them, best first.
      onset, apex, offset: frame numbers.
      emotion: as annotated, in lower case.
      action_units: as annotated.
      row: of the sheet; 0 where there is no sheet.
      notes: what else the sheet holds that is not used.
    """

    dataset: str
    subject: str
    clip: str
    places: tuple[str, ...]
    onset: int | None
    apex: int | None
    offset: int | None
    emotion: str
    action_units: str = ""
    row: int = 0
    notes: tuple[str, ...] = ()

    @property
    def person(self) -> str:
        """Data set and subject, such as "casme2/sub01"."""
        return f"{self.dataset}/{self.subject}"

    @property
    def name(self) -> str:
        """Data set, subject and clip: unique in any mixture of data sets."""
        return f"{self.person}/{self.clip}"


@dataclass(frozen=True)
class Dropped:
    """A clip that is not stored; `refused` where a strict run must not go on without it."""

    name: str
    person: str
    row: int
    emotion: str
    reason: str
    refused: bool


def frame_number(text: str, what: str) -> int | None:
    """A cell as a frame number; None for a blank or "/", Refused for anything else."""
    if text in ("", "/", "-", "?", "nan", "NaN", "None"):
        return None
    try:
        number = float(text)
        if number != int(number) or number < 0:
            raise ValueError
    except (ValueError, OverflowError):
        raise Refused(f"{what} {text!r} is not a frame number") from None
    return int(number)
