"""SAMM Long Videos: `SAMM_longvideos/006_1/006_1_0001.jpg`, 200 frames per second, 32 subjects.

The sheet is SAMM_LongVideos_V3_Release.xlsx (or V1, V2), its header below a preamble of 9 rows:
Subject, Filename (006_1_2, the second expression of video 006_1), Onset, Apex, Offset, Type ("Micro
- 1/2" or "Macro"). It tells no emotions.
"""

import re
from pathlib import Path

from mubert_jax.data.labelled.annotation import Refused
from mubert_jax.data.labelled.sheets import Columns, Row
from mubert_jax.spotting.annotated import Annotated, annotated, kind_of
from mubert_jax.spotting.long_set import LongSet, Read, read_sheet

_VIDEO = re.compile(r"(\d{3})_(\d+)", re.ASCII)
_CLIP = re.compile(r"0*(\d{1,3})_(\d+)_(\d+)", re.ASCII)
_COLUMNS: Columns = {
    "subject": ("Subject",),
    "clip": ("Filename", "File name"),
    "onset": ("Onset", "Onset Frame"),
    "apex": ("Apex", "Apex Frame"),
    "offset": ("Offset", "Offset Frame"),
    "kind": ("Type", "Micro"),
    "emotion": ("Estimated Emotion", "Emotion"),
}


def locate(parts: tuple[str, ...]) -> str | None:
    """The key "006_1" of a video's folder."""
    return parts[-1] if _VIDEO.fullmatch(parts[-1]) else None


def named(parts: tuple[str, ...]) -> tuple[str, str]:
    """Subject "006" and video "006_1"."""
    return parts[-1].partition("_")[0], parts[-1]


def read(sheet: Path) -> Read:
    """What is annotated in the sheet."""
    return read_sheet(sheet, _COLUMNS, ("subject", "emotion"), _annotated, "FACS_Movement_Only")


def _annotated(row: Row, sheet: str) -> Annotated:
    clip, subject = _CLIP.fullmatch(row.identifier("clip")), row.identifier("subject")
    if not clip:
        raise Refused(f"clip {row.text('clip')!r} is not of SAMM Long Videos (such as 006_1_2)")
    if subject and (not subject.isdecimal() or int(subject) != int(clip[1])):
        raise Refused(f"clip {row.text('clip')} is not of subject {subject}")
    key = f"{int(clip[1]):03d}_{clip[2]}"
    return annotated(row, key, kind_of(row.text("kind")), sheet)


SET = LongSet(
    name="samm_lv",
    title="SAMM Long Videos",
    fps=200.0,
    example="006_1/006_1_0001.jpg",
    locate=locate,
    named=named,
    read=read,
    sheets=(("samm.*long",),),
)
