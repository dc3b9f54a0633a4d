"""The changelog lists every name that was changed; the version of Ruff is one."""

import re

from mubert_jax import renamed

from .pages import ROOT


def test_it_lists_what_was_renamed():
    text = (ROOT / "CHANGELOG.md").read_text()
    for table in (renamed.COMMANDS, renamed.FLAGS, renamed.KEYS, renamed.FILES):
        for old, new in table.items():
            assert old.split()[-1] in text and new.split()[-1] in text, old


def test_before_a_commit_style_is_checked_as_by_the_tests():
    (pinned,) = re.findall(r"^ruff==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    hooks = (ROOT / ".pre-commit-config.yaml").read_text()
    assert set(re.findall(r"ruff==([^\]]+)", hooks)) == {pinned}
