"""CAS(ME)2: `rawpic/s15/15_0101disgustingteeth/img1.jpg`, or videos of these names, at 30 fps.

The workbook is CAS(ME)^2code_final.xlsx. Its first sheet has no header in most copies: participant,
clip (such as anger1_1), onset, apex, offset, action units, emotion, type and the emotion that was
felt. Two more sheets say which folders these are: "naming rule1" has a row 15, s15, 1 for
participant 1, "naming rule2" a row 0401, anger1 for the code in the names of videos.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from mubert_jax.data.labelled.annotation import Dropped, Refused
from mubert_jax.data.labelled.sheets import (
    OLD,
    ZIP,
    Columns,
    Grid,
    Row,
    find_header,
    plain,
    read_rows,
    read_workbook,
)
from mubert_jax.errors import UserError
from mubert_jax.spotting.annotated import Annotated, annotated, kind_of
from mubert_jax.spotting.long_set import LongSet, Read

_VIDEO = re.compile(r"s?0*(\d{1,3})_(\d{4})\D*.*", re.IGNORECASE)
_CLIP = re.compile(r"(.+?)_\d+")
_COLUMNS: Columns = {
    "subject": ("Participant", "Subject", "Subject No"),
    "clip": ("Filename", "Clip", "Video name", "Expression"),
    "onset": ("Onset", "OnsetFrame"),
    "apex": ("Apex", "ApexFrame"),
    "offset": ("Offset", "OffsetFrame"),
    "action_units": ("AUs", "AU", "Action Units"),
    "emotion": ("Estimated emotion", "Emotion"),
    "kind": ("Expression type", "Type"),
}
_OPTIONAL = ("action_units", "emotion")
_NAMING = "naming rule"


def locate(parts: tuple[str, ...]) -> str | None:
    """The key "15/0101" of `15_0101disgustingteeth`."""
    video = _VIDEO.fullmatch(parts[-1])
    return f"{video[1]}/{video[2]}" if video else None


def named(parts: tuple[str, ...]) -> tuple[str, str]:
    """Subject "s15", and the video's own name."""
    return f"s{locate(parts).partition('/')[0]}", parts[-1]  # pyrefly: ignore[missing-attribute]


def read(sheet: Path) -> Read:
    """What is annotated in the workbook; UserError where its naming rules are missing."""
    start = sheet.read_bytes()[:4] if sheet.is_file() else b""
    if start not in (ZIP, OLD):
        raise UserError(
            f"{sheet}: not the workbook of CAS(ME)2; its sheets 'naming rule1' and 'naming rule2' "
            "are needed, too, so give the .xlsx"
        )
    grids = read_workbook(sheet, start)
    rules = [grid for name, grid in grids.items() if plain(_NAMING) in plain(name)]
    if len(rules) != 2:
        raise UserError(
            f"{sheet}: {len(rules)} sheets called '{_NAMING}'; it takes two, which say what the "
            "folders of participants and videos are called"
        )
    people, codes = _people(sheet, rules), _codes(sheet, rules)
    coded = [name for name in grids if plain(_NAMING) not in plain(name)]
    coded = [name for name in coded if "codefinal" in plain(name)] or coded[:1]
    found, dropped = [], []
    for row in _rows(sheet, coded[0], grids[coded[0]]) if coded else ():
        try:
            if row.problem:
                raise Refused(row.problem)
            found.append(_annotated(row, people, codes, sheet.name))
        except Refused as error:
            name = f"{row.text('subject')} {row.text('clip')}"
            emotion = row.text("emotion").lower()
            dropped.append(Dropped(name, "", row.number, emotion, str(error), True))
    return found, dropped


def _annotated(
    row: Row, people: Mapping[str, str], codes: Mapping[str, str], sheet: str
) -> Annotated:
    who, clip = row.identifier("subject"), _CLIP.fullmatch(row.identifier("clip"))
    video = clip and codes.get(plain(clip[1]))
    if who not in people or not video:
        raise Refused(
            f"participant {who!r} and clip {row.text('clip')!r} are not in the naming rules"
        )
    return annotated(row, f"{people[who]}/{video}", kind_of(row.text("kind")), sheet)


def _rows(sheet: Path, name: str, grid: Grid) -> list[Row]:
    """By the names of the columns, or in the published order where there are none."""
    if not find_header(grid, _COLUMNS, _OPTIONAL).missing:
        return read_rows(sheet, _COLUMNS, _OPTIONAL, name, with_problems=True)
    rows = []
    for number, line in grid.lines.items():
        cells = dict(zip(_COLUMNS, line, strict=False))
        if len(line) >= 2 and any(str(cell).strip() for cell in line):
            rows.append(Row(number, cells))
    return rows


def _people(sheet: Path, rules: list[Grid]) -> dict[str, str]:
    """Participant -> the number in the names of folders."""
    for grid in rules:
        found = {}
        for line in grid.lines.values():
            cells = [_whole(cell) for cell in line]
            folder = next((c[1:] for c in cells if re.fullmatch(r"[sS]\d+", c)), "")
            numbers = [cell for cell in cells if cell.isdecimal()]
            if folder and numbers:
                found[str(int(numbers[-1]))] = str(int(folder))
        if found:
            return found
    raise UserError(f"{sheet}: no row such as 15, s15, 1 in its sheet 'naming rule1'")


def _codes(sheet: Path, rules: list[Grid]) -> dict[str, str]:
    """The name of a video, such as "anger1" -> the code in the names of folders, "0401"."""
    for grid in rules:
        found = {}
        for line in grid.lines.values():
            cells = [_whole(cell) for cell in line]
            code = next((c for c in cells if re.fullmatch(r"\d{3,4}", c)), "")
            name = next((c for c in cells if re.fullmatch(r"[a-zA-Z]{2,}\s*\d*", c)), "")
            if code and name:
                found[plain(name)] = f"{int(code):04d}"
        if found:
            return found
    raise UserError(f"{sheet}: no row such as 0401, anger1 in its sheet 'naming rule2'")


def _whole(cell: object) -> str:
    return str(cell).strip().removesuffix(".0")


SET = LongSet(
    name="casme2sq",
    title="CAS(ME)2",
    fps=30.0,
    example="s15/15_0101disgustingteeth/img1.jpg",
    locate=locate,
    named=named,
    read=read,
    sheets=(("casme2?codefinal|^codefinal",),),
    skipped=("selectedpic", "cropped"),
)
