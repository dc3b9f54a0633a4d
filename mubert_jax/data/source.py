"""Random access to the records of a data-set folder."""

import os
from pathlib import Path

import numpy as np

from mubert_jax.data.index import Index, open_shards


class RecordSource:
    """The records of a folder of TFRecord shards as a sequence of bytes.

    Picklable and safe to read from many threads. Both CRCs of a TFRecord are checked at each read.

    Args:
      directory: the folder with the shards.

    Raises:
      UserError: there are no shards, one is missing, or (also at each read) bytes are damaged; the
        message names the shard, the record in it and its byte offset.
    """

    def __init__(self, directory: str | os.PathLike):
        self.directory = Path(directory)
        self.index = Index.open(self.directory)
        self._files = open_shards([self.directory / name for name in self.index.shard_names])
        shards = np.arange(len(self._files))
        self._first_record = np.searchsorted(self.index.shard, shards)

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, record: int) -> bytes:
        if not -len(self) <= record < len(self):
            raise IndexError(f"record {record} of {len(self)}")
        record %= len(self)
        shard = self.index.shard[record]
        return self._files[shard].read(
            int(record - self._first_record[shard]),
            int(self.index.offset[record]),
            int(self.index.length[record]),
        )

    def locate(self, record: int) -> tuple[Path, int, int]:
        """(shard path, byte offset of the frame of the record, bytes of its data)."""
        path = self._files[self.index.shard[record]].path
        return path, int(self.index.offset[record]), int(self.index.length[record])
