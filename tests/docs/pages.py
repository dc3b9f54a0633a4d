"""What the pages hold: blocks of code, spans of code, links."""

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = sorted((ROOT / "docs").glob("*.md"))
# Everything that may name a file, a command or a key; the changelog names what is gone.
ALL = [README, ROOT / "CONTRIBUTING.md", ROOT / "launch" / "README.md", *PAGES]
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


class Block(NamedTuple):
    """A fenced block; `file` is what its first line names, "" where it names none."""

    language: str
    text: str
    file: str


def blocks(page: Path, *languages: str) -> list[Block]:
    """The fenced blocks of a page in these languages, or all."""
    found = []
    for language, text in _BLOCK.findall(page.read_text()):
        named = re.match(r"# ([\w./]+\.py)\n", text)
        if not languages or language in languages:
            found.append(Block(language, text, named[1] if named else ""))
    return found


def spans(page: Path) -> list[str]:
    """The code inside of sentences and tables."""
    return re.findall(r"`([^`\n]+)`", _BLOCK.sub("", page.read_text()))


def links(page: Path) -> list[str]:
    """Where links and pictures lead."""
    return re.findall(r"\]\(([^)\s]+)\)", _BLOCK.sub("", page.read_text()))


def code(page: Path) -> list[str]:
    """Spans and the lines of blocks, a line that goes on with a backslash as one."""
    joined = (block.text.replace("\\\n", " ") for block in blocks(page))
    return [*spans(page), *(line for text in joined for line in text.splitlines())]


def example(page: Path, file: str) -> str:
    """The block of a page that holds this file."""
    (text,) = (block.text for block in blocks(page) if block.file == file)
    return text
