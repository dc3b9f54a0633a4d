"""Which number in the names of a folder's images counts the frames."""

import re
import unicodedata
from collections import defaultdict
from pathlib import Path

import numpy as np

from mubert_jax.data.names import printable
from mubert_jax.data.searching import PassedOver
from mubert_jax.errors import UserError

UNNUMBERED = "image without a frame number in its name"
UNLIKE = "image named unlike the others of its folder"
_NUMBER = re.compile(r"\d+")
_LARGEST = 2**63 - 1  # records and the index hold int64

Named = tuple[tuple[int, ...], Path]
"""The numbers in the name of an image, and the image."""


def numbered_images(paths: list[Path], passed: PassedOver) -> list[tuple[int, Path]]:
    """Image paths of one folder with their frame numbers, ordered by number, not by name.

    The frame number is the one that tells the images of the folder apart: 5 in `img5.50.jpg` where
    every name ends in 50. Images without a number, and the few whose names are unlike all the
    others (previews, posters, copies), are left out and told to `passed`.

    Raises UserError when no image has a number, two have the same, or the frame number cannot be
    told from the other numbers in the names.
    """
    alike: dict[str, list[Named]] = defaultdict(list)
    left_out = []
    for path in sorted(paths):
        if numbers := _numbers(path):
            alike[_NUMBER.sub("#", _stem(path)).casefold()].append((numbers, path))
        else:
            left_out.append((UNNUMBERED, path))
    if paths and not alike:
        raise UserError(
            f"{printable(paths[0].parent)}: no image has a frame number in its name; "
            "rename them as img1.png, img2.png, ..."
        )
    groups = sorted(alike.values(), key=len, reverse=True)
    others = [path for group in groups[1:] for _, path in group]
    # With more odd names than half of the others, nobody can say which ones are the frames.
    if groups and len(groups[0]) >= 2 * len(others):
        left_out += [(UNLIKE, path) for path in others]
        groups = groups[:1]
    images = [image for group in groups for image in group]
    position = _position(images) if len(groups) == 1 else -1
    ordered = _ordered([(numbers[position], path) for numbers, path in images])
    for kind, path in left_out:
        passed.add(kind, path)
    return ordered


def _ordered(images: list[tuple[int, Path]]) -> list[tuple[int, Path]]:
    numbered: dict[int, Path] = {}
    for number, path in images:
        if number > _LARGEST:
            raise UserError(
                f"{printable(path)}: {number} is too large for a frame number; rename the images"
            )
        if number in numbered:
            raise UserError(
                f"{printable(path.parent)}: {_both(numbered[number], path)} both count as frame "
                f"{number}; keep one clip per folder and one file per frame"
            )
        numbered[number] = path
    return sorted(numbered.items())


def _position(images: list[Named]) -> int:
    """Which number counts the frames, in names that are alike but for their numbers."""
    rows = np.array([numbers for numbers, _ in images], object)
    changing = [i for i, column in enumerate(rows.T) if len(set(column)) > 1]
    telling = [i for i in changing if len(set(rows[:, i])) == len(rows)]
    if len(changing) < 2:
        return changing[0] if changing else -1
    order = sorted(range(len(rows)), key=lambda row: tuple(rows[row]))
    counting = [i for i in telling if max(rows[:, i]) - min(rows[:, i]) == len(rows) - 1]
    if all(_ascending(rows[order, i]) for i in telling) and telling:
        return counting[-1] if counting else telling[-1]
    if len(counting) == 1:
        return counting[0]
    raise UserError(
        f"{printable(images[0][1].parent)}: {len(changing)} numbers change in its names "
        f"({_both(images[0][1], images[-1][1])}) and none can be told to count the frames; "
        "rename them as img1.png, img2.png, ..., one clip per folder"
    )


def _ascending(column: np.ndarray) -> bool:
    return all(a < b for a, b in zip(column, column[1:], strict=False))


def _both(first: Path, second: Path) -> str:
    return f"{printable(first.name)} and {printable(second.name)}"


def _stem(path: Path) -> str:
    return unicodedata.normalize("NFC", path.stem)


def _numbers(path: Path) -> tuple[int, ...]:
    return tuple(int(digits) for digits in _NUMBER.findall(_stem(path)))
