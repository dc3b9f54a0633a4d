"""What a sheet says about a clip, the class that this is, and what becomes of the clip."""

import math
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field

NO_MOVEMENT = "onset and apex are the same frame"
"""The note of a kept clip whose two images are one; reports count it by these very words."""


class Refused(Exception):
    """This clip could get a wrong label or wrong images: strict runs stop, lenient ones drop it."""


class LeftOut(Exception):
    """This clip does not belong to the data set asked for; every run drops it and lists it."""


@dataclass(frozen=True)
class Annotation:
    """One annotated clip; frame numbers are None where the sheet gives none.

    Attributes:
      dataset: the name of the data set, such as "casme2".
      subject: who is seen, as in `subject` of a record but without the data set.
      clip: a name that is unique for the subject.
      places: keys of the folder with its frames, as `LabelledSet.locate` gives them, best first.
      onset, apex, offset: frame numbers.
      emotion: as annotated, in lower case.
      action_units: as annotated.
      row: the row of the sheet; 0 without a sheet.
      notes: entries of the sheet that are not used.
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
    """A clip that is not stored; `refused` if a strict run must not go on without it."""

    name: str
    person: str
    row: int
    emotion: str
    reason: str
    refused: bool


_MISSING = frozenset("na n/a nan <na> null #n/a".split())
_NO_NUMBER = _MISSING | frozenset(("/", "-", "–", "—", "?", "none"))
_GROUPED = re.compile(r"\d{1,3}(?:(?:[ '’]\d{3})+|(?:,\d{3}){2,}|(?:\.\d{3}){2,})")
_EITHER = re.compile(r"[1-9]\d{0,2}[.,]\d{3}")


def is_missing(text: str) -> bool:
    """Whether a cell is blank, or says so as R, pandas and Excel do: NA, NaN, #N/A."""
    return not text or text.lower() in _MISSING


def measure(text: str, what: str) -> float | None:
    """A cell as a number, with the signs of any country; None if there is none.

    Raises Refused for anything else, and for 1,200, which may be a fraction or thousands.
    """
    text = " ".join(unicodedata.normalize("NFKC", text).split())
    if not text or text.lower() in _NO_NUMBER:
        return None
    if "," in text and _EITHER.fullmatch(text):
        raise Refused(_doubt(what, text))
    plain = re.sub(r"[ '’.,]", "", text) if _GROUPED.fullmatch(text) else text.replace(",", ".")
    try:
        number = float(plain)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or "_" in plain:
        raise Refused(f"{what} {text!r} is not a number")
    return number


def frame_number(text: str, what: str) -> int | None:
    """A cell as a frame number; None for a blank or "/", Refused for anything else."""
    if _EITHER.fullmatch(text):
        raise Refused(_doubt(what, text))
    number = measure(text, what)
    if number is not None and (number != int(number) or number < 0):
        raise Refused(f"{what} {text!r} is not a frame number")
    return None if number is None else int(number)


def _doubt(what: str, text: str) -> str:
    whole = re.sub("[.,]", "", text)
    return f"{what} {text!r} may be {whole} or {float(text.replace(',', '.')):g}; write it plainly"


@dataclass(frozen=True)
class ClassScheme:
    """One mapping of a data set's emotions to classes.

    Attributes:
      classes: names in label order.
      emotions: annotated emotion in lower case -> class, None if it is left out.
      published: class -> clips by the owners' own count.
      subjects: people by that count, None if unknown.
      excluded: "SUBJECT/CLIP" of clips that are left out -> why.
    """

    classes: tuple[str, ...]
    emotions: Mapping[str, str | None]
    published: Mapping[str, int] = field(default_factory=dict)
    subjects: int | None = None
    excluded: Mapping[str, str] = field(default_factory=dict)

    def label(self, annotation: Annotation) -> int:
        """The number of the class; LeftOut or Refused if the clip has none."""
        if why := self.excluded.get(f"{annotation.subject}/{annotation.clip}"):
            raise LeftOut(why)
        if not annotation.emotion:
            raise Refused("no emotion annotated")
        if annotation.emotion not in self.emotions:
            known = ", ".join(sorted(self.emotions))
            raise Refused(f"unknown emotion {annotation.emotion!r} (known: {known})")
        name = self.emotions[annotation.emotion]
        if name is None:
            raise LeftOut(f"{annotation.emotion} is none of the {len(self.classes)} classes")
        return self.classes.index(name)
