"""Pairs of frames δ apart, drawn afresh each time from stored single frames."""

import hashlib
import os
from functools import cached_property
from pathlib import Path
from typing import TypedDict

import numpy as np

from mubert_jax.data.folder import check_complete, people_of_frames
from mubert_jax.data.oddities import typical_step
from mubert_jax.data.people import Person
from mubert_jax.data.records import UNKNOWN, Ellipse, decode_frame, decode_image
from mubert_jax.data.source import RecordSource
from mubert_jax.errors import UserError

# A batch holds δ as int32.
_LARGEST_DELTA = 2**31 - 1


class FramePair(TypedDict):
    """A current frame and its reference.

    Attributes:
      current, reference: (H, W, 3) uint8 RGB.
      index: the global index of the example, modulo 2**32.
      face: where the face is in the reference (4,), as `records.Ellipse`; 0 where nobody knows.
      delta: frames from current to reference.
    """

    current: np.ndarray
    reference: np.ndarray
    index: np.uint32
    face: np.ndarray
    delta: np.int32


class FramePairs:
    """The current frames of a data set, each with a reference frame δ later in the same video.

    A frame is a current frame if its video holds a frame whose number is larger by some δ of the
    range; gaps in the numbering are no obstacle. `len` counts the current frames.

    Args:
      directory: a folder made by `mubert prepare`.
      delta: smallest and largest temporal distance in frames, both included; the paper's by
        default (section 5.2).
      image_size: height and width that the stored images must have.

    Attributes:
      knows_faces: whether the data set says where faces are.

    Raises:
      UserError: the data set is missing, half prepared, damaged, without any pair, or has images
        of another size.
    """

    def __init__(
        self,
        directory: str | os.PathLike,
        delta: tuple[int, int] = (5, 11),
        image_size: int = 224,
    ):
        self.directory = Path(directory)
        self.delta = delta[0], delta[1]
        self.image_size = image_size
        if not 1 <= self.delta[0] <= self.delta[1]:
            raise UserError(
                f"delta {self.delta[0]} to {self.delta[1]}: give two frame distances, "
                "1 <= first <= second"
            )
        if self.delta[1] > _LARGEST_DELTA:
            raise UserError(f"delta {self.delta[1]}: choose {_LARGEST_DELTA} at most")
        check_complete(self.directory, "video --input VIDEOS", "frames")
        self.source = RecordSource(self.directory)
        index = self.source.index
        self._records = np.lexsort((index.frame, index.video))
        self._keys = _keys(
            index.video[self._records], index.frame[self._records], self.delta[1] + 1
        )
        self._eligible = self._with_partner()
        if not len(self._eligible):
            raise self._no_pair()
        _, face = self._frame(0)
        self.knows_faces = face != UNKNOWN

    def __len__(self) -> int:
        return len(self._eligible)

    @property
    def num_frames(self) -> int:
        """Frames stored, with or without a partner."""
        return len(self.source)

    @property
    def num_videos(self) -> int:
        """Videos stored."""
        return len(self.source.index.video_names)

    @cached_property
    def people(self) -> tuple[frozenset[Person], bool]:
        """Everyone in the data set, and whether they could all be told apart."""
        index = self.source.index
        names = index.video_names.tolist(), index.video_subjects.tolist()
        return people_of_frames(self.directory, *names, self.fingerprint)

    @property
    def subjects(self) -> tuple[str, ...]:
        """Everyone in the data set, sorted."""
        return tuple(sorted(set(self.source.index.video_subjects.tolist())))

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits over names, subjects, frame numbers and record lengths, in record order.

        Equal for copies of a data set and however it is cut into shards.
        """
        index = self.source.index
        digest = hashlib.sha256()
        for names in (index.video_names, index.video_subjects):
            digest.update("\0".join(names.tolist()).encode() + b"\1")
        for column in (index.video, index.frame, index.length):
            digest.update(column.astype("<i8").tobytes())
        return digest.hexdigest()[:16]

    def deltas(self, i: int) -> np.ndarray:
        """The valid δ of current frame `i`, ascending, int64."""
        position = self._eligible[i]
        lowest, highest = self.delta
        ahead = self._keys[position + 1 : position + 1 + highest] - self._keys[position]
        return ahead[(ahead >= lowest) & (ahead <= highest)]

    def pair(
        self,
        global_index: int,
        i: int,
        seed: int,
        out: tuple[np.ndarray, np.ndarray] | tuple[None, None] = (None, None),
    ) -> FramePair:
        """Current frame `i` and its reference, δ drawn uniformly among the valid ones.

        δ is a function of (seed, global_index, i) alone.

        Args:
          global_index: number of this example since the start of training, over all processes.
          i: which current frame, 0 <= i < len(self).
          seed: any non-negative integer below 2**64.
          out: two (H, W, 3) uint8 arrays to decode into, such as rows of a batch.
        """
        position = self._eligible[i]
        deltas = self.deltas(i)
        random = np.random.Philox(key=(seed << 64) | global_index).random_raw()
        delta = deltas[random % len(deltas)]
        ahead = np.searchsorted(
            self._keys[position : position + 1 + self.delta[1]], self._keys[position] + delta
        )
        (current, _), (reference, face) = (
            self._frame(*frame) for frame in ((position, out[0]), (position + int(ahead), out[1]))
        )
        return {
            "current": current,
            "reference": reference,
            "index": np.uint32(global_index & 0xFFFFFFFF),
            "face": np.asarray(face, np.float32),
            "delta": np.int32(delta),
        }

    def _with_partner(self) -> np.ndarray:
        lowest, highest = self.delta
        nearest = np.searchsorted(self._keys, self._keys + lowest)
        nearest_keys = self._keys[np.minimum(nearest, len(self._keys) - 1)]
        found = (nearest < len(self._keys)) & (nearest_keys <= self._keys + highest)
        return np.flatnonzero(found)

    def _frame(self, position: int, out: np.ndarray | None = None) -> tuple[np.ndarray, Ellipse]:
        """The image and where its face is."""
        number = self._records[position]
        index = self.source.index
        try:
            record = decode_frame(self.source[number])
            image = decode_image(record.image, out)
        except UserError as error:
            if str(self.directory) in str(error):
                raise
            video, frame = index.video_names[index.video[number]], index.frame[number]
            raise UserError(f"{self.directory}: video {video}, frame {frame}: {error}") from error
        if image.shape[:2] != (self.image_size, self.image_size):
            height, width = image.shape[:2]
            raise UserError(
                f"{self.directory}: images are stored as {width}x{height}, asked for are "
                f"{self.image_size}x{self.image_size}; run `mubert prepare --size "
                f"{self.image_size}` into a new folder, or set --config.model.image_size={width}"
            )
        return image, record.face

    def _no_pair(self) -> UserError:
        index = self.source.index
        if not len(index):
            return UserError(f"{self.directory}: no frame in it; run `mubert prepare` again")
        counts = np.bincount(index.video)
        longest = int(np.argmax(counts))
        lowest, highest = self.delta
        step = typical_step(np.sort(index.frame[index.video == longest]))
        remedy = (
            "prepare longer clips or lower the range of delta"
            if step <= 1
            else f"its frame numbers go up by {step}, and delta counts in these numbers: for "
            f"{lowest} to {highest} frames say --config.data.delta="
            f"'({lowest * step},{highest * step})'"
        )
        return UserError(
            f"{self.directory}: no two frames of a video are {lowest} to {highest} "
            f"frames apart; the longest clip, {index.video_names[longest]}, has "
            f"{counts[longest]} frames; {remedy}"
        )


def _keys(video: np.ndarray, frame: np.ndarray, far: int) -> np.ndarray:
    """Numbers (N,) int64 that differ as the frames of one video do, where by less than `far`.

    Any larger distance, and that of two videos, is `far` or more, whatever the frame numbers are.

    Args:
      video, frame: (N,), sorted by video and then by frame.
    """
    frame = frame.astype(np.uint64)
    steps = np.minimum(frame[1:] - frame[:-1], far).astype(np.int64)
    steps[video[1:] != video[:-1]] = far
    return np.concatenate([[0], np.cumsum(steps)])[: len(frame)]
