"""Metrics on disk: TensorBoard event files, metrics.csv and metrics.jsonl."""

import csv
import json
import logging
from pathlib import Path

from tensorboardX import SummaryWriter

from mubert_jax.data.files import replacing, write_text, writing_errors

_log = logging.getLogger(__name__)
REMEDY = "the last checkpoint is kept: free some space, and the same command goes on"


class MetricsWriter:
    """Writes one row of scalars a call; a context manager.

    A run that goes on at `start_step` first drops the rows that the killed run wrote after its last
    checkpoint, so every step is there once. Whenever it is killed, the rows up to there are on
    disk: the old files stay until the new ones are whole.
    """

    def __init__(self, workdir: Path, start_step: int):
        self._jsonl, self._csv = workdir / "metrics.jsonl", workdir / "metrics.csv"
        rows, damaged = _read(self._jsonl)
        if damaged:
            _log.warning(
                "%s: damaged lines are left out: %d, the first is line %d",
                self._jsonl,
                len(damaged),
                damaged[0],
            )
        kept = [row for row in rows if row["step"] <= start_step]
        self._workdir = workdir
        self._streams = []
        with writing_errors(workdir, REMEDY):
            for left in workdir.glob("metrics.*.tmp"):
                left.unlink()
            write_text(self._jsonl, "".join(json.dumps(row) + "\n" for row in kept))
            self._open(kept)
            self._tensorboard = SummaryWriter(str(workdir), purge_step=start_step + 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for stream in (self._tensorboard, *self._streams):
            stream.close()

    def write(self, step: int, metrics: dict[str, float]):
        """Raises UserError if the disk is full."""
        with writing_errors(self._workdir, REMEDY):
            self._append({"step": step, **metrics})
        for name, value in metrics.items():
            self._tensorboard.add_scalar(name, value, step)
        self._tensorboard.flush()

    def _append(self, row):
        jsonl, table = self._streams
        jsonl.write(json.dumps(row) + "\n")
        jsonl.flush()
        if row.keys() <= set(self._columns):
            csv.DictWriter(table, self._columns).writerow(row)
            table.flush()
        else:
            self._open(read_metrics(self._workdir))

    def _open(self, rows):
        """Writes metrics.csv anew, a column for each name in `rows`; opens both files to append."""
        self._columns = list(dict.fromkeys(name for row in rows for name in row))
        with replacing(self._csv) as new, new.open("w", newline="") as stream:
            table = csv.DictWriter(stream, self._columns)
            if rows:
                table.writeheader()
            table.writerows(rows)
        for stream in self._streams:
            stream.close()
        self._streams = [self._jsonl.open("a"), self._csv.open("a", newline="")]


def read_metrics(workdir: Path) -> list[dict[str, float]]:
    """The rows of metrics.jsonl, oldest first, without lines that a kill or a disk has damaged."""
    return _read(workdir / "metrics.jsonl")[0]


def _read(path: Path) -> tuple[list[dict[str, float]], list[int]]:
    """The rows, and the numbers of damaged lines; a last line that was cut short is not counted."""
    rows, damaged = [], []
    lines = path.read_bytes().split(b"\n") if path.exists() else []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            row["step"] += 0  # a number
            rows.append(row)
        except (ValueError, TypeError, KeyError, RecursionError):
            if line and number < len(lines):
                damaged.append(number)
    return rows, damaged
