"""TFRecord shards: a writer, and a reader that seeks and checks every byte it returns.

A record is `length (uint64) | masked CRC of length | data | masked CRC of data`, little endian,
CRC32C (Castagnoli).
"""

import os
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import google_crc32c

from mubert_jax.errors import AGAIN, PassingError, UserError, kind_of

_HEADER = struct.Struct("<QI")
_FOOTER = struct.Struct("<I")
FRAMING_BYTES = _HEADER.size + _FOOTER.size


def _masked_crc(data: bytes) -> int:
    """The CRC rotated and shifted by a constant, both as the format prescribes."""
    crc = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def _length_bytes(length: int) -> bytes:
    return length.to_bytes(8, "little")


class TFRecordWriter:
    """Writes framed records to `path`, overwriting it; a context manager."""

    def __init__(self, path: str | os.PathLike):
        self._file = open(path, "wb")

    def __enter__(self) -> "TFRecordWriter":
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    def write(self, record: bytes) -> None:
        """Appends one record."""
        length = _length_bytes(len(record))
        self._file.write(_HEADER.pack(len(record), _masked_crc(length)))
        self._file.write(record)
        self._file.write(_FOOTER.pack(_masked_crc(record)))

    def tell(self) -> int:
        """The byte offset at which the next record starts."""
        return self._file.tell()

    def truncate(self, offset: int) -> None:
        """Takes back all records from byte `offset` (a value of `tell`) on."""
        self._file.seek(offset)
        self._file.truncate()


class TFRecordFile:
    """One shard, opened at the first read and safe to read from many threads.

    Args:
      path: the shard.
      keep_open: keep the file descriptor between reads; without it, a data set of thousands of
        shards stays below the limit of open files.
    """

    def __init__(self, path: str | os.PathLike, keep_open: bool = True):
        self.path = Path(path)
        self._keep_open = keep_open
        self._descriptor: int | None = None
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "keep_open": self._keep_open}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)

    def __del__(self) -> None:
        if (descriptor := getattr(self, "_descriptor", None)) is not None:
            os.close(descriptor)

    def read(self, number: int, offset: int, length: int) -> bytes:
        """The data of record `number` of this shard, `length` bytes framed at byte `offset`.

        Raises UserError naming shard, record and offset when the bytes are missing or damaged.
        """
        size = length + FRAMING_BYTES
        try:
            if self._keep_open:
                framed = os.pread(self._shared_descriptor(), size, offset)
            else:
                descriptor = os.open(self.path, os.O_RDONLY)
                try:
                    framed = os.pread(descriptor, size, offset)
                finally:
                    os.close(descriptor)
        except OSError as error:
            raise self._unreadable(number, offset, error) from error
        if len(framed) < size:
            raise self._damaged(number, offset, "is cut short")
        if self._length(framed, number, offset) != length:
            raise self._damaged(number, offset, "has another length than the index says")
        return self._data(framed[_HEADER.size : -_FOOTER.size], framed, number, offset)

    def scan(self) -> Iterator[tuple[int, bytes]]:
        """Yields (byte offset, data) of every record in order; raises UserError as `read` does."""
        number = offset = 0
        try:
            with open(self.path, "rb") as file:
                size = os.fstat(file.fileno()).st_size
                while header := file.read(_HEADER.size):
                    if len(header) < _HEADER.size:
                        raise self._damaged(number, offset, "is cut short")
                    length = self._length(header, number, offset)
                    if offset + length + FRAMING_BYTES > size:
                        raise self._damaged(number, offset, "is cut short")
                    rest = file.read(length + _FOOTER.size)
                    yield offset, self._data(rest[: -_FOOTER.size], rest, number, offset)
                    offset += length + FRAMING_BYTES
                    number += 1
        except OSError as error:
            raise self._unreadable(number, offset, error) from error

    def _shared_descriptor(self) -> int:
        if self._descriptor is None:
            with self._lock:
                if self._descriptor is None:
                    self._descriptor = os.open(self.path, os.O_RDONLY)
        return self._descriptor

    def _length(self, framed: bytes, number: int, offset: int) -> int:
        length, crc = _HEADER.unpack_from(framed)
        if crc != _masked_crc(_length_bytes(length)):
            raise self._damaged(number, offset, "has a damaged header (CRC mismatch)")
        return length

    def _data(self, data: bytes, framed: bytes, number: int, offset: int) -> bytes:
        crc = _FOOTER.unpack_from(framed, len(framed) - _FOOTER.size)[0]
        if crc != _masked_crc(data):
            raise self._damaged(number, offset, "has damaged data (CRC mismatch)")
        return data

    def _unreadable(self, number: int, offset: int, error: OSError) -> UserError:
        what = f"cannot be read ({error.strerror})"
        if kind_of(error) is PassingError:
            return PassingError(
                f"{self.path}: record {number} at byte offset {offset} {what}; {AGAIN}"
            )
        return self._damaged(number, offset, what)

    def _damaged(self, number: int, offset: int, what: str) -> UserError:
        return UserError(
            f"{self.path}: record {number} at byte offset {offset} {what}; "
            "copy this shard again, or delete the folder and run `mubert prepare` again"
        )
