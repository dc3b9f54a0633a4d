"""Where the frames of every clip lie on the disk."""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path

from mubert_jax.data.labelled.annotation import Refused
from mubert_jax.data.labelled.sheets import SHEET_SUFFIXES
from mubert_jax.data.names import printable
from mubert_jax.data.numbering import numbered_images
from mubert_jax.data.searching import PassedOver, files_in, folders
from mubert_jax.data.video import IMAGE_SUFFIXES, frame_number
from mubert_jax.errors import UserError

Frames = list[tuple[int, Path]]
"""Frame numbers and files of one folder, ascending."""


class ClipFolders:
    """The clip folders of a data set, found at any depth below its input.

    Args:
      input: the folder to search; folders are known by the last parts of their paths, so any
        parent of the clips will do.
      locate: path parts of a folder -> key of the clip or video it holds, or None.
      skipped: names of folders not to look into, in lower case.
      damaged: numbers of frames that are not to be used, by key.

    Attributes:
      passed: what was found besides, in the folders that were looked into.
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
        self.passed = PassedOver(input)
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
        for _, files in folders(self._input, self.passed, partial(self._enter, found)):
            for path in files:
                if path.suffix.lower() in IMAGE_SUFFIXES:
                    self.passed.add("image outside the folders of clips", path)
                elif path.suffix.lower() not in SHEET_SUFFIXES:
                    self.passed.add_file(path)
        return found

    def _enter(self, found: dict[str, list[Path]], folder: Path) -> bool:
        key = self._locate(folder.absolute().parts)
        if key is not None:
            found.setdefault(key, []).append(folder)
            return False
        return folder == self._input or folder.name.lower() not in self._skipped

    def frames(self, keys: Sequence[str]) -> Frames:
        """The frames under the first key that is there; Refused where none is, or it is twice."""
        places = next((self.places[key] for key in keys if key in self.places), [])
        if not places:
            raise Refused(f"no folder {' or '.join(keys)} below {self._input}")
        if len(places) > 1:
            raise Refused(
                f"two folders of one id: {places[0]} and {places[1]}; point --input at one"
            )
        if places[0] not in self._frames:
            self._frames[places[0]] = self._images(places[0])
        damaged = self.damaged(keys)
        return [frame for frame in self._frames[places[0]] if frame[0] not in damaged]

    def damaged(self, keys: Sequence[str]) -> set[int]:
        """Numbers of the frames under these keys that are not to be used."""
        return {number for key in keys for number in self._damaged.get(key, ())}

    def _images(self, folder: Path) -> Frames:
        paths = []
        for path in files_in(folder, self.passed):
            if path.suffix.lower() in IMAGE_SUFFIXES:
                paths.append(path)
            else:
                self.passed.add_file(path)
        try:
            images = numbered_images(paths, self.passed)
        except UserError as error:
            raise Refused(str(error)) from error
        if not images:
            raise Refused(f"no image in {printable(folder)}")
        taken = dict(images)
        for path in sorted(set(paths) - set(taken.values())):
            if (number := frame_number(path)) in taken:
                names = " and ".join(sorted((path.name, taken[number].name)))
                raise Refused(
                    f"{folder}: {names} both count as frame {number}; keep one file a frame"
                )
        return images
