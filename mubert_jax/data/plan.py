"""What a run of `mubert prepare` will write; it is fixed and saved before anything is written."""

import dataclasses
import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mubert_jax.data.clips import Clip
from mubert_jax.data.files import write_text
from mubert_jax.data.people import called
from mubert_jax.data.searching import foreign
from mubert_jax.errors import UserError

PLAN_FILE = "prepare.json"
PROGRESS_FOLDER = ".progress"
_FORMAT = 1  # raised when older plans can no longer be read
# Larger shards lose more work when a run is killed, smaller ones make more files.
_SHARD_BYTES = 256 * 2**20
# Rough, and used only to size the shards.
_BYTES_PER_PIXEL = {"png": 1.7, "jpeg": 0.4}
CROPS = ("face", "center", "none")
ENCODINGS = tuple(_BYTES_PER_PIXEL)
ALIGNMENTS = ("none", "ecc", "robust")
# Names of sources in older folders -> their present names.
_RENAMED = {"controlled": "synthetic"}


@dataclass(frozen=True)
class PrepareOptions:
    """How frames are cropped and stored.

    Attributes:
      size: height and width of the stored images in pixels.
      crop: "face" (one box per clip), "center" (largest centred square), "none" (whole frame).
      detector: "haar", or the path of a YuNet .onnx file.
      margin: what is added on each side of the face box, as a fraction of its side: a small one
        cuts chins off, a large one leaves fewer pixels to the face.
      encoding: "png" (lossless) or "jpeg"; JPEG noise is as large as a micro-movement.
      align: "none", or how to register every frame to the first of its clip.
      workers: threads, one per processor if None; without influence on the records.
      exclude_subjects: subjects to leave out, such as those of a test set.
      subject_folder: which folder below the input is called like the subject, from 1; None
        recognises the data sets of this field and takes the first folder elsewhere.

    Raises UserError for a value out of range.
    """

    size: int = 224
    crop: str = "face"
    detector: str = "haar"
    margin: float = 0.3
    encoding: str = "png"
    align: str = "none"
    workers: int | None = None
    exclude_subjects: tuple[str, ...] = ()
    subject_folder: int | None = None

    def __post_init__(self):
        choices = {"crop": CROPS, "encoding": ENCODINGS, "align": ALIGNMENTS}
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise UserError(f"--{name} {getattr(self, name)!r}: choose {', '.join(known)}")
        if not 8 <= self.size <= 4096:
            raise UserError(f"--size {self.size}: choose 8 to 4096 pixels")
        if not 0 <= self.margin <= 4:
            raise UserError(f"--margin {self.margin}: choose 0 to 4 times the side of the face")
        if self.workers is not None and self.workers < 1:
            raise UserError(f"--workers {self.workers}: choose 1 or more")

    @property
    def threads(self) -> int:
        """`workers`, or the number of processors this process may use."""
        if hasattr(os, "sched_getaffinity"):
            return self.workers or len(os.sched_getaffinity(0))
        return self.workers or os.cpu_count() or 1


@dataclass(frozen=True)
class Plan:
    """One run: where from, how, which clips, and which of them go into which shard.

    Attributes:
      source: the name of the data set's module.
      input: the absolute path of the input, or a description of what is drawn.
      options: the options that shape the records, all but `workers`.
      clips: the names of the clips kept, in order; consecutive ones share a shard.
      excluded: (name, subject) of the clips of excluded subjects.
      shard_clips: the number of clips in each shard.
    """

    source: str
    input: str
    options: dict[str, Any]
    clips: list[str]
    excluded: list[list[str]]
    shard_clips: list[int]

    @classmethod
    def make(
        cls, source: str, input: object, options: PrepareOptions, clips: Sequence[Clip]
    ) -> "Plan":
        """The plan for `clips`, which are sorted by name; UserError for an unknown exclusion."""
        excluded = _excluded(options.exclude_subjects, {clip.subject for clip in clips}, input)
        kept = [clip for clip in clips if clip.subject not in excluded]
        if not kept:
            raise UserError(f"{input}: --exclude-subjects leaves no clip; name fewer subjects")
        shaping = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(options).items()
        }
        del shaping["workers"]
        shaping["exclude_subjects"] = sorted(options.exclude_subjects)
        return cls(
            source=source,
            input=str(input.resolve() if isinstance(input, Path) else input),
            options=shaping,
            clips=[clip.name for clip in kept],
            excluded=[[c.name, c.subject] for c in clips if c.subject in excluded],
            shard_clips=_shard_clips(kept, options),
        )

    @classmethod
    def load(cls, output: Path) -> "Plan | None":
        """The plan saved in a folder; None where the folder is missing or empty.

        Raises UserError when the folder holds anything but the work of `mubert prepare`.
        """
        if not output.exists() or (output.is_dir() and _only_foreign(output)):
            return None
        if not output.is_dir():
            raise UserError(f"{output}: --output must be a folder, this is a file")
        try:
            saved = json.loads((output / PLAN_FILE).read_text())
            if saved.pop("format") != _FORMAT:
                raise ValueError
            saved["source"] = _RENAMED.get(saved["source"], saved["source"])
            return cls(**saved)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f"{output}: not empty and not made by this version of `mubert prepare` "
                f"(no usable {PLAN_FILE}); choose another --output"
            ) from error

    def save(self, output: Path) -> None:
        """Writes `prepare.json` atomically."""
        content = {"format": _FORMAT, **dataclasses.asdict(self)}
        write_text(output / PLAN_FILE, json.dumps(content, indent=1))

    def differences(self, saved: "Plan") -> list[str]:
        """The differences of `saved`, in words; how clips are grouped into shards is ignored.

        A plan that was saved before there was an option was made without it.
        """
        found = [
            f"{name} is {getattr(saved, name)} there and {getattr(self, name)} now"
            for name in ("source", "input")
            if getattr(saved, name) != getattr(self, name)
        ]
        found += [
            f"--{name.replace('_', '-')} is {_words(saved.options.get(name))} there "
            f"and {_words(value)} now"
            for name, value in self.options.items()
            if saved.options.get(name) != value and (value or name in saved.options)
        ]
        if found:
            return found
        here, there = set(self.clips), set(saved.clips)
        if new := sorted(here - there):
            found.append(f"{len(new)} clips are new in the input ({_some(new)})")
        if gone := sorted(there - here):
            found.append(f"{len(gone)} clips are gone from the input ({_some(gone)})")
        return found

    def begun(self, output: Path) -> "Plan | None":
        """The same plan where an earlier run saved it in `output`; None in a new folder.

        Raises UserError when the folder holds the work of another plan, or anything else.
        """
        saved = Plan.load(output)
        if saved is not None and (differences := self.differences(saved)):
            raise UserError(
                f"{output}: holds a data set of another plan: {'; '.join(differences)}; "
                "choose another --output, or delete this folder first"
            )
        return saved


def _only_foreign(folder: Path) -> bool:
    return all(foreign(name) and name != PROGRESS_FOLDER for name in os.listdir(folder))


def _excluded(names: Sequence[str], subjects: set[str], input: object) -> set[str]:
    """The subjects that `names` mean, however spelt, with a data set before them or without."""
    excluded = set()
    for name in names:
        meant = called(name, sorted(subjects))
        if not meant:
            raise UserError(
                f"--exclude-subjects {name!r}: no such subject in {input}; "
                f"it has {_some(sorted(subjects))}"
            )
        if len({subject.rpartition("/")[0] for subject in meant}) > 1:
            raise UserError(
                f"--exclude-subjects {name!r} may be any of {_some(meant)}; say it with its data "
                "set"
            )
        excluded.update(meant)
    return excluded


def _words(value: object) -> str:
    return (" ".join(value) or "empty") if isinstance(value, list) else str(value)


def _some(names: Sequence[str], count: int = 5) -> str:
    return ", ".join(names[:count]) + (", ..." if len(names) > count else "")


def _shard_clips(clips: Sequence[Clip], options: PrepareOptions) -> list[int]:
    frame_bytes = options.size**2 * _BYTES_PER_PIXEL[options.encoding]
    left = [max(1, clip.num_frames) * frame_bytes for clip in clips]
    shards = max(math.ceil(sum(left) / _SHARD_BYTES), options.threads)
    shards = min(len(clips), shards)
    counts = []
    for remaining_shards in range(shards, 0, -1):
        target, size, count = sum(left) / remaining_shards, 0.0, 0
        while count < len(left) - (remaining_shards - 1):
            if count and size + left[count] / 2 > target:
                break
            size += left[count]
            count += 1
        counts.append(count)
        left = left[count:]
    return counts
