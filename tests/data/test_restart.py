"""`mubert prepare` killed at any moment goes on where it stopped, to the same bytes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from mubert_jax.data.frames import FramePairs
from mubert_jax.data.index import Index
from mubert_jax.data.plan import PrepareOptions
from mubert_jax.data.prepare import prepare
from mubert_jax.data.shards import ShardWriter
from mubert_jax.errors import UserError

OPTIONS = PrepareOptions(size=32, crop="none", workers=3)


class Killed(BaseException):
    """Stands for a signal: nothing of ours catches it."""


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "index.npz"
    }


def assert_same_set(output: Path, whole: Path) -> None:
    assert contents(output) == contents(whole)
    assert (output / "index.npz").exists()
    a, b = Index.open(output), Index.open(whole)
    for column in ("shard", "offset", "length", "video", "frame", "shard_names"):
        np.testing.assert_array_equal(getattr(a, column), getattr(b, column))


def assert_refused(output: Path) -> None:
    assert not (output / "dataset_info.json").exists()
    with pytest.raises(UserError, match="only half prepared .*run the same `mubert prepare` again"):
        FramePairs(output, image_size=32)


@pytest.fixture
def whole(frame_input, tmp_path, quiet) -> Path:
    """The data set of an uninterrupted run."""
    prepare("frames", frame_input, tmp_path / "whole", OPTIONS, quiet)
    return tmp_path / "whole"


def test_an_exception_after_the_first_shard(frame_input, tmp_path, whole, quiet, monkeypatch):
    output, write = tmp_path / "out", ShardWriter.write

    def write_one(self, path, clips):
        if path.name != "00000.tfrecord":
            raise Killed
        return write(self, path, clips)

    with monkeypatch.context() as patch:
        patch.setattr(ShardWriter, "write", write_one)
        with pytest.raises(Killed):
            prepare("frames", frame_input, output, OPTIONS, quiet)
    assert_refused(output)

    assert prepare("frames", frame_input, output, OPTIONS, quiet).kept == 6
    assert_same_set(output, whole)


def test_a_finished_shard_is_not_written_again(frame_input, tmp_path, whole, quiet, monkeypatch):
    output, write, written = tmp_path / "out", ShardWriter.write, []

    def stop_before_the_last(self, path, clips):
        if len(written) == 2:  # begun before the first failure was heard of
            raise Killed
        reports = write(self, path, clips)
        written.append(path.name)
        if len(written) == 2:
            raise Killed
        return reports

    one_by_one = PrepareOptions(**vars(OPTIONS) | {"workers": 1, "size": 32})
    with monkeypatch.context() as patch:
        patch.setattr("mubert_jax.data.plan._SHARD_BYTES", 2 * 8 * 32**2 * 1.7)
        patch.setattr(ShardWriter, "write", stop_before_the_last)
        with pytest.raises(Killed):
            prepare("frames", frame_input, output, one_by_one, quiet)
    assert written == ["00000.tfrecord", "00001.tfrecord"]
    assert_refused(output)

    def count(self, path, clips):
        written.append(path.name)
        return write(self, path, clips)

    monkeypatch.setattr(ShardWriter, "write", count)
    prepare("frames", frame_input, output, one_by_one, quiet)
    assert written == ["00000.tfrecord", "00001.tfrecord", "00002.tfrecord"]
    assert_same_set(output, whole)


@pytest.mark.parametrize(
    "moment",
    [
        "mubert_jax.data.prepare.write_report",
        "mubert_jax.data.prepare._index",
        "mubert_jax.data.prepare.write_metadata",
        "mubert_jax.data.metadata.shutil.rmtree",
    ],
)
def test_killed_while_finishing(frame_input, tmp_path, whole, quiet, monkeypatch, moment):
    output = tmp_path / "out"

    def kill(*args, **kwargs):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(moment, kill)
        with pytest.raises(Killed):
            prepare("frames", frame_input, output, OPTIONS, quiet)
    assert_refused(output)
    prepare("frames", frame_input, output, OPTIONS, quiet)
    assert_same_set(output, whole)


@pytest.mark.parametrize("turn", [1, 2, 3])
def test_killed_between_the_names_of_the_shards(
    frame_input, tmp_path, whole, quiet, monkeypatch, turn
):
    output, replace, renamed = tmp_path / "out", os.replace, []

    def rename(source, target):
        if Path(target).name.startswith("frames-train."):
            renamed.append(target)
            if len(renamed) == turn:
                raise Killed
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr("mubert_jax.data.prepare.os.replace", rename)
        with pytest.raises(Killed):
            prepare("frames", frame_input, output, OPTIONS, quiet)
    assert_refused(output)
    prepare("frames", frame_input, output, OPTIONS, quiet)
    assert_same_set(output, whole)


def test_dataset_info_is_the_last_file_to_appear(frame_input, tmp_path, quiet, monkeypatch):
    output, replace, appeared = tmp_path / "out", os.replace, []

    def rename(source, target):
        replace(source, target)
        if Path(target).parent == output:
            appeared.append(Path(target).name)

    monkeypatch.setattr("os.replace", rename)
    prepare("frames", frame_input, output, OPTIONS, quiet)
    assert appeared[0] == "prepare.json"
    assert appeared[-1] == "dataset_info.json"
    assert set(appeared) == {path.name for path in output.iterdir()}


def test_killed_between_the_metadata_files(frame_input, tmp_path, whole, quiet, monkeypatch):
    output, replace, moved = tmp_path / "out", os.replace, []

    def move(source, target):
        if Path(source).parent.name == ".metadata":
            if moved:
                raise Killed
            moved.append(target)
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr("mubert_jax.data.metadata.os.replace", move)
        with pytest.raises(Killed):
            prepare("frames", frame_input, output, OPTIONS, quiet)
    assert len(moved) == 1
    assert_refused(output)
    prepare("frames", frame_input, output, OPTIONS, quiet)
    assert_same_set(output, whole)


SLOW_PREPARE = """
import sys, time
from rich.console import Console
from mubert_jax.data import plan, shards
from mubert_jax.data.plan import PrepareOptions
from mubert_jax.data.prepare import prepare

plan._SHARD_BYTES = 8 * 32**2 * 1.7
encode = shards.encode_image
def slowly(*args):
    time.sleep(0.05)
    return encode(*args)
shards.encode_image = slowly
options = PrepareOptions(size=32, crop="none", workers=1)
prepare("frames", sys.argv[1], sys.argv[2], options, Console(quiet=True))
"""


def test_a_real_sigkill_half_way(frame_input, tmp_path, quiet, monkeypatch):
    output = tmp_path / "out"
    process = subprocess.Popen([sys.executable, "-c", SLOW_PREPARE, str(frame_input), str(output)])
    try:
        finished, end = [], time.monotonic() + 60
        while len(finished) < 2 and process.poll() is None and time.monotonic() < end:
            time.sleep(0.01)
            finished = list((output / ".progress").glob("*.json"))
        time.sleep(0.1)
    finally:
        process.kill()
    assert process.wait() == -signal.SIGKILL, "it was still at work"
    assert 2 <= len(list((output / ".progress").glob("*.json"))) < 6
    assert list((output / ".progress").glob("*.tmp")), "a shard was half written"
    assert_refused(output)

    options = PrepareOptions(size=32, crop="none", workers=1)
    stamps = {path: path.stat().st_mtime_ns for path in finished}
    finish = prepare.__globals__["_finish"]

    def check_then_finish(*args):
        assert {path: path.stat().st_mtime_ns for path in stamps} == stamps, "kept, not redone"
        return finish(*args)

    monkeypatch.setattr("mubert_jax.data.prepare._finish", check_then_finish)
    assert prepare("frames", frame_input, output, options, quiet).frames == 48
    monkeypatch.undo()
    monkeypatch.setattr("mubert_jax.data.plan._SHARD_BYTES", 8 * 32**2 * 1.7)
    prepare("frames", frame_input, tmp_path / "whole", options, quiet)
    assert_same_set(output, tmp_path / "whole")


def test_a_shard_lost_after_it_was_reported_is_noticed(frame_input, tmp_path, quiet, monkeypatch):
    output = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr("mubert_jax.data.prepare.write_report", lambda *args: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            prepare("frames", frame_input, output, OPTIONS, quiet)
    shard = sorted(output.glob("frames-train.*"))[1]
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(UserError, match="00001-of-00003: lost or changed since it was written"):
        prepare("frames", frame_input, output, OPTIONS, quiet)
