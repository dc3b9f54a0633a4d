import contextlib
import csv
import errno
import io
import itertools
import os
from pathlib import Path

import pytest
from tensorboardX.proto import event_pb2

from mubert_jax.errors import DiskFull
from mubert_jax.objectives.micron_bert import MicronBertObjective
from mubert_jax.training import writers
from mubert_jax.training.curves import plot_training
from mubert_jax.training.writers import MetricsWriter, read_metrics


def write(folder, start, steps):
    with MetricsWriter(folder, start) as writer:
        for step in steps:
            writer.write(step, {"loss": 1.0 / step, "reconstruction": 0.5})


def test_rows_after_the_last_checkpoint_are_written_once(tmp_path):
    write(tmp_path, 0, range(1, 9))
    with (tmp_path / "metrics.jsonl").open("a") as stream:
        stream.write('{"step": 9, "lo')
    write(tmp_path, 5, range(6, 8))
    assert [row["step"] for row in read_metrics(tmp_path)] == [1, 2, 3, 4, 5, 6, 7]
    with (tmp_path / "metrics.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [int(row["step"]) for row in rows] == [1, 2, 3, 4, 5, 6, 7]
    assert float(rows[3]["loss"]) == 0.25


class Killed(BaseException):
    """The process is gone: nothing after it runs."""


def killed_at(monkeypatch, call: int):
    """Whatever opens, replaces or closes a file ends the process at its `call`-th call."""
    left = [call]

    def counted(function):
        def wrapped(*arguments, **keywords):
            left[0] -= 1
            if left[0] <= 0:
                raise Killed
            return function(*arguments, **keywords)

        return wrapped

    monkeypatch.setattr(os, "replace", counted(os.replace))
    monkeypatch.setattr(os, "fsync", counted(os.fsync))
    monkeypatch.setattr(Path, "open", counted(Path.open))
    monkeypatch.setattr(Path, "write_text", counted(Path.write_text))
    monkeypatch.setattr(writers, "SummaryWriter", counted(writers.SummaryWriter))
    return left


def test_a_kill_at_any_moment_of_a_start_loses_no_row(tmp_path, monkeypatch):
    write(tmp_path, 0, range(1, 9))
    for call in itertools.count(1):
        with monkeypatch.context() as patch:
            left = killed_at(patch, call)
            with contextlib.suppress(Killed):
                write(tmp_path, 8, [])
        assert [row["step"] for row in read_metrics(tmp_path)] == list(range(1, 9)), call
        if left[0] > 0:
            break
    assert call > 5
    write(tmp_path, 8, [9])
    with (tmp_path / "metrics.csv").open() as stream:
        assert [row["step"] for row in csv.DictReader(stream)] == [str(i) for i in range(1, 10)]
    assert not list(tmp_path.glob("*.tmp"))


@pytest.mark.parametrize("full", ["replace", "write_text"])
def test_a_full_disk_is_one_line_and_loses_no_row(tmp_path, monkeypatch, full):
    write(tmp_path, 0, range(1, 9))

    def no_space(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(*{"replace": (os, full), "write_text": (Path, full)}[full], no_space)
    with pytest.raises(DiskFull, match="no space left on the disk; the last checkpoint is kept"):
        write(tmp_path, 5, [])
    assert [row["step"] for row in read_metrics(tmp_path)] == list(range(1, 9))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has it")
def test_a_disk_that_fills_up_later_is_one_line(tmp_path):
    with MetricsWriter(tmp_path, 0) as writer:
        writer.write(1, {"loss": 1.0})
        with open("/dev/full", "w") as full:
            os.dup2(full.fileno(), writer._streams[0].fileno())
        with pytest.raises(DiskFull, match=f"^{tmp_path}: no space left"):
            writer.write(2, {"loss": 1.0})
        writer._streams[0] = io.StringIO()


DAMAGED = ["", "\0\0\0", '{"step": 3, "lo', "[1]", "3", '{"loss": 1}', '{"step": "x"}', "\udcff"]


@pytest.mark.parametrize("line", DAMAGED)
def test_a_damaged_line_costs_itself_alone_and_is_said(tmp_path, caplog, line):
    write(tmp_path, 0, range(1, 6))
    path = tmp_path / "metrics.jsonl"
    lines = path.read_text().splitlines()
    lines[2] = line
    path.write_text("\n".join(lines) + "\n", errors="surrogateescape")
    assert [row["step"] for row in read_metrics(tmp_path)] == [1, 2, 4, 5]
    write(tmp_path, 5, [6])
    assert [row["step"] for row in read_metrics(tmp_path)] == [1, 2, 4, 5, 6]
    assert ("the first is line 3" in caplog.text) is bool(line)
    with (tmp_path / "metrics.csv").open() as stream:
        assert [row["step"] for row in csv.DictReader(stream)] == list("12456")


def test_columns_that_come_later_are_in_the_csv(tmp_path):
    with MetricsWriter(tmp_path, 0) as writer:
        writer.write(1, {"loss": 1.0})
        writer.write(2, {"loss": 0.5, "pairs_per_second": 9.0})
    with (tmp_path / "metrics.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert rows[0]["pairs_per_second"] == "" and rows[1]["pairs_per_second"] == "9.0"


def test_tensorboard_events_hold_the_scalars(tmp_path):
    write(tmp_path, 0, [1, 2])
    (path,) = tmp_path.glob("events.*")
    data, offset, scalars = path.read_bytes(), 0, []
    while offset < len(data):
        length = int.from_bytes(data[offset : offset + 8], "little")
        event = event_pb2.Event.FromString(data[offset + 12 : offset + 12 + length])
        scalars += [(event.step, value.tag, value.simple_value) for value in event.summary.value]
        offset += length + 16
    assert (2, "loss", 0.5) in scalars


def test_training_picture(tmp_path):
    write(tmp_path, 0, range(1, 9))
    assert plot_training(tmp_path, MicronBertObjective.panels).stat().st_size > 10_000
