"""Bytes of a text file as text, where nobody says in which encoding it was written."""

import codecs
import math
import re
import unicodedata
from itertools import islice
from typing import NamedTuple

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_LEGACY = dict.fromkeys(
    ("cp1252", "gb18030", "cp932", "cp949", "cp950", "cp1251", "mac_roman"), True
) | {"cp1250": False}
"""What spreadsheet programs write by default, by the language of the computer.

False for one that is too near to another to be told from it by its looks.
"""
_WESTERN = frozenset("ŒœŠšŽžŸ€…–—‘’“”„•°§£¡¿«»ºª·´±²³µ½¼¾×©®™\u00a0")
_COMMON = {"gb2312": range(0xB0, 0xD8), "cp932": range(0x88, 0x98), "cp950": range(0xA4, 0xC7)}
"""First bytes of the ideographs in everyday use; the rarer ones come after them."""
_BEYOND_ASCII = re.compile(r"[^\0-\x7f]")
_LOOKED_AT = 1000


class Reading(NamedTuple):
    """What a file may say; `oddness` as below, infinite for one that only its use can prove."""

    text: str
    oddness: float


def readings(encoded: bytes) -> list[Reading]:
    """Every text that the bytes may be, the likeliest first; one where there is no doubt.

    A mark at the start, or being valid UTF-8, leaves no doubt.
    """
    for mark, encoding in _MARKS:
        if encoded.startswith(mark):
            return [Reading(encoded.decode(encoding, "replace"), 0.0)]
    for encoding in (*_without_mark(encoded), "utf-8"):
        if (text := _decoded(encoded, encoding)) is not None:
            return [Reading(text, 0.0)]
    if b"\0" in encoded:  # no text at all
        return [Reading(encoded.decode("latin-1"), 0.0)]
    found: dict[str, float] = {}
    for encoding, guessed in _LEGACY.items():
        if (text := _decoded(encoded, encoding)) is not None:
            found.setdefault(text, oddness(text) if guessed else math.inf)
    ordered = sorted(found.items(), key=lambda item: item[1])
    return [Reading(*item) for item in ordered]


def oddness(text: str) -> float:
    """How little the characters beyond ASCII look like words: 0 for ones that do, about 1 else."""
    found = list(islice(_BEYOND_ASCII.finditer(text), _LOOKED_AT))
    odd = (_odd(text[m.start() - 1 : m.start()], m[0], text[m.end() : m.end() + 1]) for m in found)
    return sum(odd) / max(1, len(found))


def _without_mark(encoded: bytes) -> list[str]:
    """UTF-16 without a mark has a NUL in every other byte of its ASCII characters."""
    if b"\x1b$" in encoded:
        return ["iso2022_jp"]
    head = encoded[:4000]
    for first, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        nuls, others = head[first::2].count(0), head[1 - first :: 2].count(0)
        if nuls > len(head) // 4 > 4 * others:
            return [encoding]
    return []


def _decoded(encoded: bytes, encoding: str) -> str | None:
    try:
        return encoded.decode(encoding)
    except UnicodeDecodeError:
        return None


def _odd(before: str, char: str, after: str) -> bool:
    name = unicodedata.name(char, "")
    touching = [other for other in (before, after) if other.isalpha()]
    in_latin = any(other.isascii() for other in touching)
    inner_capital = before.islower() and char.isupper()
    if name.startswith("CJK UNIFIED"):
        return in_latin or not _everyday(char)
    if name.startswith("HANGUL SYLLABLE"):
        return in_latin or len(_bytes(char, "euc_kr")) != 2
    if name.startswith(("HIRAGANA", "KATAKANA", "IDEOGRAPHIC", "FULLWIDTH")):
        return in_latin
    if name.startswith("CYRILLIC"):
        return in_latin or inner_capital or len(_bytes(char, "koi8_r")) != 1
    if char.isalpha() and (char in _WESTERN or _bytes(char, "latin-1")):
        return inner_capital or (before > "\x7f" and before.isalpha())
    if char in _WESTERN:
        return before > "\x7f" or (len(touching) == 2 and char not in "’–·")
    return True


def _everyday(char: str) -> bool:
    return any(code[0] in first for name, first in _COMMON.items() if (code := _bytes(char, name)))


def _bytes(char: str, encoding: str) -> bytes:
    return char.encode(encoding, "ignore")
