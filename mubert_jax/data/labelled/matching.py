"""Annotated frame numbers against the frames on the disk."""

from mubert_jax.data.labelled.annotation import NO_MOVEMENT, Annotation, LeftOut, Refused
from mubert_jax.data.labelled.clips import LabelledClip
from mubert_jax.data.labelled.folders import Frames

APEX_CHOICES = ("midpoint", "auto")
_LONGEST_SECONDS = 10.0
_UNUSUAL_SECONDS = 2.0


def match(
    annotation: Annotation,
    frames: Frames,
    fps: float,
    label: int,
    class_name: str,
    apex: str | None,
) -> LabelledClip:
    """The clip with its onset and apex on the disk, and what had to be mended for that.

    - Onset or apex not on the disk: the nearest frame on it inside the clip, at most half the way
      between the two off.
    - Offset before the onset, or more than 10 s after it: unknown.
    - No apex, or one after the offset: by `apex`, where that is given.

    Args:
      annotation: the clip.
      frames: of its folder.
      fps: frames a second.
      label, class_name: its class.
      apex: "midpoint", "auto" or None: how to find an apex that is not annotated.

    Raises:
      LeftOut: no apex, and `apex` is None.
      Refused: no onset, apex before the onset or too late, no frame on the disk.
    """
    repairs: list[str] = []
    notes = list(annotation.notes)
    numbers = [number for number, _ in frames]
    onset = _onset(annotation, numbers)
    offset = annotation.offset
    if offset is not None and not 0 <= offset - onset <= _LONGEST_SECONDS * fps:
        repairs.append(f"offset {offset} left out, the onset is {onset}")
        offset = None
    peak = _peak(annotation, onset, offset, fps, apex, repairs)
    end = peak if peak is not None else offset
    if not any(onset <= number <= max(end, offset or 0) for number in numbers):
        raise Refused(
            f"none of the frames {onset} to {max(end, offset or 0)} is on the disk, "
            f"{frames[0][1].parent} holds {numbers[0]} to {numbers[-1]}"
        )
    if onset not in numbers:
        onset = _moved("onset", onset, (onset, onset + (end - onset) // 2), numbers, repairs)
    files = dict(frames)
    later = tuple((n, path) for n, path in frames if onset < n <= (offset or end))
    if peak is None:
        if not later:
            raise Refused(f"no frame on the disk after the onset {onset}, up to {offset}")
        if apex == "midpoint":
            peak = min(later, key=lambda frame: abs(2 * frame[0] - onset - offset))[0]
        source = apex
    else:
        source = "annotated"
        if peak not in numbers:
            reach = max(1, (peak - onset) // 2)
            last = peak + reach if offset is None else min(offset, peak + reach)
            span = (max(onset + 1, peak - reach), last)
            peak = _moved("apex", peak, span, numbers, repairs)
            source = "nearest"
    if peak == onset:
        notes.append(NO_MOVEMENT)
    if offset is not None and offset not in numbers:
        notes.append(f"offset {offset} is not on the disk")
    if offset is not None and offset - onset > _UNUSUAL_SECONDS * fps:
        notes.append(f"{offset - onset + 1} frames are long for a micro-expression")
    return LabelledClip(
        annotation,
        label,
        class_name,
        fps,
        onset=(onset, files[onset]),
        apex=None if peak is None else (peak, files[peak]),
        candidates=later if peak is None else (),
        apex_source=source,
        offset=-1 if offset is None else offset,
        repairs=tuple(repairs),
        notes=tuple(notes),
    )


def _onset(annotation: Annotation, numbers: list[int]) -> int:
    if annotation.onset is None:
        raise Refused("no onset annotated")
    if annotation.onset == 0 and 0 not in numbers:
        raise Refused("onset 0 is not on the disk, so none was annotated")
    return annotation.onset


def _peak(annotation, onset, offset, fps, apex, repairs) -> int | None:
    """The annotated apex if it can be used; None where it is to be found from the offset."""
    peak = annotation.apex
    if peak is not None and peak < onset:
        raise Refused(f"apex {peak} before onset {onset}")
    wrong = None
    if peak is not None and offset is not None and peak > offset:
        wrong = f"apex {peak} after offset {offset}"
    elif peak is not None and peak - onset > _LONGEST_SECONDS * fps:
        wrong = f"apex {peak} is {(peak - onset) / fps:.0f} s after onset {onset}"
    if peak is not None and wrong is None:
        return peak
    if apex is None:
        if wrong is None:
            raise LeftOut("no apex annotated (--apex midpoint or auto would find one)")
        raise Refused(f"{wrong} (--apex midpoint or auto would find another)")
    if offset is None:
        raise Refused(f"{wrong or 'no apex annotated'}, and no usable offset to find one")
    if wrong is not None:
        repairs.append(f"{wrong}, {apex} taken")
    return None


def _moved(what: str, frame: int, span: tuple[int, int], numbers, repairs: list[str]) -> int:
    inside = [number for number in numbers if span[0] <= number <= span[1]]
    if not inside:
        raise Refused(f"{what} {frame} is not on the disk, nor any frame of {span[0]} to {span[1]}")
    nearest = min(inside, key=lambda number: abs(number - frame))
    repairs.append(f"{what} {frame} is not on the disk, {nearest} taken")
    return nearest
