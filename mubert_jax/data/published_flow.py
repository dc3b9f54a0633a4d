"""Optical flow in the layout in which it is published: `SUBJECT/u_test/LABEL/NAME.png`.

STSTNet (Liong et al., 2019), HTNet (Wang et al., 2024) and CausalNet (2025) give away the flow of
the composite of MEGC2019 in this way, in a folder `three_norm_u_v_os`. A file holds the flow from
the onset to the apex of one clip, 28×28. `u_train` of a subject holds the clips of everybody else,
so each clip is taken from `u_test`, where it lies once.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mubert_jax.data.images import read_image
from mubert_jax.data.labelled.annotation import Dropped
from mubert_jax.data.labelled_clips import CLASS_NAMES, class_names
from mubert_jax.data.names import printable
from mubert_jax.data.people import Person
from mubert_jax.data.report import count
from mubert_jax.data.searching import PassedOver, folders
from mubert_jax.data.sets import megc2019
from mubert_jax.errors import UserError

FOLDER = "three_norm_u_v_os"
CLASSES = ("negative", "positive", "surprise")
"""Names of the labels 0, 1 and 2."""

SIDE = 28
UNKNOWN = "recorded"
"""The data set of subjects that are not called like those of the three."""

TEST, TRAIN = "u_test", "u_train"
# Subject in lower case -> data set, and the name that its owners give the subject.
_OWNERS = {
    re.compile(r"sub(\d+)"): ("casme2", "sub{:02d}"),
    re.compile(r"s(\d+)"): ("smic", "s{:02d}"),
    re.compile(r"(\d{3})"): ("samm", "{:03d}"),
}
# Height and width of the faces between which the flow was measured (STSTNet): a pixel of a field is
# this much higher than it is wide, which its strain shows.
_FACE = (170, 140)
# The next two were chosen on Farnebäck's and DIS's flow between 60 pairs of drawn faces.
# How many times u may reach further than v, or v than u; it was at most 6.5 times.
_FURTHEST = 8.0
# Correlation with the recorded strain below which nothing is read from it: 9 of 10 fields had more
# than 0.65; where the third channel is the length of (u, v), and no strain, half had less than 0.
_LIKE_STRAIN = 0.5


@dataclass(frozen=True, eq=False)
class FlowField:
    """One clip.

    Attributes:
      dataset, subject: who is seen, such as "casme2" and "sub01".
      name: the clip, unique for the subject, without the subject that the name of a file begins
        with.
      label: a row of `PublishedFlow.classes`.
      emotion: its name.
      path: the file.
      channels: (28, 28, 3) uint8: u (positive to the right), v (positive downwards) and optical
        strain, each stretched to 0..255 by its own minimum and maximum.
    """

    dataset: str
    subject: str
    name: str
    label: int
    emotion: str
    path: Path
    channels: np.ndarray

    @property
    def person(self) -> str:
        """Data set and subject, such as "casme2/sub01"."""
        return f"{self.dataset}/{self.subject}"

    def displacement(self) -> np.ndarray:
        """The flow (H, W, 2) as (u, v), in one unit for both that nothing tells.

        What u and v are at most of the border is no movement. Stretching has lost how far u reached
        beside v: of all ratios, the one is taken whose strain is most like the recorded strain (1
        where none is like it).
        """
        u, v, strain = _from_border(self.channels)
        ratio, likeness = _best_ratio(u, v, strain)
        return np.stack([u * (ratio if likeness >= _LIKE_STRAIN else 1.0), v], axis=-1)


@dataclass(frozen=True)
class PublishedFlow:
    """What a folder holds.

    Attributes:
      fields: the clips, by subject, label and name.
      classes: names of the labels.
      dropped: what could not be used, and why.
      published: class -> clips as published; empty if nobody is of the published data sets.
      published_subjects: people as published, or None.
      notes: lines on the channels and on counts that differ from the published ones.
      passed: what else lies in the folder.
    """

    fields: Sequence[FlowField]
    classes: Sequence[str]
    dropped: Sequence[Dropped]
    published: Mapping[str, int]
    published_subjects: int | None
    notes: Sequence[str]
    passed: PassedOver


def read_published_flow(folder: Path, classes: Sequence[str] | None = None) -> PublishedFlow:
    """Every clip below `folder`, which is `three_norm_u_v_os` or holds it.

    A file, a label or a subject that cannot be used is left out and listed.

    Args:
      classes: names of the labels 0, 1, ...; None takes those of a file `label.labels.txt` beside
        `three_norm_u_v_os`, as `mubert prepare flow` leaves it there, or else `CLASSES`.

    Raises:
      UserError: the folder does not exist, or nothing in it looks like the layout.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; it should be or hold {FOLDER}")
    root = folder / FOLDER if (folder / FOLDER).is_dir() else folder
    if classes is None:
        beside = root.absolute().parent
        classes = class_names(beside) if (beside / CLASS_NAMES).exists() else CLASSES
    passed = PassedOver(root)
    files, dropped = _find(root, classes, passed)
    read: list[FlowField] = []
    for file in _each_once(files, dropped):
        try:
            read.append(replace(file, channels=_read(file.path)))
        except UserError as error:
            dropped.append(_without(file, str(error)))
    read, notes = _strain_last(read)
    fields = []
    for field in read:
        if field.displacement().any():
            fields.append(field)
        else:
            dropped.append(_without(field, f"{field.path}: u and v show no movement"))
    published, subjects = {}, None
    if tuple(classes) == CLASSES and any(field.dataset != UNKNOWN for field in fields):
        published, of_sets = _published(fields)
        subjects, notes = megc2019.SET.subjects, [*notes, *of_sets]
    return PublishedFlow(fields, classes, dropped, published, subjects, notes, passed)


def folder_of(dataset: str, subject: str) -> str:
    """The name of a subject's folder, as `read_published_flow` knows it.

    It is the owners' own for the three published data sets, such as "sub01"; for any other,
    "DATASET-SUBJECT", which cannot be taken for one of theirs.
    """
    person = Person.of(dataset, subject)
    for owner, name in _OWNERS.values():
        if person.space == owner and person.name.isdecimal():
            return name.format(int(person.name))
    return f"{dataset}-{subject.removeprefix(f'{dataset}/')}"


def _published(fields: Sequence[FlowField]) -> tuple[Mapping[str, int], list[str]]:
    """Class -> clips as published, and a note on each data set with another number of clips."""
    here = Counter(field.dataset for field in fields)
    published, notes = Counter[str](), []
    for member in megc2019.SET.members:
        counts = member.scheme(len(CLASSES)).published
        published.update(counts)
        if here[member.name] != (clips := sum(counts.values())):
            notes.append(
                f"note: {count(here[member.name], 'clip')} of {member.name} ({clips} are published)"
            )
    return published, notes


def _find(
    root: Path, classes: Sequence[str], passed: PassedOver
) -> tuple[list[FlowField], list[Dropped]]:
    """The files of all labels, not yet read, and the subjects and labels that are none.

    Raises UserError if there is neither a file nor a label that is none.
    """
    tested: dict[str, bool] = {}

    def enter(path: Path) -> bool:
        parts = path.relative_to(root).parts
        if len(parts) == 1:
            tested.setdefault(parts[0], False)
        elif parts[1:] == (TEST,):
            tested[parts[0]] = True
        elif len(parts) in (2, 4) and parts[1] != TRAIN:
            passed.add(f"folder in the place of {TEST} or below a label", path)
        return len(parts) < 2 or (parts[1] == TEST and len(parts) < 4)

    files, dropped = [], []
    for path, inside in folders(root, passed, enter):
        parts = path.relative_to(root).parts
        images = [file for file in inside if file.suffix.lower() == ".png" and len(parts) == 3]
        for file in inside:
            if file not in images:
                passed.add_file(file)
        if len(parts) == 3 and images:
            subject, label = parts[0], parts[2]
            if label in map(str, range(len(classes))):
                emotion = classes[int(label)]
                files += [_unread(file, subject, int(label), emotion) for file in images]
            else:
                name = printable(f"{'/'.join(_who(subject))}/{TEST}/{label}")
                known = " or ".join(f"{n} ({each})" for n, each in enumerate(classes))
                reason = f"{printable(path)}: no label; call the folder {known}"
                dropped.append(Dropped(name, "/".join(_who(subject)), 0, "", reason, False))
    if not files and not dropped:
        raise UserError(
            f"{root}: no recorded flow (looked for SUBJECT/{TEST}/LABEL/NAME.png){passed.clause()}"
        )
    for subject in sorted(subject for subject, found in tested.items() if not found):
        person = "/".join(_who(subject))
        reason = f"{printable(root / subject)}: no folder {TEST}; copy it again"
        dropped.append(Dropped(person, person, 0, "", reason, False))
    return files, dropped


def _who(folder: str) -> tuple[str, str]:
    """Data set and subject of a subject's folder."""
    for pattern, (dataset, name) in _OWNERS.items():
        if found := pattern.fullmatch(folder.lower()):
            return dataset, name.format(int(found[1]))
    return UNKNOWN, printable(folder)


def _unread(path: Path, folder: str, label: int, emotion: str) -> FlowField:
    name = printable(path.stem.strip())
    own = name[: len(folder) + 1].lower() == f"{folder.lower()}_"
    clip = (own and name[len(folder) + 1 :]) or name
    return FlowField(*_who(folder), clip, label, emotion, path, np.empty(0))


def _without(field: FlowField, reason: str) -> Dropped:
    name = f"{field.person}/{field.name}"
    return Dropped(name, field.person, 0, field.emotion, printable(reason), False)


def _each_once(files: Sequence[FlowField], dropped: list[Dropped]) -> Iterable[FlowField]:
    """The files of clips that have one, in the folder of their subject; others are `dropped`."""
    of_clip: dict[tuple[Person, str], list[FlowField]] = defaultdict(list)
    for file in files:
        of_clip[Person.of(file.dataset, file.subject), file.name].append(file)
    people = {file.person for file in files}
    for same in of_clip.values():
        first = same[0]
        said = "/".join(_who(first.path.stem.partition("_")[0]))
        if len(same) > 1:
            paths = " and ".join(str(file.path) for file in same)
            reason = f"{len(same)} files of one clip, {paths}; keep one"
            dropped += [_without(file, reason) for file in same]
        elif said in people - {first.person} and said.startswith(f"{first.dataset}/"):
            reason = f"{first.path}: by its name it is of {said}; move it there"
            dropped.append(_without(first, reason))
        else:
            yield first


def _read(path: Path) -> np.ndarray:
    image = read_image(path)
    height, width = image.shape[:2]
    if (height, width) != (SIDE, SIDE):
        raise UserError(
            f"{printable(path)}: {width}x{height} pixels, not {SIDE}x{SIDE}; copy it again"
        )
    if (image == image[..., :1]).all():
        raise UserError(f"{printable(path)}: grey, without u, v and strain; copy it again")
    return image


def _strain_last(fields: Sequence[FlowField]) -> tuple[list[FlowField], list[str]]:
    """The fields, read as RGB, with the strain as their last channel, and a note if it was first.

    The published files are u, v and strain as red, green and blue (CausalNet, issue 4 on GitHub:
    OpenCV, which writes blue first, was given strain, v and u). Whoever gives it u first writes
    strain as red; most files then say so, as red is the strain of blue and green.
    """
    turned = [replace(field, channels=field.channels[..., ::-1]) for field in fields]
    first = sum(
        backwards >= _LIKE_STRAIN and backwards > forwards
        for forwards, backwards in zip(map(_likeness, fields), map(_likeness, turned), strict=True)
    )
    if 2 * first <= len(fields):
        return list(fields), []
    return turned, [
        "note: u, v and strain are read from blue, green and red, not from red, green and blue: "
        f"red is the strain of the others in {first} of {len(fields)} files"
    ]


def _likeness(field: FlowField) -> float:
    return _best_ratio(*_from_border(field.channels))[1]


def _from_border(channels_HxWx3: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """u, v and strain (H, W), u and v less what they are at most of the border."""
    u, v, strain = np.moveaxis(channels_HxWx3.astype(float), -1, 0)
    inside = np.zeros(u.shape, bool)
    inside[1:-1, 1:-1] = True
    return u - np.median(u[~inside]), v - np.median(v[~inside]), strain


def _best_ratio(
    u_HxW: np.ndarray, v_HxW: np.ndarray, recorded_HxW: np.ndarray
) -> tuple[float, float]:
    """The factor of u by which the strain of (u, v) is most like the recorded one, and how like.

    Strain is sqrt(u_x² + v_y² + (u_y + v_x)² / 2); likeness is Pearson's correlation, and 0 where a
    channel is the same everywhere.
    """
    if not all(np.ptp(channel) for channel in (u_HxW, v_HxW, recorded_HxW)):
        return 1.0, 0.0
    spacing = [side / count for side, count in zip(_FACE, u_HxW.shape, strict=True)]
    u_y, u_x = (slope.ravel() for slope in np.gradient(u_HxW, *spacing))
    v_y, v_x = (slope.ravel() for slope in np.gradient(v_HxW, *spacing))
    ratio_Rx1 = np.geomspace(1 / _FURTHEST, _FURTHEST, 49)[:, None]
    strain_RxP = np.sqrt((ratio_Rx1 * u_x) ** 2 + v_y**2 + (ratio_Rx1 * u_y + v_x) ** 2 / 2)
    # Not by np.corrcoef, which correlates all ratios with each other, and takes 100 times as long.
    strain_RxP -= strain_RxP.mean(axis=1, keepdims=True)
    recorded_P = (recorded_HxW - recorded_HxW.mean()).ravel()
    power_R = np.square(strain_RxP).sum(axis=1) * np.square(recorded_P).sum()
    likeness_R = (strain_RxP * recorded_P).sum(axis=1) / np.sqrt(power_R + 1e-12)
    best = int(np.argmax(likeness_R))
    return float(ratio_Rx1[best, 0]), float(likeness_R[best])
