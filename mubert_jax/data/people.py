"""Which names are one person's, and which are one class's, however they are spelt.

Tables and folders spell one name in several ways: `01` and `1`, `S03` and `s03`, full-width digits,
blanks that do not show. Folds, contamination, reports and tables all compare names by `plain`.
"""

import functools
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

SYNTHETIC = "made-up "
"""The beginning of the spaces of synthetic people, also in weights: they are nobody else."""

FRAMES = "frames "
"""The beginning of the spaces of unlabelled frames; a fingerprint follows."""

PROBABILITY = "probability_"
"""The beginning of the columns of tables that hold the probability of a class; its name follows."""

KNOWN = {"casme2": "sub", "casme3": "spno", "cas(me)^2": "s", "mmew": "s", "samm": "", "smic": "s"}
"""Data sets whose subjects are numbered, and what their owners write before the number."""

_ALIASES = {
    "casmeii": "casme2",
    "casmesq": "cas(me)^2",
    "casmesquared": "cas(me)^2",
    "casmeiii": "casme3",
    "smichs": "smic",
    "smichse": "smic",
}
# Drawn as nothing or as a blank, beyond what Unicode classes as such.
_UNSEEN = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\ufe00-\ufe0f]")
_DASHES = re.compile("[\u2010-\u2015\u2043\u2212]")
_WHOLE = re.compile(r"(\d+)\.0+")
_NUMBERED = re.compile(r"([^\W\d_]*)(\d.*)")
_BEFORE_NUMBERS = ("subject", "participant", "person", "patient", "proband", "spno", "id")
# Letters of other scripts that are drawn as these Latin ones.
_DRAWN_ALIKE = str.maketrans("асеіјорѕухѵαικοντυ", "aceijopsyxvaikovtu")
_SIGNS = re.compile(r"(?:(?<=(\d))|)[\W_]+(?:(?=(\d))|)")
_LISTED = 5  # rows in one message; the rest is "..."


@functools.lru_cache(maxsize=65536)
def plain(name: str) -> str:
    """The normal form of a person's or a class's name: two names with one form are one.

    Capitals, blanks (except between two numbers), forms of a letter or digit (NFKC), zeros before a
    number and ".0" behind a whole one do not count.
    """
    name = visible(unicodedata.normalize("NFKC", name))
    name = unicodedata.normalize("NFKC", name.casefold())
    name = "".join(str(unicodedata.decimal(sign, sign)) for sign in name)
    name = unicodedata.normalize("NFKC", re.sub(r"(?<!\d) | (?!\d)", "", name))
    if whole := _WHOLE.fullmatch(name):
        name = whole[1]
    return re.sub(r"\d+", lambda digits: digits[0].lstrip("0") or "0", name)


def visible(name: str) -> str:
    """The name without invisible characters; any blanks are one space, any dash is a hyphen."""
    signs = _DASHES.sub("-", _UNSEEN.sub("", name))
    shown = (
        " " if sign.isspace() else sign
        for sign in signs
        if sign.isspace() or unicodedata.category(sign) not in ("Cc", "Cf")
    )
    return " ".join("".join(shown).split())


@functools.lru_cache(maxsize=4096)
def data_set(name: str) -> str:
    """The normal form of a data set's name: "CASME II", "casme2" and "CASME_2" are one.

    CAS(ME)^2 is another data set than CASME II.
    """
    name = plain(name)
    letters = re.sub(r"[\W_]", "", name) or name
    if letters == "casme2" and re.search(r"[(^]", name):
        return "cas(me)^2"
    return _ALIASES.get(letters, letters)


@dataclass(frozen=True)
class Person:
    """Somebody, by a data set and a name that is theirs alone in it.

    Attributes:
      space: what the name is unique in: the normal form of a data set, `SYNTHETIC` and a seed, or
        `FRAMES` and a fingerprint.
      name: its normal form; in a data set of `KNOWN` the number alone.
    """

    space: str
    name: str

    @classmethod
    def of(cls, dataset: str, subject: str) -> "Person":
        """The person `subject` of `dataset`; the subject may bear its data set ("casme2/sub01").

        A data set of `KNOWN` that the subject bears takes precedence over `dataset`, which may be
        the name of a table.
        """
        borne = data_set(subject.rpartition("/")[0])
        dataset = borne if borne in KNOWN else dataset
        space, name = data_set(dataset), _own(dataset, subject)
        return cls(space, _number(name) or loose(name) if space in KNOWN else plain(name))

    @classmethod
    def elsewhere(cls, space: str, subject: str) -> "Person":
        """The person `subject` of a space of `SYNTHETIC` or `FRAMES`, which is not a data set."""
        return cls(space, plain(subject))

    @property
    def id(self) -> str:
        """The name as the owners write it, in normal form: "sub1" for the 1 of CASME II."""
        return KNOWN.get(self.space, "") * self.name.isdecimal() + self.name


def _own(dataset: str, subject: str) -> str:
    """The subject without its data set."""
    head, _, name = subject.rpartition("/")
    return name if head and data_set(head) == data_set(dataset) else subject


def called(name: str, subjects: Iterable[str]) -> list[str]:
    """The `subjects` that `name` may mean, with its data set ("casme2/sub01") or without."""
    subjects = list(subjects)
    whole = [subject for subject in subjects if plain(subject) == plain(name)]
    own = [subject for subject in subjects if plain(subject.rpartition("/")[2]) == plain(name)]
    numbered = [
        subject
        for subject in subjects
        if (dataset := subject.rpartition("/")[0])
        and Person.of(dataset, subject) == Person.of(dataset, name)
    ]
    return whole or (numbered if plain(name).isdecimal() else own) or own or numbered


def _number(name: str) -> str | None:
    """The number of "sub01", "s1", "spNO.1" or "1"; None for another kind of name."""
    parts = _NUMBERED.fullmatch(loose(name))
    if parts and parts[2].isdecimal():
        if any(word.startswith(parts[1]) for word in _BEFORE_NUMBERS):
            return parts[2]
    return None


def loose(name: str) -> str:
    """`plain` without signs between letters ("s_03" is "s3"); letters that look alike are one."""
    name = plain(name).translate(_DRAWN_ALIKE)
    return _SIGNS.sub(lambda signs: "-" if signs[1] and signs[2] else "", name)


def alike(one: str, other: str) -> bool:
    """Whether two names may be one person's though their forms differ: "sub01" and "1"."""
    one, other = loose(one), loose(other)
    first, second = _NUMBERED.fullmatch(one), _NUMBERED.fullmatch(other)
    if one == other or first is None or second is None:
        return one == other
    (letters, number), (others, another) = first.groups(), second.groups()
    return number == another and (letters.startswith(others) or others.startswith(letters))


def might_be_called(name: str) -> set[str]:
    """The `loose` forms of names that are `alike` this one and that people give."""
    name = loose(name)
    parts = _NUMBERED.fullmatch(name)
    if not parts:
        return {name}
    letters, number = parts.groups()
    longer = [word for word in (*_BEFORE_NUMBERS, letters) if word.startswith(letters)]
    return {
        word[:length] + number
        for word in longer
        for length in range(len(word) + 1)
        if length >= len(letters) or word == letters
    } | {letters[:length] + number for length in range(len(letters))}


@dataclass(frozen=True)
class Merged:
    """Names in one spelling each.

    Attributes:
      names: the name of every row.
      several: chosen spelling -> each spelling -> its rows, for names with several.
    """

    names: list[str]
    several: dict[str, dict[str, list[int]]]


def merged(
    names: Sequence[str], key: Callable[[str], object] = plain, rows: Sequence[int] | None = None
) -> Merged:
    """One spelling, the commonest or else the first, for all names with one `key`.

    Args:
      rows: the numbers of the rows for `Merged.several`; their places if None.
    """
    rows = range(len(names)) if rows is None else rows
    spelt: dict[object, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for name, row in zip(names, rows, strict=True):
        spelt[key(name)][name].append(row)
    chosen = {}
    for form, spellings in spelt.items():
        counts: Counter[str] = Counter()
        for name, where in spellings.items():
            counts[visible(name)] += len(where)
        chosen[form] = counts.most_common(1)[0][0]
    several = {chosen[form]: dict(of) for form, of in spelt.items() if len(of) > 1}
    return Merged([chosen[key(name)] for name in names], several)


@dataclass(frozen=True)
class MergedPeople:
    """The data set and the subject of every row, with one spelling each, and what was merged.

    Attributes:
      notes: which spellings were taken for one.
      warnings: which were not, though they may be one person's.
    """

    datasets: list[str]
    subjects: list[str]
    notes: list[str]
    warnings: list[str]


def merged_people(
    datasets: Sequence[str], subjects: Sequence[str], rows: Sequence[int] | None = None
) -> MergedPeople:
    """One spelling for every data set and for every person in it.

    Args:
      datasets, subjects: one of each per row; a subject may bear its data set ("casme2/sub01"), and
        where one does, all subjects of the set do in the result.
      rows: the numbers of the rows for messages; if None, messages say how many clips there are.
    """
    places = range(len(subjects)) if rows is None else rows
    sets = merged(datasets, data_set, places)
    notes = [_one("data sets", spelt, name, rows) for name, spelt in sets.several.items()]
    names, warnings = list(subjects), []
    for dataset in dict.fromkeys(sets.names):
        of_set = [i for i, name in enumerate(sets.names) if name == dataset]
        own = [_own(dataset, subjects[i]) for i in of_set]
        found = merged(
            own, lambda name, dataset=dataset: Person.of(dataset, name), [places[i] for i in of_set]
        )
        borne = f"{dataset}/" if own != [subjects[i] for i in of_set] else ""
        for i, name in zip(of_set, found.names, strict=True):
            names[i] = borne + name
        notes += [_one("subjects", of, name, rows) for name, of in found.several.items()]
        warnings += _alike(dataset, found.names, [places[i] for i in of_set], rows)
    return MergedPeople(sets.names, names, notes, warnings)


def merged_classes(
    names: Sequence[str], rows: Sequence[int] | None = None
) -> tuple[list[str], list[str]]:
    """Class names (or labels) in one spelling each, and notes on which were taken for one.

    Args:
      rows: the row numbers of labels, for the notes.
    """
    found = merged(names, plain, rows)
    notes = []
    for name, spelt in found.several.items():
        listed = " and ".join(map(repr, spelt)) if rows is None else _listed(spelt, rows)
        notes.append(f"labels {listed} are taken for one, {name!r}")
    return found.names, notes


def _one(
    what: str, spelt: Mapping[str, Sequence[int]], name: str, rows: Sequence[int] | None
) -> str:
    listed = _listed(spelt, rows)
    return f"{what} {listed} are taken for one, {name!r}"


def _listed(spelt: Mapping[str, Sequence[int]], rows: Sequence[int] | None) -> str:
    *first, last = (f"{name!r} ({_rows(where, rows)})" for name, where in spelt.items())
    return f"{', '.join(first)} and {last}"


def _rows(where: Sequence[int], rows: Sequence[int] | None) -> str:
    if rows is None:
        return f"{len(where)} clip" + "s" * (len(where) > 1)
    listed = ", ".join(map(str, where[:_LISTED])) + ", ..." * (len(where) > _LISTED)
    return f"row{'s' * (len(where) > 1)} {listed}"


def _alike(
    dataset: str, names: Sequence[str], where: Sequence[int], rows: Sequence[int] | None
) -> list[str]:
    """Warnings about names that may be one person's."""
    rows_of: dict[str, list[int]] = defaultdict(list)
    by_number: dict[str, list[str]] = defaultdict(list)
    for name, row in zip(names, where, strict=True):
        rows_of[name].append(row)
    for name in rows_of:
        parts = _NUMBERED.fullmatch(loose(name))
        by_number[parts[2] if parts else loose(name)].append(name)
    warnings = []
    for group in by_number.values():
        doubtful = [
            name for name in group if any(alike(name, other) for other in group if other != name)
        ]
        if doubtful:
            listed = _listed({name: rows_of[name] for name in doubtful}, rows)
            warnings.append(
                f"subjects {listed} of {dataset} are taken for {len(doubtful)} people; "
                "if they are one, spell them alike"
            )
    return warnings
