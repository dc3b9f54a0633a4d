"""The clips of which `mubert prepare flow` makes maps: labelled pairs, or files that hold them."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mubert_jax.data.flow_set import is_flow_set
from mubert_jax.data.folder import check_complete, plan_of, synthetic_space
from mubert_jax.data.labelled.annotation import NO_MOVEMENT, Dropped
from mubert_jax.data.labelled_clips import LabelledClips, class_names
from mubert_jax.data.metadata import INFO_FILE
from mubert_jax.data.pairs import COLUMNS
from mubert_jax.data.published_flow import FOLDER, TEST, read_published_flow
from mubert_jax.data.records import PairRecord, decode_image, decode_pair, load_protos
from mubert_jax.data.searching import PassedOver
from mubert_jax.data.source import RecordSource
from mubert_jax.errors import UserError
from mubert_jax.flow_maps import Normalise, stacked


@dataclass(frozen=True)
class FlowMethod:
    """How the flow of two frames is found.

    Attributes:
      name: what the user calls it.
      see: (onset, apex), (H, W, 3) uint8 RGB -> flow (H, W, 2) as (u, v) in pixels.
      version: what its values depend on beside the frames, such as a digest of weights.
      seen: whose faces its weights have seen, as JSON of `training.contamination.Seen`; None for a
        method that has learnt from no face.
    """

    name: str
    see: Callable[[np.ndarray, np.ndarray], np.ndarray]
    version: str = ""
    seen: dict[str, Any] | None = None


@dataclass(frozen=True, eq=False)
class FlowClips:
    """The clips whose maps are asked for.

    Attributes:
      input: where they come from.
      content: how many there are, and a digest of all that decides their maps.
      names: one per clip, unique.
      clips: who shows what in them.
      maps: a function per clip: () -> maps (S, S, 3), and what is odd about it. It raises a
        UserError for a clip that cannot be used.
      onset: the number of a clip -> its first frame, (H, W, 3) uint8 RGB; None without frames.
      dropped: clips that cannot be used, known before the start.
      how: further lines on how the input was made.
      published: class -> clips as published; {} where that is not known.
      published_subjects: people as published.
      notes: what a reader has to know.
      passed: what else lies in the input.
    """

    input: Path
    content: str
    names: Sequence[str]
    clips: LabelledClips
    maps: Sequence[Callable[[], tuple[np.ndarray, str]]]
    onset: Callable[[int], np.ndarray] | None = None
    dropped: Sequence[Dropped] = ()
    how: Sequence[str] = ()
    published: Mapping[str, int] = field(default_factory=dict)
    published_subjects: int | None = None
    notes: Sequence[str] = ()
    passed: PassedOver = field(default_factory=PassedOver)


def of_pairs(directory: Path, method: FlowMethod, size: int, normalise: Normalise) -> FlowClips:
    """The clips of a `pairs` set, each record read by itself, so that others survive a bad one.

    Raises UserError when it is no such set, or no record can be read.
    """
    if _looks_published(directory):
        raise UserError(
            f"{directory}: looks like published flow, not pairs; add --layout=published"
        )
    check_complete(directory, "casme2 --input DIR", "pairs")
    load_protos()
    stored, source = class_names(directory), RecordSource(directory)
    index, digest = source.index, hashlib.sha256()
    rows: list[int] = []
    said: list[list[Any]] = [[] for _ in COLUMNS]
    names, dropped = [], []
    for row in range(len(source)):
        video = index.video[row]
        name, subject = str(index.video_names[video]), str(index.video_subjects[video])
        try:
            data = source[row]
            record = decode_pair(data)
            if not 0 <= record.label < len(stored):
                raise UserError(f"label {record.label}, but there are {len(stored)} classes")
        except UserError as error:
            dropped.append(Dropped(name, subject, 0, "", str(error), False))
            continue
        digest.update(data)
        rows.append(row)
        names.append(name)
        for column, field_name in zip(said, COLUMNS, strict=True):
            column.append(getattr(record, field_name))
    if not rows:
        raise nothing_to_use(directory, dropped)
    clips = LabelledClips(directory, stored, *said, space=synthetic_space(directory))
    plan = plan_of(directory)
    frames = {x: plan.options.get(x) for x in ("size", "crop", "align")} if plan else {}
    return FlowClips(
        directory,
        f"{len(rows)} clips ({digest.hexdigest()[:8]})",
        names,
        clips,
        [partial(_maps, source, row, method, size, normalise) for row in rows],
        lambda number: decode_image(decode_pair(source[rows[number]]).onset),
        dropped,
        [f"frames: {', '.join(f'{x} {y}' for x, y in frames.items())}"] if plan else [],
        notes=clips.notes,
    )


def _looks_published(folder: Path) -> bool:
    """Whether subjects are in a folder as `read_published_flow` takes them, and no data set is."""
    if is_flow_set(folder) or (folder / INFO_FILE).exists():
        return False
    return (folder / FOLDER).is_dir() or any(folder.glob(f"*/{TEST}"))


def _maps(
    source: RecordSource, row: int, method: FlowMethod, size: int, normalise: Normalise
) -> tuple[np.ndarray, str]:
    record: PairRecord = decode_pair(source[row])
    onset, apex = decode_image(record.onset), decode_image(record.apex)
    if onset.shape != apex.shape:
        raise UserError(f"the onset is {_size(onset)}, the apex {_size(apex)}; prepare it again")
    if np.array_equal(onset, apex):
        # Rounding would be stretched like movement.
        return np.zeros((size, size, 3), np.float32), NO_MOVEMENT
    try:
        flow = np.asarray(method.see(onset, apex), np.float32)
    except cv2.error as error:
        said = " ".join(str(error).split())
        raise UserError(f"{method.name} cannot read frames of {_size(onset)}: {said}") from error
    if not np.isfinite(flow).all():
        raise UserError(f"the flow of {method.name} is not finite (NaN)")
    return stacked(flow, size, normalise), ""


def _size(image: np.ndarray) -> str:
    return f"{image.shape[1]}x{image.shape[0]}"


def of_published(folder: Path) -> FlowClips:
    """The clips of `three_norm_u_v_os`, as they are; UserError as `read_published_flow`."""
    found = read_published_flow(folder)
    if not found.fields:
        raise nothing_to_use(folder, found.dropped)
    fields = sorted(found.fields, key=lambda one: (one.person, one.name))
    digest = hashlib.sha256()
    for one in fields:
        digest.update(f"{one.person}/{one.name}/{one.emotion}".encode())
        digest.update(one.channels.tobytes())
    clips = LabelledClips(
        folder,
        found.classes,
        label=[one.label for one in fields],
        dataset=[one.dataset for one in fields],
        subject=[one.person for one in fields],
        clip=[one.name for one in fields],
    )
    return FlowClips(
        folder,
        f"{len(fields)} clips ({digest.hexdigest()[:8]})",
        [f"{x.person}/{x.name}" for x in fields],
        clips,
        [partial(_as_it_is, one.channels) for one in fields],
        dropped=found.dropped,
        published=found.published,
        published_subjects=found.published_subjects,
        notes=[*clips.notes, *found.notes],
        passed=found.passed,
    )


def _as_it_is(channels: np.ndarray) -> tuple[np.ndarray, str]:
    return channels.astype(np.float32), ""


def nothing_to_use(input: Path | str, dropped: Sequence[Dropped]) -> UserError:
    """The error where no clip is left."""
    if not dropped:
        return UserError(f"{input}: holds no clip; prepare it again")
    first = dropped[0]
    return UserError(
        f"{input}: none of {len(dropped)} clips could be used; the first: {first.name}: "
        f"{first.reason}"
    )
