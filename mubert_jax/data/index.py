"""The sidecar index of a data-set folder: where every record lies and what it shows."""

import logging
import os
import re
import zipfile
from collections import defaultdict
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from mubert_jax.data.files import replacing
from mubert_jax.data.metadata import INFO_FILE, shard_lengths
from mubert_jax.data.records import describe
from mubert_jax.data.searching import foreign
from mubert_jax.data.tfrecord import TFRecordFile
from mubert_jax.errors import UserError

INDEX_FILE = "index.npz"
_FORMAT = 1  # raised when older index files can no longer be read
_SHARD_OF = re.compile(r"-(\d{5})-of-(\d{5})$")
_TFRECORD = re.compile(r"\.tfrecords?([-_.]?\d+([-_]?of[-_]?\d+)?)?$")
# Half of the 1,024 files that a process may usually have open.
_MAX_OPEN_FILES = 512
_log = logging.getLogger(__name__)


def list_shards(directory: Path) -> list[Path]:
    """The shards of a folder in order; UserError when there is none or one is missing.

    Hidden files and leftovers of copying (`._x`, `x.part`, `x (1)`) are not shards.
    """
    names = [name for name in sorted(os.listdir(directory)) if not foreign(name)]
    shards = [name for name in names if _TFRECORD.search(name)]
    if not shards:
        raise UserError(
            f"{directory}: no *.tfrecord* file here; make one with "
            f"`mubert prepare SOURCE --input VIDEOS --output {directory}`"
        )
    present: dict[tuple[str, int], set[int]] = defaultdict(set)
    for name in shards:
        if match := _SHARD_OF.search(name):
            present[name[: match.start()], int(match[2])].add(int(match[1]))
    for (stem, total), numbers in present.items():
        if missing := sorted(set(range(total)) - numbers):
            raise UserError(
                f"{directory}: {len(missing)} of {total} shards missing, the first is "
                f"{stem}-{missing[0]:05d}-of-{total:05d}; copy the folder again"
            )
    return [directory / name for name in shards]


def open_shards(shards: list[Path]) -> list[TFRecordFile]:
    """Readers of the shards, each opened at its first read."""
    return [TFRecordFile(path, keep_open=len(shards) <= _MAX_OPEN_FILES) for path in shards]


@dataclass(frozen=True)
class Index:
    """N records in V videos in S shards, in the order of the shards.

    Attributes:
      shard: (N,) int32, row of the shard tables.
      offset: (N,) int64, byte offset in the shard.
      length: (N,) int64, bytes of the record.
      video: (N,) int32, row of the video tables, numbered by first appearance.
      frame: (N,) int64, frame number in the video.
      video_names, video_subjects: (V,) str.
      shard_names: (S,) str; shard_sizes: (S,) int64 bytes; shard_mtimes: (S,) int64 nanoseconds.
    """

    shard: np.ndarray
    offset: np.ndarray
    length: np.ndarray
    video: np.ndarray
    frame: np.ndarray
    video_names: np.ndarray
    video_subjects: np.ndarray
    shard_names: np.ndarray
    shard_sizes: np.ndarray
    shard_mtimes: np.ndarray

    def __len__(self) -> int:
        return len(self.offset)

    @classmethod
    def from_columns(
        cls,
        directory: Path,
        *,
        shard: list[int],
        offset: list[int],
        length: list[int],
        videos: list[str],
        frame: list[int],
        subjects: list[str],
    ) -> "Index":
        """An index of the shards now in `directory`; the lists have one entry per record."""
        shards = list_shards(directory)
        stats = [path.stat() for path in shards]
        subject_of = dict(zip(reversed(videos), reversed(subjects), strict=True))
        rows = {name: row for row, name in enumerate(dict.fromkeys(videos))}
        return cls(
            shard=np.array(shard, np.int32),
            offset=np.array(offset, np.int64),
            length=np.array(length, np.int64),
            video=np.array([rows[name] for name in videos], np.int32),
            frame=np.array(frame, np.int64),
            video_names=np.array(list(rows), np.str_),
            video_subjects=np.array([subject_of[name] for name in rows], np.str_),
            shard_names=np.array([path.name for path in shards], np.str_),
            shard_sizes=np.array([stat.st_size for stat in stats], np.int64),
            shard_mtimes=np.array([stat.st_mtime_ns for stat in stats], np.int64),
        )

    @classmethod
    def open(cls, directory: Path) -> "Index":
        """The saved index where it fits the shards on disk, else a rebuilt one, saved if possible.

        Raises UserError when there are no shards, or one is missing, damaged, or shorter than
        dataset_info.json says, as a shard that is cut between two records looks whole.
        """
        saved = cls._load(directory)
        if saved is not None and saved._fits(directory):
            saved._check_lengths(directory)
            return saved
        state = "missing" if saved is None else "older than the shards"
        _log.info("%s: %s is %s; reading all records once", directory, INDEX_FILE, state)
        index = cls.build(directory)
        index._check_lengths(directory)
        try:
            index.save(directory)
        except OSError as error:
            _log.warning(
                "%s: cannot save %s (%s); it is rebuilt at every start",
                directory,
                INDEX_FILE,
                error.strerror,
            )
        return index

    @classmethod
    def build(cls, directory: Path) -> "Index":
        """Reads every record of every shard; raises UserError as `open` does."""
        columns: dict[str, list[Any]] = {
            name: [] for name in ("shard", "offset", "length", "videos", "frame", "subjects")
        }
        for shard, file in enumerate(open_shards(list_shards(directory))):
            for number, (offset, record) in enumerate(file.scan()):
                try:
                    video, frame, subject = describe(record)
                except UserError as error:
                    raise UserError(f"{file.path}: record {number}: {error}") from error
                row = (shard, offset, len(record), video, frame, subject)
                for column, value in zip(columns.values(), row, strict=True):
                    column.append(value)
        return cls.from_columns(directory, **columns)

    def _check_lengths(self, directory: Path) -> None:
        expected = shard_lengths(directory)
        if expected is None:
            return
        found = np.bincount(self.shard, minlength=len(self.shard_names)).tolist()
        if len(found) != len(expected):
            raise UserError(
                f"{directory}: {len(found)} shards, where {INFO_FILE} names {len(expected)}; copy "
                "the folder again, or delete it and run `mubert prepare` again"
            )
        for name, here, written in zip(self.shard_names, found, expected, strict=True):
            if here != written:
                raise UserError(
                    f"{directory / name}: {here} records, where {written} were written; copy this "
                    "shard again, or delete the folder and run `mubert prepare` again"
                )

    def save(self, directory: Path) -> None:
        """Writes `index.npz` atomically; OSError where the folder cannot be written."""
        arrays = {field.name: getattr(self, field.name) for field in fields(self)}
        with replacing(directory / INDEX_FILE) as temporary, open(temporary, "wb") as file:
            np.savez(file, format=np.array(_FORMAT), **arrays)

    @classmethod
    def _load(cls, directory: Path) -> "Index | None":
        try:
            with np.load(directory / INDEX_FILE, allow_pickle=False) as file:
                if file["format"] != _FORMAT:
                    return None
                return cls(**{field.name: file[field.name] for field in fields(cls)})
        except (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile):
            return None

    def _fits(self, directory: Path) -> bool:
        shards = list_shards(directory)
        stats = [path.stat() for path in shards]
        return (
            [path.name for path in shards] == self.shard_names.tolist()
            and [stat.st_size for stat in stats] == self.shard_sizes.tolist()
            and [stat.st_mtime_ns for stat in stats] == self.shard_mtimes.tolist()
        )
