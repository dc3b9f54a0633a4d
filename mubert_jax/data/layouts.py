"""Who is seen in a clip, by the folders that it lies in.

The data sets of this field are recognised by their folders wherever these lie, so that a person has
the same name in unlabelled frames as in labelled pairs.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from mubert_jax.data.clips import Clip, subject_of
from mubert_jax.data.people import data_set
from mubert_jax.errors import UserError


@dataclass(frozen=True)
class Layout:
    """The folders of one data set; patterns are for paths in lower case, "/cropped/sub01/ep02_01f".

    Attributes:
      name: the data set's name.
      subject: the format in which it writes the number of a subject.
      alone: a pattern that only this data set fits, with the number in its group.
      below: a pattern for the number, below a folder with the name of the data set.
    """

    name: str
    subject: str
    alone: str | None
    below: str

    def alone_in(self, path: str) -> str | None:
        """The subject in `path`, if the path shows the data set, too."""
        found = [*re.finditer(self.alone, path)] if self.alone else []
        return self._subject(found[-1]) if found else None

    def below_in(self, path: str) -> str | None:
        """The subject in the part of `path` below the folder with the name of the data set."""
        inner = path[self._named(path) :] if self._named(path) else ""
        found = re.search(self.below, inner)
        return self._subject(found) if found else None

    def names(self, path: str) -> bool:
        """Whether a folder of `path` bears the name of the data set."""
        return self._named(path) is not None

    def _subject(self, found: re.Match[str]) -> str:
        return f"{self.name}/{self.subject.format(int(found[1]))}"

    def _named(self, path: str) -> int | None:
        """Where the innermost folder ends whose name begins with that of the data set."""
        ends = [
            folder.end()
            for folder in re.finditer(r"[^/]+", path)
            if any(data_set(word) == self.name for word in _beginnings(folder[0]))
        ]
        return ends[-1] if ends else None


def _beginnings(folder: str) -> Iterator[str]:
    """`smic`, `smic_all` and `smic_all_cropped` for `smic_all_cropped`."""
    yield from (folder[: gap.start()] for gap in re.finditer(r"[\W_]+", folder))
    yield folder


_EP = r"/sub0*(\d+)/ep\d+_\w+(?=[/.]|$)"
_SUB = r"/sub0*(\d+)(?=[/.]|$)"
LAYOUTS = (
    Layout("casme2", "sub{:02d}", _EP, _SUB),
    # The first CASME has the folders of CASME II: it is told from that only by its own name.
    Layout("casme", "sub{:02d}", None, _SUB),
    Layout("casme3", "spNO.{}", r"/spno\.?0*(\d+)(?=[/_.]|$)", r"/spno\.?0*(\d+)(?=[/_.]|$)"),
    Layout("cas(me)^2", "s{}", None, r"/s?0*(\d+)(?=[/_.]|$)"),
    Layout("mmew", "S{:02d}", r"/s0*(\d+)-\d{2}-\d{3}(?=[/.]|$)", r"/s0*(\d+)(?=[/.-]|$)"),
    Layout("samm", "{:03d}", r"/(\d{3})/\1_\d+(?:_\d+)?(?=[/.]|$)", r"/(\d{3})(?=[/_.]|$)"),
    Layout(
        "smic",
        "s{:02d}",
        r"/s0*(\d+)(?:_(?:ne|po|sur?)_\d+(?=[/.]|$)|/micro/(?:negative|positive|surprise)/|"
        r"/non_micro/)",
        r"/s0*(\d+)(?=[/_.]|$)",
    ),
)
# How many of the folders that the input lies in are looked at, too: with more, a folder that has
# nothing to do with the data is more likely to be taken for a data set's.
_INPUT_FOLDERS = 3
_LIKE_A_SUBJECT = re.compile(
    r"(?:s|sub|subj|subject|p|participant|person|pp|vp|spno)[._ -]?\d+", re.IGNORECASE
)


def known_subject(relative: PurePath, input: Path) -> str | None:
    """Who is seen in a clip of a data set that its folders show, such as "casme2/sub01".

    Args:
      relative: the clip's path below `input`, whose own last folders count, too.
    """
    for folder in dict.fromkeys((input.absolute(), input.resolve())):
        parts = (*folder.parts[1:][-_INPUT_FOLDERS:], *relative.parts)
        path = "/" + "/".join(parts).lower() + "/"
        shown = [(layout, found) for layout in LAYOUTS if (found := layout.alone_in(path))]
        below = [found for layout in LAYOUTS if (found := layout.below_in(path))]
        if agreed := [found for layout, found in shown if layout.names(path)]:
            return agreed[0]
        if shown and (other := [found for found in below if found.startswith("casme/")]):
            return other[0]
        if shown or below:
            return shown[0][1] if shown else below[0]
    return None


def with_subjects(clips: Sequence[Clip], input: Path, folder: int | None = None) -> list[Clip]:
    """The clips with their subjects, taken from their names, which are paths below `input`.

    Without `folder` the subject is that of a known data set, or else the first folder.

    Args:
      folder: the number of the folder in a name that is the subject's, from 1.

    Raises:
      UserError: a first folder, which would be one subject, holds several that are called like
        subjects.
    """
    if folder is not None:
        return [replace(clip, subject=_at(clip, folder, input)) for clip in clips]
    known = [known_subject(PurePath(clip.name), input) for clip in clips]
    plain = [clip.name for clip, subject in zip(clips, known, strict=True) if subject is None]
    if several := subjects_in_one(plain):
        (first, held), *_ = several.items()
        level = PurePath(held[0]).parts
        names = ", ".join(PurePath(name).name for name in held[:3])
        raise UserError(
            f"{input}: {first} would be one subject, but holds {len(held)} folders or files that "
            f"are called like subjects ({names}{', ...' if len(held) > 3 else ''}); say which "
            f"folder is a subject's: --subject-folder={len(level)} for {level[-1]}, 1 for {first}"
        )
    return [
        replace(clip, subject=subject or subject_of(PurePath(clip.name)))
        for clip, subject in zip(clips, known, strict=True)
    ]


def _at(clip: Clip, folder: int, input: Path) -> str:
    parts = PurePath(clip.name).parts
    if not 1 <= folder <= len(parts):
        raise UserError(
            f"--subject-folder={folder}: {clip.name} in {input} lies {len(parts)} folders deep; "
            f"choose 1 to {len(parts)}"
        )
    return parts[folder - 1]


def subjects_in_one(names: Iterable[str]) -> dict[str, list[str]]:
    """First folders that are not called like a subject, but hold several that are.

    Args:
      names: paths of clips.

    Returns:
      First folder -> paths at one depth, sorted.
    """
    held: dict[str, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
    for name in names:
        first, *others = PurePath(name).parts
        for depth, other in enumerate(others, 2):
            if _LIKE_A_SUBJECT.fullmatch(other) and not _LIKE_A_SUBJECT.fullmatch(first):
                held[first][depth].add("/".join(PurePath(name).parts[:depth]))
    found = {}
    for first, by_depth in held.items():
        if several := [paths for _, paths in sorted(by_depth.items()) if len(paths) > 1]:
            found[first] = sorted(several[0])
    return found
