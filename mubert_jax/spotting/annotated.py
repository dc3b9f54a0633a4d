"""What a sheet of a long-video set says of one expression, and the frames that this means."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from mubert_jax.data.labelled.annotation import Refused, frame_number, is_missing
from mubert_jax.data.labelled.sheets import Row, plain
from mubert_jax.spotting.intervals import MACRO, MICRO, Interval

OFFSETS = ("apex", "mirrored")
"""What may be taken for an offset that is not annotated: the apex (as MEAN and SOFTNet do), or as
far behind the apex as the onset is before it (as in code of the MEGC challenges)."""

_LONGEST_MICRO = 0.5  # seconds; the field's own limit
# Beyond any expression that was annotated: a typing mistake, such as a digit too many.
_LONGEST = {MICRO: 10.0, MACRO: 60.0}


@dataclasses.dataclass(frozen=True)
class Annotated:
    """One annotated expression; frame numbers are the sheet's, None where it gives none.

    Attributes:
      key: of the video that it is in, as `LongSet.locate` gives it.
      kind: "micro" or "macro", "" where the sheet does not tell.
      emotion: as annotated, in lower case; "" where the sheet does not tell.
      sheet, row: where it is annotated.
    """

    key: str
    onset: int | None
    apex: int | None
    offset: int | None
    kind: str
    emotion: str
    sheet: str
    row: int
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """For messages: the video, and the frames."""
        return f"{self.key} {self.onset} to {self.offset}"


@dataclasses.dataclass(frozen=True)
class Settled:
    """The interval of an annotation, and what had to be mended (repairs) or is odd (notes)."""

    interval: Interval
    repairs: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def annotated(row: Row, key: str, kind: str, sheet: str) -> Annotated:
    """The annotation of a row with the cells onset, apex, offset and emotion.

    Raises:
      Refused: a cell is no frame number.
    """
    emotion = row.text("emotion").lower()
    return Annotated(
        key=key,
        onset=_frame(row, "onset"),
        apex=_frame(row, "apex"),
        offset=_frame(row, "offset"),
        kind=kind,
        emotion="" if is_missing(emotion) else emotion,
        sheet=sheet,
        row=row.number,
        notes=row.notes,
    )


def kind_of(text: str) -> str:
    """ "micro" or "macro" of a cell such as "Micro - 1/2", "macro-expression" or "MaE".

    Raises:
      Refused: it is neither.
    """
    name = plain(text)
    for kind, short in ((MICRO, ("me", "mie")), (MACRO, ("mae",))):
        if name.startswith(kind) or name in short:
            return kind
    raise Refused(f"type {text!r} is neither micro nor macro")


def settle(
    one: Annotated,
    subject: str,
    video: str,
    numbers: Sequence[int],
    fps: float,
    offset_rule: str | None,
) -> Settled:
    """The interval of an annotation in the order of the frames that are there, from 0.

    - An end that is not there is replaced by the nearest frame inside that is; where the video is
      shorter than the interval, the interval ends with it.
    - An apex outside of the interval is left out.
    - An offset of 0, or none, is that of `offset_rule`.

    Args:
      numbers: of the video's frames, ascending, as the sheet counts them.
      fps: frames per second.
      offset_rule: one of `OFFSETS`, or None.

    Raises:
      Refused: there is no onset, or no offset and no rule; the ends are swapped, the interval is
        off the video, or far too long.
    """
    repairs, notes = [], list(one.notes)
    onset = _onset(one, numbers)
    apex = one.apex if one.apex else None
    offset = one.offset or _offset(one, onset, apex, offset_rule, repairs)
    if onset > offset:
        raise Refused(f"onset {onset} is after offset {offset}; are they swapped?")
    seconds = (offset - onset + 1) / fps
    if seconds > _LONGEST.get(one.kind, _LONGEST[MACRO]):
        raise Refused(f"{onset} to {offset} are {seconds:.0f} s; is there a digit too many?")
    if one.kind == MICRO and seconds > _LONGEST_MICRO:
        notes.append("a micro-expression of more than 500 ms")
    first, last = numbers[0], numbers[-1]
    if onset > last or offset < first:
        raise Refused(f"{onset} to {offset} are off the video, which holds {first} to {last}")
    begin = int(np.searchsorted(numbers, onset))
    end = int(np.searchsorted(numbers, offset, side="right")) - 1
    if end < begin:
        raise Refused(f"no frame of {onset} to {offset} is on the disk")
    for what, number, taken in (("onset", onset, begin), ("offset", offset, end)):
        if numbers[taken] != number:
            repairs.append(f"{what} {number} is not on the disk, {numbers[taken]} taken")
    peak = None
    if apex is not None:
        if onset <= apex <= offset:
            nearest = np.clip(np.searchsorted(numbers, apex), begin, end)
            peak = int(nearest)
        else:
            repairs.append(f"apex {apex} is outside of {onset} to {offset}, left out")
    interval = Interval(subject, video, begin, end, peak, one.kind, one.emotion)
    return Settled(interval, tuple(repairs), tuple(notes))


def _frame(row: Row, column: str) -> int | None:
    text = row.text(column)
    return None if text == "-1" else frame_number(text, column)


def _onset(one: Annotated, numbers: Sequence[int]) -> int:
    if one.onset is None:
        raise Refused("no onset annotated")
    if one.onset == 0 and numbers[0] > 0:
        raise Refused(
            f"onset 0 is before the first frame, {numbers[0]}: it began before the video, or was "
            "not annotated"
        )
    return one.onset


def _offset(
    one: Annotated, onset: int, apex: int | None, rule: str | None, repairs: list[str]
) -> int:
    said = "no offset" if one.offset is None else "offset 0"
    if rule is None:
        raise Refused(
            f"{said}, and nobody says what that means (--unknown-offset apex or mirrored takes one)"
        )
    if apex is None or apex < onset:
        raise Refused(f"{said}, and no apex to take one from")
    offset = apex if rule == "apex" else 2 * apex - onset
    repairs.append(f"{said}, {offset} taken ({rule})")
    return offset
