"""What copying, editing and failing disks do to the bytes of a file, as a Hypothesis strategy."""

from hypothesis import strategies as st

_MAGIC = (b"\x00", b"\xff", b"\xff\xfe", b"\x80\x04", b"PK\x03\x04", b"\n", b'"', b"nan", b"-1")
_LARGE = tuple(value.to_bytes(8, "little") for value in (2**31 - 1, 2**32, 2**63 - 1, 2**64 - 1))


@st.composite
def damages(draw, content: bytes) -> bytes:
    """`content` with one to three damages; never `content` itself."""
    damaged = content
    for _ in range(draw(st.integers(1, 3))):
        damaged = draw(st.sampled_from(_KINDS))(draw, damaged)
    return damaged if damaged != content else content[:-1]


def _span(draw, content, longest=64):
    start = draw(st.integers(0, len(content)))
    return start, min(len(content), start + draw(st.integers(1, longest)))


def _flip(draw, content):
    if not content:
        return b"\x01"
    place, bit = draw(st.integers(0, len(content) - 1)), draw(st.integers(0, 7))
    return content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :]


def _overwrite(draw, content):
    start, end = _span(draw, content)
    return content[:start] + draw(st.binary(min_size=1, max_size=16)) + content[end:]


def _put_number(draw, content):
    place = draw(st.integers(0, max(0, len(content) - 8)))
    return content[:place] + draw(st.sampled_from(_LARGE)) + content[place + 8 :]


def _insert(draw, content):
    place = draw(st.integers(0, len(content)))
    return content[:place] + draw(st.sampled_from(_MAGIC)) + content[place:]


def _cut(draw, content):
    return content[: draw(st.integers(0, len(content)))]


def _lose(draw, content):
    start, end = _span(draw, content, 4096)
    return content[:start] + content[end:]


def _blank(draw, content):
    start, end = _span(draw, content, 4096)
    return content[:start] + bytes(end - start) + content[end:]


def _repeat(draw, content):
    start, end = _span(draw, content)
    return content[:end] + content[start:end] + content[end:]


_KINDS = (_flip, _overwrite, _put_number, _insert, _cut, _lose, _blank, _repeat)
