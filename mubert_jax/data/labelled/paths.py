"""The files that a table names, as another computer may have written their names."""

import unicodedata
from functools import cache
from pathlib import Path, PurePosixPath, PureWindowsPath

from mubert_jax.data.labelled.annotation import Refused

RESPELT = "its file's name is written otherwise on the disk (capitals, accents or blanks)"


class NamedFiles:
    """The files below a folder by the names that a table gives them.

    Args:
      folder: what the names are relative to.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._names = cache(_names)

    def find(self, name: str) -> tuple[Path, str]:
        r"""The file, and `RESPELT` where its name is not quite the given one, else "".

        "\" is taken for "/" where that finds a file. What is not found is looked for once more
        without regard to capitals and to how accents and blanks are encoded.

        Raises:
          Refused: no such file, a folder, several that differ in capitals alone, a path of
            another computer.
        """
        ways = dict.fromkeys((name, name.strip("\"'"), _forward(name)))
        paths = [self._folder / way for way in ways]
        if name.startswith("~/"):
            paths.append(Path(name).expanduser())
        for path in paths:
            if _is(path, Path.is_file):
                return path, ""
        for path in paths:
            found = self._respelt(path)
            if len(found) > 1:
                raise Refused(f"{path}: no such file, but {found[0].name} and {found[1].name}")
            if found:
                return found[0], RESPELT
        raise Refused(self._advice(name, paths))

    def exists(self, name: str) -> bool:
        """Whether `find` finds a file."""
        try:
            return bool(name and self.find(name))
        except Refused:
            return False

    def _respelt(self, path: Path) -> list[Path]:
        try:
            parts = path.relative_to(self._folder).parts
        except ValueError:
            return []
        found = [self._folder]
        for part in parts:
            found = [folder / name for folder in found for name in self._spellings(folder, part)]
        return [path for path in found if _is(path, Path.is_file)]

    def _spellings(self, folder: Path, name: str) -> list[str]:
        names = self._names(folder).get(_key(name), [])
        return [name] if name == ".." or name in names else names

    def _advice(self, name: str, paths: list[Path]) -> str:
        if any(_is(path, Path.is_dir) for path in paths):
            return f"{paths[0]}: a folder, not an image"
        parts = PureWindowsPath(name).parts
        if not PureWindowsPath(name).is_absolute() and not name.startswith(("/", "\\")):
            return f"{paths[-1]}: no such file"
        tails = ("/".join(parts[first:]) for first in range(1, len(parts)))
        here = next((tail for tail in tails if _is(self._folder / tail, Path.is_file)), "")
        there = f"; {here} is there below {self._folder}" if here else ""
        return (
            f"{name}: no such file on this computer{there}; give paths relative to the table's "
            "folder or to --input"
        )


def clip_name(name: str) -> str:
    """The name of an image without its suffix, with "/" between its folders."""
    path = PurePosixPath(_forward(name))
    return path.with_suffix("").as_posix() if path.name else name


def _forward(name: str) -> str:
    return name.strip("\"'").replace("\\", "/")


def _key(name: str) -> str:
    """Equal for names that look alike: without capitals, in one form of accents and blanks."""
    shown = "".join(c for c in name if unicodedata.category(c) != "Cf")
    return " ".join(unicodedata.normalize("NFKC", shown.casefold()).casefold().split())


def _names(folder: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    try:
        for path in folder.iterdir():
            found.setdefault(_key(path.name), []).append(path.name)
    except OSError:
        pass
    return {key: sorted(names) for key, names in found.items()}


def _is(path: Path, kind) -> bool:
    try:
        return kind(path)
    except (OSError, ValueError):  # a name that no file can have
        return False
