"""Finding files below a folder, links included, and counting what is passed over."""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from mubert_jax.data.names import printable
from mubert_jax.data.video import IMAGE_SUFFIXES, VIDEO_SUFFIXES

_FOREIGN = re.compile(
    r"\..*|~.*|[@#$][^\W\d].*|__macosx|recycle[dr]|lost\+found|system volume information"
    r"|network trash folder|temporary items|thevolumesettingsfolder|found\.\d{3}|__pycache__"
    r"|(eh)?thumbs(_vista)?\.db|desktop\.ini|icon\r|[_-]?thumb(nail)?s?",
    re.IGNORECASE,
)
_KINDS = {
    "HEIC image": (".heic .heif .hif", "convert to PNG"),
    "camera raw file": (".arw .cr2 .cr3 .dng .nef .orf .raf .raw .rw2 .srw", "convert to PNG"),
    "GIF": (".gif", "extract its frames to PNG"),
    "archive": (".7z .bz2 .gz .rar .tar .tgz .xz .zip .zst", "unpack it if it holds clips"),
    "table": (".csv .ods .tsv .xls .xlsm .xlsx", ""),
    "text or document": (
        ".cfg .doc .docx .htm .html .ini .json .log .m .md .pdf .ppt .pptx .py .rtf .tex .toml .txt"
        " .xml .yaml .yml",
        "",
    ),
    "audio file": (".aac .flac .m4a .mp3 .ogg .opus .wav .wma", ""),
    "array file": (".bin .dat .h5 .hdf5 .mat .npy .npz .pickle .pkl .pt .pth .safetensors", ""),
}
_KIND_OF = {suffix: kind for kind, (all, _) in _KINDS.items() for suffix in all.split()}
_KIND_OF |= dict.fromkeys(VIDEO_SUFFIXES, "video") | dict.fromkeys(IMAGE_SUFFIXES, "image")
_ADVICE = {kind: advice for kind, (_, advice) in _KINDS.items()} | {
    "video": "`mubert prepare video` reads it",
    "image": "`mubert prepare frames` reads it",
}
_LISTED = 20  # kinds in a message, to keep it on one screen

LINK_AGAIN = "link to a folder or file that is read already"
SYSTEM_FOLDER = "hidden, system or thumbnail folder"
SYSTEM_FILE = "hidden or system file"


class PassedOver:
    """What a search did not take, counted by kind, each kind with its first example.

    Args:
      root: the folder that examples are named relative to, if they are in it.
    """

    def __init__(self, root: Path | None = None):
        self._root = root
        self._found: dict[str, tuple[int, str]] = {}

    def add(self, kind: str, path: Path) -> None:
        """One more of `kind`, a noun in the singular."""
        root = self._root
        shown = path.relative_to(root) if root is not None and root in path.parents else path
        number, example = self._found.get(kind, (0, printable(shown)))
        self._found[kind] = number + 1, example

    def add_file(self, path: Path) -> None:
        """One more file, whose suffix tells its kind."""
        suffix = path.suffix.lower()
        known = 1 < len(suffix) <= 6 and suffix[1:].isalnum() and not suffix[1:].isdigit()
        other = f"{suffix} file" if known else "other file"
        self.add(_KIND_OF.get(suffix, other), path)

    def update(self, other: "PassedOver") -> None:
        """Adds what another search passed over."""
        for kind, (number, example) in other._found.items():
            mine, first = self._found.get(kind, (0, example))
            self._found[kind] = mine + number, first

    def words(self) -> list[str]:
        """A line per kind, largest first, like "3 x HEIC image (s1/a.HEIC): convert to PNG"."""
        ordered = sorted(self._found.items(), key=lambda item: (-item[1][0], item[0]))
        return [
            f"{number:,} x {kind} ({example})"
            + (f": {advice}" if (advice := _ADVICE.get(kind)) else "")
            for kind, (number, example) in ordered
        ]

    def clause(self) -> str:
        """The end of a sentence; empty where nothing was passed over."""
        return f"; passed over: {', '.join(self.words()[:_LISTED])}" if self._found else ""

    def lines(self) -> list[str]:
        """The end of a summary; nothing where nothing was passed over."""
        words = self.words()
        lines = ["Passed over, with the first of each kind:"] if words else []
        lines += [f"  {line}" for line in words[:_LISTED]]
        if len(words) > _LISTED:
            lines.append(f"  and {len(words) - _LISTED} more kinds (all in report.md)")
        return lines


def foreign(name: str) -> bool:
    """Whether a file or folder of this name is hidden or left by an operating system or viewer."""
    return _FOREIGN.fullmatch(name) is not None


def folders(
    input: Path, passed: PassedOver, enter: Callable[[Path], bool] = lambda folder: True
) -> Iterator[tuple[Path, list[Path]]]:
    """Yields (folder, its files) for `input` and every folder below it, in a fixed order.

    Links are followed, and each folder is visited once, under its own name rather than a link's.

    Args:
      input: where to begin.
      passed: is told of foreign files and folders, broken links and what may not be read.
      enter: whether to list a given folder.
    """
    own, linked = [(input, os.path.realpath(input))], []
    visited = set()
    while own or linked:
        folder, real = own.pop() if own else linked.pop(0)
        if real in visited:
            passed.add(LINK_AGAIN, folder)
            continue
        visited.add(real)
        if not enter(folder):
            continue
        files, below = [], []
        for path, kind in _entries(folder, passed):
            if kind == "file":
                files.append(path)
            elif kind == "folder":
                below.append((path, os.path.join(real, path.name)))
            else:
                linked.append((path, os.path.realpath(path)))
        own += reversed(below)
        linked.sort()
        yield folder, files


def files_in(folder: Path, passed: PassedOver) -> list[Path]:
    """The files of one folder by name; `passed` is told of foreign and unreadable ones."""
    return [path for path, kind in _entries(folder, passed) if kind == "file"]


def _entries(folder: Path, passed: PassedOver) -> Iterator[tuple[Path, str]]:
    """(path, "file", "folder" or "link" to a folder) by name, without foreign ones."""
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        passed.add(f"folder that cannot be read, {error.strerror}", folder)
        return
    for entry in entries:
        path = folder / entry.name
        try:
            is_folder, is_file = entry.is_dir(), entry.is_file()
        except OSError:
            is_folder = is_file = False
        if foreign(entry.name):
            passed.add(SYSTEM_FOLDER if is_folder else SYSTEM_FILE, path)
        elif is_folder:
            yield path, "link" if entry.is_symlink() else "folder"
        elif is_file:
            yield path, "file"
        else:
            kind = "broken link" if entry.is_symlink() else "special file"
            passed.add(kind, path)


def files_with(
    suffixes: frozenset[str], input: Path, passed: PassedOver
) -> Iterator[tuple[Path, list[Path]]]:
    """Yields (folder, its files with one of `suffixes`) as `folders` does; counts other files."""
    for folder, files in folders(input, passed):
        wanted = []
        for path in files:
            if path.suffix.lower() in suffixes:
                wanted.append(path)
            else:
                passed.add_file(path)
        if wanted:
            yield folder, wanted
