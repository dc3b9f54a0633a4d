"""Every file, command, flag and key of the config that a page names is there."""

import ast
import re
import shlex
from typing import get_type_hints

import pytest

from mubert_jax.cli import _parser
from mubert_jax.config import Config, flatten
from mubert_jax.config_parts import OPEN
from mubert_jax.data.sets import available_sets

from .pages import ALL, PAGES, README, ROOT, blocks, code, links, spans

PACKAGE = ROOT / "mubert_jax"
FOLDERS = {path.name for root in (ROOT, PACKAGE) for path in root.iterdir() if path.is_dir()}
FILE = re.compile(r"(?<![\w./-])((?:[\w.-]+/)+[\w*.-]+\.(?:py|sh|md|csv|png|yaml))(?:::(\w+))?")
KEYS = flatten(Config())
SECTIONS = {key.rsplit(".", end)[0] for key in KEYS for end in range(1, key.count(".") + 1)}
KEY = re.compile(r"(?:--)?(?:config\.)?((?:" + "|".join(get_type_hints(Config)) + r")(?:\.\w+)*)")
# Data sets that an example adds.
NEW_SETS = {"mylab"}
# Of programs that are not ours.
OTHERS = {"--nodes", "--gpus-per-node", "--gpus-per-task", "--gpu-bind", "--strict"}
VERBS = _parser()[1]
BENCHES = VERBS["bench"]._subparsers._group_actions[0].choices
PARTS = VERBS["prepare"].parts
PARSERS = (*VERBS.values(), *BENCHES.values(), *PARTS.values())
FLAGS = {flag for parser in PARSERS for flag in parser.flags()} | {"--long"}


def pages(check):
    return pytest.mark.parametrize("page", ALL, ids=lambda page: page.name)(check)


def where(file: str) -> list:
    """The files that a name means: below the checkout, or below the package."""
    return [path for root in (ROOT, PACKAGE) for path in root.glob(file)]


@pages
def test_files(page):
    own = {block.file for block in blocks(page)}
    for text in code(page):
        for file, name in FILE.findall(text):
            if file.split("/")[0] not in FOLDERS or file in own or "NAME" in file:
                continue
            assert where(file), f"{page.name}: {file}"
            if name:
                tree = ast.parse(where(file)[0].read_text())
                assert name in {getattr(node, "name", "") for node in ast.walk(tree)}, (file, name)


@pages
def test_links(page):
    for link in links(page):
        if not re.match(r"https?:|#", link):
            assert (page.parent / link.split("#")[0]).exists(), f"{page.name}: {link}"


@pages
def test_commands(page):
    for text in code(page):
        if re.match(r"(bash launch/local_pod.sh \d \d |mubert )[a-z]", text):
            _check_command(page, shlex.split(text.split("pod.sh ")[-1], comments=True))


def _check_command(page, words):
    words = words[2:] if words[0].isdecimal() else words[1:]
    parser = VERBS[words[0]]
    if words[0] == "bench":
        parser = BENCHES[words[1]]
    elif part := next((p for p in PARTS if set(p.split()) <= set(words[1:])), None):
        words = [word for word in words if word not in part.split()]
        parser = PARTS[part]
    elif words[0] == "prepare" and words[1:] and not words[1].isupper():
        assert words[1] in {*available_sets(), *NEW_SETS}, words
    for word in words:
        flag = word.split("=")[0]
        if flag.startswith("--config."):
            check_key(page, flag)
        elif flag.startswith("--"):
            assert flag in parser.flags(), f"{page.name}: {' '.join(words)}"


@pages
def test_flags(page):
    for span in spans(page):
        for flag in re.findall(r"(?<![\w.-])--[\w-]+(?![\w.-])", span):
            assert flag in FLAGS | OTHERS, f"{page.name}: {span}"


@pages
def test_keys(page):
    for span in spans(page):
        for word in span.split():
            given = re.fullmatch(r"[.,]*((?:--config|config)\.[\w.]+).*", word)
            if given:
                check_key(page, given[1])
        if found := re.fullmatch(KEY.pattern + r"(?: ?=.*)?", span):
            if "." in found[1] and not re.search(r"\.(?:png|pth|sh|safetensors|csv)$", span):
                check_key(page, found[1])


def check_key(page, written):
    key = re.sub(r"^(--)?config\.", "", written)
    known = key in KEYS or key in SECTIONS or key.startswith(tuple(f"{o}." for o in OPEN))
    assert known or key in {*OPEN, "KEY"}, f"{page.name}: {written}"


def test_every_bench_and_verb_has_a_line():
    table = (ROOT / "docs" / "commands.md").read_text()
    for verb in VERBS:
        assert f"`mubert {verb}" in table, verb
    for name in BENCHES:
        assert f"`mubert bench {name}" in table, name


def test_the_front_page_is_short():
    assert len(README.read_text().splitlines()) <= 150
    assert {f"docs/{page.name}" for page in PAGES} <= set(links(README))
