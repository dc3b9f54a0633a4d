"""Names of files as text that can be stored and printed."""

import unicodedata
from pathlib import PurePath

_UNPRINTABLE = ("Cc", "Cs", "Zl", "Zp")


def printable(name: str | PurePath) -> str:
    r"""A file name on one line of valid Unicode; all else is escaped, such as `\xe9` or `\n`.

    Bytes that are not UTF-8 come from Python as surrogates, which no record or report can hold.
    """
    return "".join(map(_printable, str(name)))


def _printable(character: str) -> str:
    if unicodedata.category(character) not in _UNPRINTABLE:
        return character
    if 0xDC80 <= ord(character) <= 0xDCFF:
        return rf"\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()
