"""Which frames of a damaged AVI file are where its index says.

AVI has no time stamps: behind a part that cannot be read, a decoder goes on with the next frame
that it finds, as if nothing had been between. The index at the end tells how many are lost.
"""

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

# An index may count offsets from the list of frames or from the beginning of the file, and a header
# is 8 bytes: four letters, and a size.
_ENTRY = np.dtype([("id", "S4"), ("flags", "<u4"), ("offset", "<u4"), ("size", "<u4")])


def frames_that_are_there(path: Path) -> np.ndarray | None:
    """The numbers of the frames whose header is where the index has it, ascending.

    None where all of them are, or where nobody can tell: the file is no AVI, or it has no index of
    all of its frames.

    Raises:
      OSError: the file cannot be read.
    """
    with open(path, "rb") as file:
        start = file.read(12)
        if start[:4] != b"RIFF" or start[8:] != b"AVI ":
            return None
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _there(data)


def _there(data: mmap.mmap) -> np.ndarray | None:
    movi, index, stream = None, None, None
    for name, kind, begin, end in _chunks(data, 12, len(data)):
        if name == b"LIST" and kind == b"hdrl":
            stream = _video_stream(data, begin, end)
        elif name == b"LIST" and kind == b"movi":
            movi = begin - 4
        elif name == b"idx1":
            index = np.frombuffer(data[begin : end - (end - begin) % _ENTRY.itemsize], _ENTRY)
    if movi is None or index is None or stream is None:
        return None
    name = f"{stream:02d}".encode()
    video = index[(np.char.startswith(index["id"], name)) & (index["size"] > 0)]
    if not len(video):
        return None
    best = np.zeros(0, int)
    for base in (movi, 0):
        places = video["offset"].astype(np.int64) + base
        right = [
            data[at : at + 8] == entry["id"] + struct.pack("<I", entry["size"])
            for at, entry in zip(places, video, strict=True)
        ]
        found = np.flatnonzero(right)
        best = max(best, found, key=len)
    # An index of which hardly anything is right is not believed itself.
    return best if len(video) / 2 < len(best) < len(video) else None


def _chunks(data: mmap.mmap, begin: int, end: int) -> Iterator[tuple[bytes, bytes, int, int]]:
    """(name, kind of a list, beginning and end of what it holds), one after the other."""
    while begin + 8 <= end:
        name, (size,) = data[begin : begin + 4], struct.unpack("<I", data[begin + 4 : begin + 8])
        inside, kind = begin + 8, b""
        if name == b"LIST":
            kind, inside = data[inside : inside + 4], inside + 4
        stop = min(begin + 8 + size, end)
        yield name, kind, inside, stop
        begin += 8 + size + size % 2


def _video_stream(data: mmap.mmap, begin: int, end: int) -> int | None:
    """The number of the first stream of pictures."""
    streams = (one for one in _chunks(data, begin, end) if one[1] == b"strl")
    for number, (_, _, first, last) in enumerate(streams):
        for name, _, inside, _ in _chunks(data, first, last):
            if name == b"strh" and data[inside : inside + 4] == b"vids":
                return number
    return None
