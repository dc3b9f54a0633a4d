"""The tables of `docs/configuration.md`: every key, its default, and the comment that it has."""

import ast
import dataclasses
import inspect
import re
from collections.abc import Iterator
from typing import get_type_hints

from mubert_jax import config as config_module
from mubert_jax.config import Config

MARK = "<!-- keys -->"


def on_page_markdown(markdown, page, **_):
    """The hook of MkDocs: puts the tables where the page has its mark."""
    return markdown.replace(MARK, tables()) if page.file.src_uri == "configuration.md" else markdown


def tables() -> str:
    """One section of Markdown per section of the config."""
    return "\n".join(_section("", Config, {}))


def _section(prefix: str, section: type, note: dict) -> Iterator[str]:
    fields, hints = dataclasses.fields(section), get_type_hints(section)
    comments = _comments(section)
    inner = [f for f in fields if dataclasses.is_dataclass(hints[f.name])]
    plain = [f for f in fields if f not in inner]
    if prefix:
        yield f"{'##' if prefix.count('.') == 1 else '###'} `{prefix.removesuffix('.')}`\n"
        yield f"{_own_words(section)} {_condition(note)}".strip() + "\n"
    if plain:
        yield "| key | default | |\n| --- | --- | --- |"
        for field in plain:
            yield _row(f"{prefix}{field.name}", field, comments.get(field.name, ""))
        yield ""
    for field in inner:
        yield from _section(f"{prefix}{field.name}.", hints[field.name], field.metadata)


def _row(key: str, field: dataclasses.Field, comment: str) -> str:
    default = field.default
    if default is dataclasses.MISSING:
        default = field.default_factory()
    words = [comment]
    choices = field.metadata.get("choices", ())
    if len(choices) > 1:
        words.append("One of " + ", ".join(f"`{choice}`" for choice in choices) + ".")
    words.append(_condition(field.metadata))
    return f"| `{key}` | `{_plain(default)}` | {' '.join(filter(None, words))} |"


def _condition(metadata) -> str:
    given = metadata.get("given")
    return f"Read only {_in_code(str(given))}." if given else ""


def _plain(value) -> str:
    text = repr(value) if not isinstance(value, str) or not value else value
    return text.replace("|", "\\|")


def _in_code(text: str) -> str:
    """Keys and values in the font of code."""
    return re.sub(r"config\.[\w.]+|'[^']*'", lambda found: f"`{found[0]}`", text)


def _own_words(section: type) -> str:
    """The docstring as Markdown; a dataclass without one has its signature for it."""
    text = inspect.cleandoc(section.__doc__ or "")
    return "" if text.startswith(f"{section.__name__}(") else text


def _comments(section: type) -> dict[str, str]:
    """Field -> the lines of comment right above it, as one line of Markdown."""
    lines = inspect.getsource(config_module).splitlines()
    tree = ast.parse("\n".join(lines))
    (body,) = (n.body for n in tree.body if getattr(n, "name", None) == section.__name__)
    found = {}
    for node in body:
        if isinstance(node, ast.AnnAssign):
            words, above = [], node.lineno - 2
            while lines[above].strip().startswith("#"):
                words.insert(0, lines[above].strip().removeprefix("#").strip())
                above -= 1
            found[node.target.id] = " ".join(words).replace("|", "\\|")
    return found
