"""CAS(ME)3 part A, whole videos: `spNO.1/a/color/175.jpg`, 30 frames per second, 1280x720.

There is one sheet of both kinds without emotions, CAS(ME)3_part_A_v2.xls, with a column Expression
type, and one per kind with them: cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx and
cas(me)3_part_A_MaE_label_JpgIndex_v2_emotion.xlsx, whose names tell the kind. Two are read where
both are there. Many folders begin behind frame 1.
"""

import re
from pathlib import Path

from mubert_jax.data.labelled.annotation import Refused
from mubert_jax.data.labelled.sheets import Columns, Row, plain
from mubert_jax.spotting.annotated import Annotated, annotated, kind_of
from mubert_jax.spotting.intervals import MACRO, MICRO
from mubert_jax.spotting.long_set import LongSet, Read, read_sheet

_SUBJECT = re.compile(r"(?:spNO\.?)?0*(\d+)", re.IGNORECASE)
_VIDEO = re.compile(r"[a-z]", re.IGNORECASE)
_COLUMNS: Columns = {
    "subject": ("Subject", "sub"),
    "clip": ("Filename", "seq", "video"),
    "onset": ("Onset", "OnsetFrame"),
    "apex": ("Apex", "ApexFrame"),
    "offset": ("Offset", "OffsetFrame"),
    "kind": ("Expression type", "Micro/Macro", "Type"),
    "emotion": ("emotion", "Estimated Emotion"),
}


def locate(parts: tuple[str, ...]) -> str | None:
    """The key "1/a" of a video's colour folder."""
    if len(parts) < 3 or parts[-1].lower() != "color" or not _VIDEO.fullmatch(parts[-2]):
        return None
    subject = _SUBJECT.fullmatch(parts[-3])
    return f"{subject[1]}/{parts[-2].lower()}" if subject else None


def named(parts: tuple[str, ...]) -> tuple[str, str]:
    """Subject "spNO.1" and video "a"."""
    subject, video = str(locate(parts)).split("/")
    return f"spNO.{subject}", video


def read(sheet: Path) -> Read:
    """What is annotated in one of the sheets."""
    return read_sheet(sheet, _COLUMNS, ("kind", "emotion"), _annotated)


def _annotated(row: Row, sheet: str) -> Annotated:
    subject, video = _SUBJECT.fullmatch(row.identifier("subject")), row.identifier("clip").lower()
    if not subject or not _VIDEO.fullmatch(video):
        raise Refused(
            f"subject {row.text('subject')!r} and video {row.text('clip')!r} are not of CAS(ME)3 "
            "(such as spNO.1 and a)"
        )
    kind = kind_of(row.text("kind")) if row.text("kind") else _kind_of_sheet(sheet)
    return annotated(row, f"{subject[1]}/{video}", kind, sheet)


def _kind_of_sheet(sheet: str) -> str:
    name = plain(sheet)
    for kind, told in ((MACRO, "maelabel"), (MICRO, "melabel")):
        if told in name:
            return kind
    raise Refused("nobody says whether it is micro or macro: neither a column nor the file's name")


SET = LongSet(
    name="casme3_long",
    title="CAS(ME)3 part A",
    fps=30.0,
    example="spNO.1/a/color/175.jpg",
    locate=locate,
    named=named,
    read=read,
    sheets=(("partamelabel", "partamaelabel"), (r"partav\d",)),
    skipped=("depth",),
)
