"""What is found below a folder, what is passed over, and that it is told."""

import os
from pathlib import Path

import pytest

from mubert_jax.data.searching import PassedOver, files_with, foreign

SUFFIXES = frozenset({".png"})


@pytest.fixture
def found(tmp_path):
    """Searches `tmp_path / "in"`: names of the files below it, and the words on all else."""

    def search() -> tuple[list[str], list[str]]:
        root = tmp_path / "in"
        passed = PassedOver(root)
        files = [path for _, files in files_with(SUFFIXES, root, passed) for path in files]
        return sorted(path.relative_to(root).as_posix() for path in files), passed.words()

    return search


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_linked_folders_are_entered(tmp_path, found):
    touch(tmp_path / "in" / "s1" / "a.png")
    touch(tmp_path / "store" / "s2" / "deep" / "b.png")
    (tmp_path / "in" / "s2").symlink_to(tmp_path / "store" / "s2")
    assert found() == (["s1/a.png", "s2/deep/b.png"], [])


def test_no_folder_is_taken_twice_and_none_forever(tmp_path, found):
    touch(tmp_path / "in" / "s1" / "c" / "a.png")
    touch(tmp_path / "store" / "b.png")
    for link, target in {
        "all": "s1",  # sorts before what it links to, which keeps its own name all the same
        "s1/up": "..",
        "s1/c/self": ".",
        "x1": tmp_path / "store",
        "x2": tmp_path / "store",
        "out": tmp_path,  # leads back to the input from above
    }.items():
        (tmp_path / "in" / link).symlink_to(target)
    files, words = found()
    assert files == ["out/store/b.png", "s1/c/a.png"]
    assert words == ["6 x link to a folder or file that is read already (all)"]


def test_an_input_that_is_a_link_is_entered(tmp_path, found):
    touch(tmp_path / "real" / "a.png")
    (tmp_path / "in").symlink_to(tmp_path / "real")
    assert found() == (["a.png"], [])


@pytest.mark.parametrize(
    "name",
    [
        "@eaDir",
        "@Recycle",
        "@__thumb",
        "#recycle",
        "#snapshot",
        "$RECYCLE.BIN",
        "RECYCLER",
        "__MACOSX",
        "System Volume Information",
        "lost+found",
        ".thumbnails",
        ".ipynb_checkpoints",
        ".AppleDouble",
        ".git",
        "~snapshot",
        "thumbs",
        "Thumbnails",
        "found.000",
    ],
)
def test_folders_of_other_systems_are_not_entered(tmp_path, found, name):
    touch(tmp_path / "in" / "s1" / "img1.png")
    touch(tmp_path / "in" / "s1" / name / "deep" / "img1.png")
    files, words = found()
    assert files == ["s1/img1.png"]
    assert words == [f"1 x hidden, system or thumbnail folder (s1/{name})"]


@pytest.mark.parametrize("name", ["._img1.png", ".DS_Store", "Thumbs.db", "desktop.ini", "Icon\r"])
def test_files_of_other_systems_are_not_taken(tmp_path, found, name):
    touch(tmp_path / "in" / name)
    files, words = found()
    assert not files
    assert words[0].startswith("1 x hidden or system file (")


@pytest.mark.parametrize("name", ["s1", "#12", "@7", "1", "é", "sub 01", "S03_thumb", "x.y", "mac"])
def test_names_of_people_and_clips_are_not_foreign(name):
    assert not foreign(name)


def test_what_is_passed_over_is_counted_by_kind_with_an_example(tmp_path, found):
    names = "a.HEIC b.heic x.cr2 s3.zip n.txt t.xlsx v.mp4 g.gif a.npy 1.001 noext q.weird p.jpg"
    for name in names.split():
        touch(tmp_path / "in" / "s1" / name)
    files, words = found()
    assert not files
    assert words == [
        "2 x HEIC image (s1/a.HEIC): convert to PNG",
        "2 x other file (s1/1.001)",
        "1 x .weird file (s1/q.weird)",
        "1 x GIF (s1/g.gif): extract its frames to PNG",
        "1 x archive (s1/s3.zip): unpack it if it holds clips",
        "1 x array file (s1/a.npy)",
        "1 x camera raw file (s1/x.cr2): convert to PNG",
        "1 x image (s1/p.jpg): `mubert prepare frames` reads it",
        "1 x table (s1/t.xlsx)",
        "1 x text or document (s1/n.txt)",
        "1 x video (s1/v.mp4): `mubert prepare video` reads it",
    ]


def test_what_is_neither_file_nor_folder_is_told(tmp_path, found):
    (tmp_path / "in").mkdir()
    os.mkfifo(tmp_path / "in" / "img1.png")
    (tmp_path / "in" / "img2.png").symlink_to("gone.png")
    (tmp_path / "in" / "loop.png").symlink_to("loop.png")
    files, words = found()
    assert not files
    assert words == ["2 x broken link (img2.png)", "1 x special file (img1.png)"]


def test_a_folder_that_cannot_be_read_is_told(tmp_path, found, monkeypatch):
    touch(tmp_path / "in" / "s1" / "a.png")
    touch(tmp_path / "in" / "s2" / "a.png")
    scandir = os.scandir

    def refuse(folder):
        if Path(folder).name == "s2":
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    assert found() == (["s1/a.png"], ["1 x folder that cannot be read, Permission denied (s2)"])


def test_names_of_any_bytes_are_told_in_one_line(tmp_path, found):
    folder = os.fsencode(tmp_path / "in") + b"/caf\xe9"
    os.makedirs(folder)
    open(folder + b"/a\nb.heic", "wb").close()
    assert found()[1] == [r"1 x HEIC image (caf\xe9/a\nb.heic): convert to PNG"]


def test_two_searches_are_added():
    one, two = PassedOver(), PassedOver()
    for passed, names in ((one, "a.zip"), (two, "b.zip c.heic")):
        for name in names.split():
            passed.add_file(Path(name))
    one.update(two)
    assert one.words() == [
        "2 x archive (a.zip): unpack it if it holds clips",
        "1 x HEIC image (c.heic): convert to PNG",
    ]
