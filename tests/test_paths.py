"""What may be written for a path."""

from pathlib import Path

import pytest

from mubert_jax.errors import UserError
from mubert_jax.paths import path_argument


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


@pytest.mark.parametrize(
    "text, path",
    [
        ("a/b", "a/b"),
        ("/a b/ü", "/a b/ü"),
        ("./~x", "~x"),
        ("a~b", "a~b"),
        ("a:b", "a:b"),
        ("C:\\data", "C:\\data"),
        ("run//x", "run/x"),
        ("file:///data/a%20b", "/data/a b"),
        ("FILE://localhost/data", "/data"),
        ("file:/data", "/data"),
        (Path("a"), "a"),
    ],
)
def test_local_paths(text, path):
    assert path_argument(text) == Path(path)


def test_a_home(home):
    assert path_argument("~/run") == home / "run"
    assert path_argument("~") == home


def test_a_file_that_is_called_like_a_home(tmp_path):
    (tmp_path / "~$table.xlsx").touch()
    assert path_argument("~$table.xlsx") == Path("~$table.xlsx")
    with pytest.raises(UserError, match="^~nobody-of-that-name/run: .* ./~nobody"):
        path_argument("~nobody-of-that-name/run")


@pytest.mark.parametrize(
    "url",
    [
        "gs://bucket/run",
        "s3://bucket",
        "GS://bucket/run",
        "https://example.org/a.png",
        "abfss://box@account/run",
        "file://server/run",
        "file://",
        Path("gs://bucket/run"),
    ],
    ids=str,
)
def test_what_lies_elsewhere_is_refused_in_one_line(url):
    with pytest.raises(UserError, match=f"^{url}: files and folders are local") as error:
        path_argument(url)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "  "])
def test_nothing(text):
    with pytest.raises(UserError, match="empty"):
        path_argument(text)
