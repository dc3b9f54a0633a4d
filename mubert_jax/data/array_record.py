"""ArrayRecord shards behind the interface of `TFRecordFile`."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

from mubert_jax.errors import UserError

_RANDOM_ACCESS = "readahead_buffer_size:0,max_parallelism:0"


class ArrayRecordFile:
    """One ArrayRecord shard; a record's `offset` is its number in the shard."""

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        self._reader = None
        self._lock = threading.Lock()

    def __getstate__(self) -> dict:
        return {"path": self.path}

    def __setstate__(self, state: dict) -> None:
        self.__init__(**state)

    def read(self, number: int, offset: int, length: int) -> bytes:
        """The data of record `number`; raises UserError naming shard and record when damaged."""
        with self._lock:
            if self._reader is None:
                self._reader = self._open()
            try:
                data = self._reader.read([offset])[0]
            except (RuntimeError, ValueError, IndexError) as error:
                raise self._damaged(number) from error
        if len(data) != length:
            raise self._damaged(number)
        return data

    def scan(self) -> Iterator[tuple[int, bytes]]:
        """Yields (number, data) of every record in order; raises UserError as `read` does."""
        reader = self._open()
        for number in range(reader.num_records()):
            try:
                data = reader.read([number])[0]
            except (RuntimeError, ValueError, IndexError) as error:
                raise self._damaged(number) from error
            yield number, data

    def _open(self):
        from array_record.python import array_record_module

        try:
            reader = array_record_module.ArrayRecordReader(str(self.path), options=_RANDOM_ACCESS)
        except (RuntimeError, ValueError) as error:
            raise self._damaged(0) from error
        if not reader.ok():
            raise self._damaged(0)
        return reader

    def _damaged(self, number: int) -> UserError:
        return UserError(
            f"{self.path}: record {number} (offset {number} in records) is damaged or cut short; "
            "copy this shard again"
        )
