"""Files are written whole or not at all, by all of the package."""

import re
from pathlib import Path

import pytest

import mubert_jax
from mubert_jax.data.files import write_text

PACKAGE = Path(mubert_jax.__file__).parent
# A pathlib or pyplot call that writes to the final path at once.
DIRECT = re.compile(r"^(?!.*temporary).*\.(write_text|savefig)\(", re.MULTILINE)


def test_a_text_takes_the_place_of_the_old_one(tmp_path):
    file = tmp_path / "a.json"
    write_text(file, "{}")
    write_text(file, "µ\n")
    assert file.read_bytes() == "µ\n".encode()
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_a_text_that_cannot_be_written_leaves_the_old_one(tmp_path):
    file = tmp_path / "a.json"
    write_text(file, "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(file, "new\udc80")
    assert file.read_text() == "old" and len(list(tmp_path.iterdir())) == 1


def test_nothing_is_written_in_place():
    found = {
        str(path.relative_to(PACKAGE)): DIRECT.findall(path.read_text())
        for path in PACKAGE.rglob("*.py")
    }
    assert not {name: calls for name, calls in found.items() if calls}
