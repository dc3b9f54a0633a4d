"""Where the frames of every clip lie on the disk."""

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from mubert_jax.data.labelled.annotation import Refused
from mubert_jax.data.video import IMAGE_SUFFIXES, numbered_images
from mubert_jax.errors import UserError

Frames = list[tuple[int, Path]]
"""Frame numbers and files of one folder, ascending."""

_DEEPEST = 12


class ClipFolders:
    """The clip folders of a data set, found at any depth below its input.

    Args:
      input: the folder to search; folders are known by the last parts of their paths, so any
        parent of the clips will do.
      locate: path parts of a folder -> key of the clip or video it holds, or None.
      skipped: names of folders not to look into, in lower case.
      damaged: numbers of frames that are not to be used, by key.
    """

    def __init__(
        self,
        input: Path,
        locate: Callable[[tuple[str, ...]], str | None],
        skipped: Collection[str] = (),
        damaged: Mapping[str, Collection[int]] | None = None,
    ):
        if not input.is_dir():
            raise UserError(f"{input}: no such folder; check --input")
        self._input = input
        self._locate = locate
        self._skipped = set(skipped)
        self._damaged = damaged or {}
        self._frames: dict[Path, Frames] = {}

    @cached_property
    def places(self) -> dict[str, list[Path]]:
        """Folders by key, several where a key is found several times.

        Clip folders are not listed for this, as a video of CAS(ME)3 has thousands of frames; links
        are followed.
        """
        found: dict[str, list[Path]] = {}
        self._search(self._input, found, depth=0)
        return found

    def _search(self, folder: Path, found: dict[str, list[Path]], depth: int) -> None:
        key = self._locate(folder.absolute().parts)
        if key is not None:
            found.setdefault(key, []).append(folder)
            return
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir())
        for name in names:
            if depth < _DEEPEST and name.lower() not in self._skipped and name[0] != ".":
                self._search(folder / name, found, depth + 1)

    def frames(self, keys: Sequence[str]) -> Frames:
        """The frames under the first key that is there; Refused where none is, or it is twice."""
        folders = next((self.places[key] for key in keys if key in self.places), [])
        if not folders:
            raise Refused(f"no folder {' or '.join(keys)} below {self._input}")
        if len(folders) > 1:
            raise Refused(
                f"two folders of one id: {folders[0]} and {folders[1]}; point --input at one"
            )
        if folders[0] not in self._frames:
            self._frames[folders[0]] = _images(folders[0])
        damaged = self.damaged(keys)
        return [frame for frame in self._frames[folders[0]] if frame[0] not in damaged]

    def damaged(self, keys: Sequence[str]) -> set[int]:
        """Numbers of the frames under these keys that are not to be used."""
        return {number for key in keys for number in self._damaged.get(key, ())}


def _images(folder: Path) -> Frames:
    with os.scandir(folder) as entries:
        paths = [
            folder / entry.name
            for entry in entries
            if os.path.splitext(entry.name)[1].lower() in IMAGE_SUFFIXES
            and not entry.name.startswith(".")
        ]
    try:
        images = numbered_images(paths)
    except UserError as error:
        raise Refused(str(error)) from error
    if not images:
        raise Refused(f"no image in {folder}")
    return images
