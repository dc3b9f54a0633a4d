"""Metrics on disk: TensorBoard event files, metrics.csv and metrics.jsonl."""

import csv
import json
import logging
from pathlib import Path
from typing import TextIO

from tensorboardX import SummaryWriter

from mubert_jax.data.files import replacing, write_text, writing_errors

_log = logging.getLogger(__name__)
REMEDY = "the last checkpoint is kept: free some space, and the same command goes on"


class MetricsWriter:
    """Writes one row of scalars per call; a context manager.

    A run that resumes at `start_step` first drops the rows that the killed run wrote after its last
    checkpoint, so that every step is there once. The rows written so far survive a kill at any
    time: the old files stay until the new ones are whole.
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
        self._streams: list[TextIO] = []
        with writing_errors(workdir, REMEDY):
            for left in workdir.glob("metrics.*.tmp"):
                left.unlink()
            write_text(self._jsonl, "".join(json.dumps(row) + "\n" for row in kept))
            self._open(kept)
            self._tensorboard = SummaryWriter(str(workdir), purge_step=start_step + 1)

    def __enter__(self):
        return self

    def __exit__(self, *_: object):
        for stream in (self._tensorboard, *self._streams):
            stream.close()

    def write(self, step: int, metrics: dict[str, float]) -> None:
        """Writes the metrics of a step.

        Raises:
          UserError: the disk is full.
        """
        with writing_errors(self._workdir, REMEDY):
            self._append({"step": step, **metrics})
        for name, value in metrics.items():
            self._tensorboard.add_scalar(name, value, step)
        self._tensorboard.flush()

    def _append(self, row: dict[str, float]):
        jsonl, table = self._streams
        jsonl.write(json.dumps(row) + "\n")
        jsonl.flush()
        if row.keys() <= set(self._columns):
            csv.DictWriter(table, self._columns).writerow(row)
            table.flush()
        else:
            self._open(read_metrics(self._workdir))

    def _open(self, rows: list[dict[str, float]]):
        """Rewrites metrics.csv with a column per name in `rows`; opens both files to append."""
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
    """The rows of metrics.jsonl, oldest first, without lines damaged by a kill or by the disk."""
    return _read(workdir / "metrics.jsonl")[0]


def _read(path: Path) -> tuple[list[dict[str, float]], list[int]]:
    """The rows, and the numbers of damaged lines, not counting a last line that was cut short."""
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
